package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// block emits a residual block for every frame.
func (b *builder) block(x feature, blk *afblock.Block, frames int) feature {
	main, residual := b.shifted(x, blk, frames)
	return b.join(b.convs(main, blk), b.downsample(residual, blk), blk)
}

// shifted returns what a block's convolutions and its residual path read.
func (b *builder) shifted(x feature, blk *afblock.Block, frames int) (main, residual feature) {
	if blk.Shift == nil {
		return x, x
	}
	s := b.shift(x, blk.Shift.Fold, frames, blk.Key+".shift")
	if blk.Shift.Residual {
		return s, s
	}
	return s, x
}

// downsample emits the residual path.
func (b *builder) downsample(x feature, blk *afblock.Block) feature {
	if p := blk.Downsample.Pool; p != nil {
		x = b.averagePool(x, *p, blk.Key+".downsample.pool")
	}
	if c := blk.Downsample.Conv; c != nil {
		x = b.conv(x, convOf(c))
	}
	return x
}

// convs emits the main path, ReLU between the convolutions.
func (b *builder) convs(x feature, blk *afblock.Block) feature {
	for i, c := range blk.Convs {
		if i > 0 {
			x = b.relu(x, blk.Convs[i-1].Key+".relu")
		}
		x = b.conv(x, convOf(c))
	}
	return x
}

// join ends a block: sum, and ReLU where the block has one.
func (b *builder) join(main, residual feature, blk *afblock.Block) feature {
	y := b.add(main, residual, blk.Key+".add")
	if blk.FinalReLU {
		y = b.relu(y, blk.Key+".relu")
	}
	return y
}
