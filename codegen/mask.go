package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// mask is the strategy that computes every frame and masks those not selected.
type mask struct{ *lowerer }

func (m mask) check() error { return nil }

func (m mask) module(x stream, s *afblock.Stage, _ []span) (stream, error) {
	return m.batchModule(x, s, m.focal)
}

func (m mask) focal(x feature, blk *afblock.Block, s selection) (feature, error) {
	if s.cells != nil {
		return m.focalCells(x, blk, s)
	}
	if m.gathersShift(blk) {
		return m.join(m.maskedMoved(x, blk, s.mask), m.residual(x, blk), blk), nil
	}
	main, residual := m.shifted(x, blk, m.net.Frames)
	residual = m.residual(residual, blk)
	return m.join(m.maskedConvs(main, blk, s.mask), residual, blk), nil
}

// maskedMoved is maskedConvs of the shifted map, with only the channels that move
// taken out of x.
func (m mask) maskedMoved(x feature, blk *afblock.Block, mask *graph.Value) feature {
	mask = m.reshape(mask, blk.Key+".mask", -1, 1, 1, 1)
	moved := m.movedMap(x, blk)
	if m.net.Unselected != afblock.UnselectedBias {
		y := m.shiftedConvs(x, moved, blk)
		return y.with(m.node("Mul", blk.Key+".masked", in(y.v, mask)))
	}
	x = x.with(m.node("Mul", blk.Key+".masked", in(x.v, mask)))
	moved = moved.with(m.node("Mul", blk.Key+".moved.masked", in(moved.v, mask)))
	return m.shiftedConvs(x, moved, blk)
}

// maskedConvs emits the main path of the frames in x, multiplied by mask (0/1,
// one a frame): the path's input where an unselected frame's answer is F(0),
// its output where it is zero.
func (l *lowerer) maskedConvs(x feature, blk *afblock.Block, mask *graph.Value) feature {
	mask = l.reshape(mask, blk.Key+".mask", -1, 1, 1, 1)
	if l.net.Unselected == afblock.UnselectedBias {
		return l.convs(x.with(l.node("Mul", blk.Key+".masked", in(x.v, mask))), blk)
	}
	y := l.convs(x, blk)
	return y.with(l.node("Mul", blk.Key+".masked", in(y.v, mask)))
}

// focalCells emits a focal block that chooses inside the frames.
func (m mask) focalCells(x feature, blk *afblock.Block, s selection) (feature, error) {
	main, residual := m.shifted(x, blk, m.net.Frames)
	y := m.convs(main, blk)
	y, err := m.blended(y, blk, main, m.pixels(s.cells.picked, s.cells.grid, y, blk.Key+".pixels"))
	if err != nil {
		return feature{}, err
	}
	return m.join(y, m.residual(residual, blk), blk), nil
}
