package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// shift emits the temporal shift of a map of whole clips: channels [0, fold) of
// a frame come from the next frame, [fold, 2·fold) from the one before, zero at
// the clip's ends, and the rest stay.
func (b *builder) shift(x feature, s *afblock.Shift, frames int, hint string) feature {
	fold := s.Fold
	if frames == 1 {
		// Both neighbours lie outside the clip.
		mask := make([]float32, x.c)
		for c := 2 * fold; c < x.c; c++ {
			mask[c] = 1
		}
		t := graph.Float32s([]int64{1, int64(x.c), 1, 1}, mask...)
		return x.with(b.node("Mul", hint, in(x.v, b.weight(param{"afc." + hint + ".keep", t}))))
	}
	rest := x.c - 2*fold
	sizes := []int64{int64(fold), int64(fold)}
	if rest > 0 {
		sizes = append(sizes, int64(rest))
	}
	parts := b.nodes("Split", hint+".split", in(x.v, b.vec(sizes...)), len(sizes), graph.Int("axis", 1))
	next, previous := 0, 1
	if s.PastFirst {
		next, previous = 1, 0
	}
	parts[next] = b.shiftOne(parts[next], fold, frames, 1, hint+".next")
	parts[previous] = b.shiftOne(parts[previous], fold, frames, -1, hint+".previous")
	return x.with(b.node("Concat", hint, parts, graph.Int("axis", 1)))
}

// shiftOne moves every channel of v by one frame: frame t takes frame t+by.
// Frames and channels are viewed as one axis, which leaves height and width
// untouched and so works for sizes not known.
func (b *builder) shiftOne(v *graph.Value, channels, frames, by int, hint string) *graph.Value {
	c, all := int64(channels), int64(channels*frames)
	v = b.reshape(v, hint+".clips", -1, all, 0, 0)
	var pads []int64
	if by > 0 {
		v = b.node("Slice", hint+".cut", in(v, b.vec(c), b.vec(all), b.vec(1)))
		pads = []int64{0, 0, 0, 0, 0, c, 0, 0}
	} else {
		v = b.node("Slice", hint+".cut", in(v, b.vec(0), b.vec(all-c), b.vec(1)))
		pads = []int64{0, c, 0, 0, 0, 0, 0, 0}
	}
	v = b.node("Pad", hint+".pad", in(v, b.vec(pads...)))
	return b.reshape(v, hint, -1, c, 0, 0)
}
