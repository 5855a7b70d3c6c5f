package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// branch is the strategy that runs frames one by one and chooses for each
// whether a focal block is computed: whole modules frame by frame, where frames
// do not read each other (branch_frames.go), or one Scan a block
// (branch_shift.go). Where maps are too small for either it gathers.
type branch struct{ *lowerer }

func (l branch) check() error { return l.checkSized() }

func (l branch) lead(x feature) (stream, int, error) {
	if n := l.scannedStages(); n > 0 {
		x, err := l.frameScans(x, l.net.Stages[:n])
		return streamOf(x), n, err
	}
	if n := l.unrolledStages(); n > 0 {
		x, err := l.unrolled(x, n)
		return x, n, err
	}
	return l.lowerer.lead(x)
}

// takesCells reports whether a module chooses whole frames, or inside them in the
// Ifs of its frames.
func (l branch) takesCells(m *afblock.AFModule) bool {
	return !hasCells(m) || l.opt.takes(CellBoxes)
}

// hasCells reports whether a module chooses inside the frames.
func hasCells(m *afblock.AFModule) bool {
	return slices.ContainsFunc(m.Navigation, func(n *afblock.Navigation) bool { return n.Cells != nil })
}

func (l branch) module(x stream, s *afblock.Stage, ends []span) (stream, error) {
	size := x[0].size()
	switch {
	case !l.scanPays(size), hasCells(s.AF) && !(l.takesCells(s.AF) && l.scansPieces(s.AF, size)):
		return gather{l.without(SplitStream)}.module(x, s, ends)
	case l.scansPieces(s.AF, size):
		return l.pieceScans(x, s, ends)
	}
	y, err := l.blockScans(l.joined(x, s.Name+".whole"), s)
	return streamOf(y), err
}

// branchFrame emits one frame's focal block without shift, selected or not.
// outer says that the map comes from outside the subgraph.
func (l branch) branchFrame(b *builder, x feature, ones *onesMap, blk *afblock.Block, cells *frameCells, selected, outer bool) (feature, error) {
	switch {
	case selected && cells != nil:
		whole := streamOf(x)
		outs, err := l.selectedCells(b, whole, frameMap{whole, x}, cells, []span{{0, blk.Out()}}, lanes(blk, false), outer && cells.use != boxNever && cells.lead == 0)
		if err != nil {
			return feature{}, err
		}
		return outs[0], nil
	case selected:
		return b.join(b.convs(x, blk), b.residual(x, blk), blk), nil
	}
	return l.unselectedFrame(b, x, ones, blk, outer)
}

// unselectedFrame emits the answer to a frame not selected, whose residual path
// reads x.
func (l branch) unselectedFrame(b *builder, x feature, ones *onesMap, blk *afblock.Block, outer bool) (feature, error) {
	y := b.residual(x, blk)
	if l.net.Unselected == afblock.UnselectedBias {
		zero, err := b.zeroAnswer(x, ones, blk, outer && blk.Residual.Conv == nil)
		if err != nil {
			return feature{}, err
		}
		return b.join(y.with(zero), y, blk), nil
	}
	if blk.Act != afblock.Identity {
		return b.end(y, blk), nil
	}
	// A subgraph must make what it returns.
	return y.with(b.node("Identity", blk.Key+".same", in(y.v))), nil
}

// zeroAnswer emits F(0) for a sum with the residual: as a convolution of ones,
// which takes the sum and ReLU in where the residual is in the blocked layout,
// or as a map.
func (b *builder) zeroAnswer(x feature, ones *onesMap, blk *afblock.Block, plainLayout bool) (*graph.Value, error) {
	if plainLayout {
		return b.zeroMap(blk, x)
	}
	kernel, err := b.borderKernel(blk, x.size())
	if err != nil {
		return nil, err
	}
	if kernel == nil {
		return b.zeroMap(blk, x)
	}
	k := int(kernel.Dims[2])
	w := b.weight(param{"afc." + blk.Key + ".zero_kernel", kernel})
	return b.node("Conv", blk.Key+".zero", in(ones.value(), w), windowAttrs(afblock.Window{Kernel: k, Stride: 1, Pad: k / 2})...), nil
}
