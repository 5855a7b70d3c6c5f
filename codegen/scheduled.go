package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// A block with a schedule computes the same frames of every clip. They are picked
// when the model is written, so that all shapes are static and nothing is decided
// at run time: gather computes them as a batch, branch one by one. Frames and
// channels are viewed as one axis, which leaves the batch, height and width open.

// scheduled emits a block with a schedule.
func (b *builder) scheduled(x feature, blk *afblock.Block, frames int) feature {
	main, residual := b.shifted(x, blk, frames)
	residual = b.residual(residual, blk)
	on := blk.Schedule.Select(frames)
	if b.opt.Lowering == Mask {
		return b.join(b.scheduledMask(main, blk, on), residual, blk)
	}
	computed, skipped := numbers(on, true), numbers(on, false)
	if len(skipped) == 0 {
		return b.join(b.convs(main, blk), residual, blk)
	}
	y := b.unscheduled(b.pickFrames(residual, skipped, frames, blk.Key+".skipped"), blk, main)
	z := b.convs(b.pickFrames(main, computed, frames, blk.Key+".computed"), blk)
	z = b.join(z, b.pickFrames(residual, computed, frames, blk.Key+".beside"), blk)
	both := b.node("Concat", blk.Key+".both", in(b.clipView(z.v, z.c*len(computed), blk.Key+".computed.clips"),
		b.clipView(y.v, y.c*len(skipped), blk.Key+".skipped.clips")), graph.Int("axis", 1))
	place := make([]int, frames) // of each frame in both
	for i, t := range slices.Concat(computed, skipped) {
		place[t] = i
	}
	return y.with(b.pickChannels(both, place, y.c, blk.Key+".place"))
}

// unscheduled ends a block for frames that its schedule skips, of which the
// residual path is given; like is a map that the main path reads.
func (b *builder) unscheduled(residual feature, blk *afblock.Block, like feature) feature {
	if b.unselected == afblock.UnselectedZero {
		return b.end(residual, blk)
	}
	name := "afc." + blk.Key + ".unselected"
	if b.answers[name] == nil {
		zero, err := b.zeroMap(blk, like)
		if err != nil {
			panic("BUG: " + err.Error()) // checkSchedules has seen to it
		}
		b.answers[name] = zero
	}
	return b.end(residual.with(b.node("Add", blk.Key+".add", in(residual.v, b.answers[name]))), blk)
}

// scheduledRun emits a run of blocks frame by frame: a frame's maps stay in the
// processor's cache, where those of a clip do not.
func (b *builder) scheduledRun(x feature, run []*afblock.Block, frames int) feature {
	hint := run[0].Key + ".frames"
	xs := []feature{x}
	if frames > 1 {
		sizes := slices.Repeat([]int64{int64(x.c)}, frames)
		parts := b.nodes("Split", hint+".split", in(b.clipView(x.v, x.c*frames, hint+".clips"), b.vec(sizes...)), frames, graph.Int("axis", 1))
		xs = nil
		for _, v := range parts {
			xs = append(xs, x.with(v))
		}
	}
	for _, blk := range run {
		xs = b.frameByFrame(xs, blk)
	}
	if frames == 1 {
		return xs[0]
	}
	var out []*graph.Value
	for _, y := range xs {
		out = append(out, y.v)
	}
	whole := b.node("Concat", hint+".joined", out, graph.Int("axis", 1))
	return xs[0].with(b.reshape(whole, hint, -1, int64(xs[0].c), 0, 0))
}

// frameByFrame emits a block on the frames of a clip, each a value of its own.
func (b *builder) frameByFrame(xs []feature, blk *afblock.Block) []feature {
	on := slices.Repeat([]bool{true}, len(xs))
	if blk.Schedule != nil {
		on = blk.Schedule.Select(len(xs))
	}
	var out []feature
	for t, x := range xs {
		main, residual := x, x
		if s := blk.Shift; s != nil && (on[t] || s.Residual) {
			if main = b.shiftedFrame(xs, t, s, blk.Key+".shift"); s.Residual {
				residual = main
			}
		}
		residual = b.residual(residual, blk)
		if on[t] {
			out = append(out, b.join(b.convs(main, blk), residual, blk))
		} else {
			out = append(out, b.unscheduled(residual, blk, x))
		}
	}
	return out
}

