package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
)

// blocks emits a run of blocks, on a split stream where there is a shift, and
// shows what each reads to before, if given.
func (b *builder) blocks(x feature, run []*afblock.Block, frames int, before func(n int, x stream)) feature {
	s := streamOf(x)
	split := b.opt.takes(SplitStream) && slices.ContainsFunc(run, hasShift)
	for i, blk := range run {
		if before != nil {
			before(i, s)
		}
		if !split || !splits(blk) {
			s = streamOf(b.block(b.joined(s, blk.Key+".whole"), blk, frames))
			continue
		}
		s = b.splitBlock(s, blk, cuts(run[i+1:], blk.Out()), frames)
	}
	return b.joined(s, run[len(run)-1].Key+".whole")
}

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

// join ends a block with the sum of its paths.
func (b *builder) join(main, residual feature, blk *afblock.Block) feature {
	return b.end(b.add(main, residual, blk.Key+".add"), blk)
}

// end applies the ReLU behind a block's sum, where the block has one.
func (b *builder) end(sum feature, blk *afblock.Block) feature {
	if !blk.FinalReLU {
		return sum
	}
	return b.relu(sum, blk.Key+".relu")
}
