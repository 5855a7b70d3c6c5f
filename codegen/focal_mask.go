package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// maskBlock emits a focal block that computes every frame and multiplies by
// the mask: the block's input where an unselected frame's answer is F(0), the
// main path's output where it is zero.
func (l *lowerer) maskBlock(x feature, blk *afblock.Block, s selection) feature {
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.downsample(residual, blk)
	mask := l.reshape(s.mask, blk.Key+".mask", -1, 1, 1, 1)
	if l.net.Unselected == afblock.UnselectedBias {
		main = main.with(l.node("Mul", blk.Key+".masked", in(main.v, mask)))
	}
	main = l.convs(main, blk)
	if l.net.Unselected == afblock.UnselectedZero {
		main = main.with(l.node("Mul", blk.Key+".masked", in(main.v, mask)))
	}
	return l.join(main, residual, blk)
}