// shiftedFrame emits a frame with channels of its neighbours, zero where there
// are none.
func (b *builder) shiftedFrame(xs []feature, t int, s *afblock.Shift, hint string) feature {
	fold, x := s.Fold, xs[t]
	from := []int{t + 1, t - 1} // of the first channels, and of those behind
	if s.PastFirst {
		slices.Reverse(from)
	}
	var parts []*graph.Value
	pad := 0 // channels of zeros before the next part
	add := func(v *graph.Value) {
		if pad > 0 {
			v = b.node("Pad", hint+".pad", in(v, b.vec(0, int64(pad), 0, 0, 0, 0, 0, 0)))
		}
		parts, pad = append(parts, v), 0
	}
	for i, at := range from {
		if at < 0 || at >= len(xs) {
			pad += fold
			continue
		}
		add(b.channels(xs[at], i*fold, (i+1)*fold, hint+".moved"))
	}
	if 2*fold < x.c {
		add(b.channels(x, 2*fold, x.c, hint+".kept"))
	}
	if pad > 0 { // nothing of the frame itself is left, and no neighbour behind
		last := len(parts) - 1
		if last < 0 {
			return x.with(b.node("Mul", hint, in(x.v, b.floats(0))))
		}
		parts[last] = b.node("Pad", hint+".pad", in(parts[last], b.vec(0, 0, 0, 0, 0, int64(pad), 0, 0)))
	}
	if len(parts) == 1 {
		return x.with(parts[0])
	}
	return x.with(b.node("Concat", hint, parts, graph.Int("axis", 1)))
}

// channels cuts channels out of a map.
func (b *builder) channels(x feature, lo, hi int, hint string) *graph.Value {
	return b.node("Slice", hint, in(x.v, b.vec(int64(lo)), b.vec(int64(hi)), b.vec(1)))
}

// scheduledMask emits the main path of all frames, multiplied by the schedule.
func (b *builder) scheduledMask(x feature, blk *afblock.Block, on []bool) feature {
	masked := func(x feature) feature {
		mask := make([]float32, 0, len(on)*x.c)
		for _, s := range on {
			bit := float32(0)
			if s {
				bit = 1
			}
			mask = append(mask, slices.Repeat([]float32{bit}, x.c)...)
		}
		t := graph.Float32s([]int64{1, int64(len(mask)), 1, 1}, mask...)
		v := b.node("Mul", blk.Key+".masked.clips", in(b.clipView(x.v, len(mask), blk.Key+".clips"), b.weight(param{"afc." + blk.Key + ".mask", t})))
		return x.with(b.reshape(v, blk.Key+".masked", -1, int64(x.c), 0, 0))
	}
	if b.unselected == afblock.UnselectedBias {
		return b.convs(masked(x), blk)
	}
	return masked(b.convs(x, blk))
}

// numbers lists the frames that are on, or those that are not.
func numbers(on []bool, which bool) []int {
	var out []int
	for t, s := range on {
		if s == which {
			out = append(out, t)
		}
	}
	return out
}

// clipView views frames' maps as one map a clip.
func (b *builder) clipView(v *graph.Value, channels int, hint string) *graph.Value {
	return b.reshape(v, hint, -1, int64(channels), 0, 0)
}

// pickFrames picks frames of each clip, in order.
func (b *builder) pickFrames(x feature, which []int, frames int, hint string) feature {
	return x.with(b.pickChannels(b.clipView(x.v, x.c*frames, hint+".clips"), which, x.c, hint))
}

// pickChannels picks frames, c channels each, from maps of whole clips.
func (b *builder) pickChannels(v *graph.Value, which []int, c int, hint string) *graph.Value {
	var at []int64
	for _, t := range which {
		for k := range c {
			at = append(at, int64(t*c+k))
		}
	}
	index := graph.Int64s([]int64{int64(len(at))}, at...)
	v = b.node("Gather", hint+".gather", in(v, b.weight(param{"afc." + hint + ".channels", index})), graph.Int("axis", 1))
	return b.reshape(v, hint, -1, int64(c), 0, 0)
}

// checkSchedules refuses blocks with a schedule whose answer to a skipped frame
// cannot be told when the model is written.
func checkSchedules(net *afblock.Network, opt Options) error {
	switch {
	case net.Schedule() == nil:
		return nil
	case len(opt.Budget) > 0:
		return fmt.Errorf("a budget bounds what navigation chooses; the network's blocks compute the frames of a schedule (%s)", net.Schedule())
	case opt.Lowering == TopK || opt.Lowering == Plain:
		return fmt.Errorf("lowering %s is for frames that navigation chooses; frames of a schedule (%s) are computed by gather and branch, or masked", opt.Lowering, net.Schedule())
	case net.Unselected == afblock.UnselectedZero, opt.Lowering == Mask:
		return nil
	}
	if !net.Size.Known() {
		return fmt.Errorf("what a skipped frame is answered depends on height and width of a frame, which the network leaves open: fix the input's shape (--input-shapes), or give --unselected zero")
	}
	for u, err := range net.Walk(net.Size) {
		if err != nil {
			return err
		}
		if u.Block != nil && u.Block.Schedule != nil {
			if _, err := u.Block.ZeroResponse(u.In.Size); err != nil {
				return fmt.Errorf("block %s: its answer to a zero image: %w", u.Key, err)
			}
		}
	}
	return nil
}
