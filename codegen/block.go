package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// blocks emits a run of blocks, on a split stream where there is a shift, and
// shows what each reads to before, if given.
func (b *builder) blocks(x stream, run []*afblock.Block, frames int, before func(n int, x stream)) feature {
	last := run[len(run)-1]
	return b.joined(b.blocksOf(x, run, nil, frames, before), last.Key+".whole")
}

// blocksOf is blocks from stream to stream; ends is how what reads it would have
// it cut.
func (b *builder) blocksOf(x stream, run []*afblock.Block, ends []span, frames int, before func(n int, x stream)) stream {
	split := b.splitsRun(run)
	for i, blk := range run {
		if before != nil {
			before(i, x)
		}
		at, found := cutAhead(run[i+1:], blk.Out())
		if !found && ends != nil {
			at = ends
		}
		x = b.blockOf(x, blk, at, frames, split)
	}
	return x
}

// splitsRun reports whether a run of blocks goes on a split stream.
func (b *builder) splitsRun(run []*afblock.Block) bool {
	return b.opt.takes(SplitStream) && slices.ContainsFunc(run, hasShift)
}

// blockOf emits a block from stream to stream, with the given cuts where it can
// be split.
func (b *builder) blockOf(x stream, blk *afblock.Block, ends []span, frames int, split bool) stream {
	if !split || !splits(blk) {
		return streamOf(b.block(b.joined(x, blk.Key+".whole"), blk, frames))
	}
	return b.splitBlock(x, blk, ends, frames)
}

// block emits a residual block for every frame, or those of its schedule.
func (b *builder) block(x feature, blk *afblock.Block, frames int) feature {
	if blk.Schedule != nil {
		return b.scheduled(x, blk, frames)
	}
	main, residual := b.shifted(x, blk, frames)
	return b.join(b.convs(main, blk), b.residual(residual, blk), blk)
}

// shifted returns what a block's convolutions and its residual path read.
func (b *builder) shifted(x feature, blk *afblock.Block, frames int) (main, residual feature) {
	if blk.Shift == nil {
		return x, x
	}
	s := b.shift(x, blk.Shift, frames, blk.Key+".shift")
	if blk.Shift.Residual {
		return s, s
	}
	return s, x
}

// residual emits the residual path.
func (b *builder) residual(x feature, blk *afblock.Block) feature {
	if p := blk.Residual.Pool; p != nil {
		x = b.averagePool(x, *p, blk.Key+".downsample.pool")
	}
	if c := blk.Residual.Conv; c != nil {
		x = b.conv(x, convOf(c))
	}
	return x
}

// convs emits the main path.
func (b *builder) convs(x feature, blk *afblock.Block) feature { return b.layers(x, blk.Main, blk.Key) }

// layers emits one layer after the other; what has no key of its own is named
// after the layer before it, the first after key.
func (b *builder) layers(x feature, layers []afblock.Layer, key string) feature {
	for _, l := range layers {
		switch l := l.(type) {
		case *afblock.Conv:
			x, key = b.conv(x, convOf(l)), l.Key
		case afblock.Act:
			x = b.act(x, l, key)
		case *afblock.SqueezeExcite:
			x = b.squeezeExcite(x, l)
		case afblock.MaxPool:
			x = b.maxPool(x, afblock.Window(l), names.StemOut)
		default:
			panic(fmt.Sprintf("BUG: %T on a main path", l))
		}
	}
	return x
}

// act emits an activation behind what is called key.
func (b *builder) act(x feature, a afblock.Act, key string) feature {
	switch a {
	case afblock.Identity:
		return x
	case afblock.ReLU:
		return b.relu(x, names.Relu(key))
	case afblock.HSwish:
		return x.with(b.node("Mul", key+".hswish", in(x.v, b.act(x, afblock.HSigmoid, key).v)))
	case afblock.HSigmoid:
		return x.with(b.node("HardSigmoid", key+".hsigmoid", in(x.v), graph.Float("alpha", 1./6), graph.Float("beta", 0.5)))
	}
	panic(fmt.Sprintf("BUG: activation %s", a))
}

// squeezeExcite weighs the channels of x. Its linear layers are written as
// convolutions of maps of one pixel, which keep ONNX Runtime's blocked layout.
func (b *builder) squeezeExcite(x feature, l *afblock.SqueezeExcite) feature {
	seen := b.globalPool(x, l.Squeeze.Key+".pool")
	hidden := b.act(b.conv(seen, gateConv(&l.Squeeze)), afblock.ReLU, l.Squeeze.Key)
	scale := b.act(b.conv(hidden, gateConv(&l.Excite)), afblock.HSigmoid, l.Excite.Key)
	return x.with(b.node("Mul", l.Excite.Key+".scaled", in(x.v, scale.v)))
}

// join ends a block with the sum of its paths.
func (b *builder) join(main, residual feature, blk *afblock.Block) feature {
	if blk.Residual.None {
		return b.end(main, blk)
	}
	return b.end(b.add(main, residual, names.Sum(blk.Key)), blk)
}

// end applies the activation behind a block's sum.
func (b *builder) end(sum feature, blk *afblock.Block) feature { return b.act(sum, blk.Act, blk.Key) }
