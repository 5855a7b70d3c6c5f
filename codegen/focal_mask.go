package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// maskBlock emits a focal block that computes every frame and masks those not
// selected.
func (l *lowerer) maskBlock(x feature, blk *afblock.Block, s selection) feature {
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.downsample(residual, blk)
	return l.join(l.maskedConvs(main, blk, s.mask), residual, blk)
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
