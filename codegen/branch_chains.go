package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// maxChain is the number of consecutive focal blocks that one choice decides at
// most. Each more doubles the subgraphs, and with them the copies of the
// weights.
const maxChain = 3

// chainLength is how many of the blocks left the next choice decides: chains of
// about equal length, the first the shortest, since the first block is the
// largest. Where weights outnumber the pixels of the maps whose passes a chain
// saves, copies cost more than they bring.
func (b *builder) chainLength(left []*afblock.Block, x feature) int {
	last := left[len(left)-1]
	if !b.opt.takes(Chains) || weights(last) > last.Out()*x.h*x.w {
		return 1
	}
	chains := (len(left) + maxChain - 1) / maxChain
	return len(left) / chains
}

// weights is the number of a block's weights.
func weights(blk *afblock.Block) int {
	n := 0
	for _, c := range blk.Convs() {
		n += c.Out() * c.In() / c.Groups * c.Kernel() * c.Kernel()
	}
	return n
}

// endsInChain reports whether a module's end belongs into the subgraphs of its
// focal branch, which reads x: one chain, and fewer weights to copy than pixels
// that stay in the blocked layout.
func (b *builder) endsInChain(m *afblock.AFModule, x feature) bool {
	size := m.Fusion.Through(x.size())
	return b.opt.takes(Chains) && b.chainLength(m.Focal, x) == len(m.Focal) && weights(m.Fusion) <= m.Fusion.Out()*size[0]*size[1]
}

// branchChains emits one frame's focal blocks, a few at a time: for each way to
// select among them a subgraph of its own. Maps that cross a subgraph's bounds
// leave ONNX Runtime's blocked layout, so a bound after each block is dear. What
// end emits behind the last block, if given, joins the last subgraphs.
func (l branch) branchChains(b *builder, x feature, ones *onesMap, blocks []*afblock.Block, conds []*graph.Value, cells []*frameCells, end func(*builder, feature) feature) (feature, error) {
	for from := 0; from < len(blocks); {
		n := l.chainLength(blocks[from:], x)
		chain := blocks[from : from+n]
		last := from+n == len(blocks)
		start := x
		y, err := b.decideOne(fmt.Sprintf("%s.chain", chain[0].Key), conds[from:from+n], func(b *builder, chosen []bool) (feature, error) {
			f := start
			for i, blk := range chain {
				var err error
				if f, err = l.branchFrame(b, f, ones, blk, cells[from+i], chosen[i], i == 0); err != nil {
					return feature{}, err
				}
			}
			if last && end != nil {
				f = end(b, f)
			}
			return f, nil
		})
		if err != nil {
			return feature{}, err
		}
		x, from = y, from+n
	}
	return x, nil
}
