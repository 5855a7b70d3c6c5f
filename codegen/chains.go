package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// maxChain is the number of consecutive focal blocks that one choice decides.
// Each more doubles the subgraphs, and with them the copies of the weights.
const maxChain = 3

// chainLength is how many of the blocks left the next choice decides: chains of
// about equal length, shorter in a long module, where copies would add up.
func (b *builder) chainLength(left, all int) int {
	longest := maxChain
	switch {
	case !b.opt.takes(Chains):
		return 1
	case all > 5:
		longest = 2
	}
	chains := (left + longest - 1) / longest
	return (left + chains - 1) / chains
}

// branchChains emits one frame's focal blocks, a few at a time: for each way to
// select among them a subgraph of its own. Maps that cross a subgraph's bounds
// leave ONNX Runtime's blocked layout, so a bound after each block is dear.
func (l *lowerer) branchChains(b *builder, x feature, ones *graph.Value, blocks []*afblock.Block, conds []*graph.Value) (feature, error) {
	for from := 0; from < len(blocks); {
		n := b.chainLength(len(blocks)-from, len(blocks))
		chain := blocks[from : from+n]
		start := x
		y, err := b.choose(fmt.Sprintf("%s.chain", chain[0].Key), conds[from:from+n], func(b *builder, chosen []bool) (feature, error) {
			f := start
			for i, blk := range chain {
				var err error
				if f, err = l.branchFrame(b, f, ones, blk, chosen[i], i == 0); err != nil {
					return feature{}, err
				}
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
