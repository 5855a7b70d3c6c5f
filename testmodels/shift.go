package testmodels

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/graph"
)

// shifter emits one temporal shift: channels [0, fold) of frame t come from
// t+1, [fold, 2·fold) from t−1, zero at the clip's ends.
type shifter struct {
	*builder
	path             string // node name prefix
	x                *graph.Value
	n, t, c, h, fold int64 // n is −1 where the batch is dynamic
	used             int
}

func (b *builder) shift(k block, x *graph.Value) *graph.Value {
	s := &shifter{
		builder: b, path: k.path("conv1/"), x: x,
		n: int64(b.Batch), t: int64(b.Frames), c: int64(k.in), h: int64(k.side),
		fold: int64(k.in / b.FoldDiv),
	}
	if b.Dynamic {
		s.n = -1
	}
	if b.miss.shift != nil {
		return b.miss.shift(s)
	}
	switch b.Shift {
	case ShiftScatter:
		return s.scatter()
	case ShiftMMAction:
		return s.mmaction()
	case ShiftConcat:
		return s.concatZeros()
	case ShiftPad:
		return s.pad()
	case ShiftGather:
		return s.gather()
	}
	return s.conv1D()
}

// next returns a node name of the given operator.
func (s *shifter) next(op string) string {
	s.used++
	return fmt.Sprintf("%s%s_%d", s.path, op, s.used)
}

// view5 is the clip view [N, T, C, H, W].
func (s *shifter) view5() *graph.Value {
	return s.reshape(s.next("Reshape"), s.x, s.n, s.t, s.c, s.h, s.h)
}

// view4 is the clip view with height and width merged, [N, T, C, H·W].
func (s *shifter) view4() *graph.Value {
	return s.reshape(s.next("Reshape"), s.x, -1, s.t, s.c, s.h*s.h)
}

// back is the frame view [N·T, C, H, W], the batch baked in where it is static.
func (s *shifter) back(x *graph.Value) *graph.Value {
	frames := int64(-1)
	if s.n > 0 {
		frames = s.n * s.t
	}
	return s.reshape(s.next("Reshape"), x, frames, s.c, s.h, s.h)
}

func (s *shifter) cut(x *graph.Value, axis, from, to int64) *graph.Value {
	return s.slice(s.next("Slice"), x, axis, from, to)
}

// scatter spells three slice assignments onto zeros_like(x).
func (s *shifter) scatter() *graph.Value {
	x := s.view5()
	out := s.zeros(s.n, s.t, s.c, s.h, s.h)
	const end = math.MaxInt64
	out = s.assign(out, s.cut(s.cut(x, 1, 1, end), 2, 0, s.fold), 0, s.t-1, 0, s.fold)
	out = s.assign(out, s.cut(s.cut(x, 1, 0, -1), 2, s.fold, 2*s.fold), 1, s.t, s.fold, 2*s.fold)
	out = s.assign(out, s.cut(x, 2, 2*s.fold, end), 0, s.t, 2*s.fold, s.c)
	return s.back(out)
}

// assign is dst[:, t0:t1, c0:c1] = src as TorchScript exports it: every index
// is expanded to the shape of the place and the three are joined.
func (s *shifter) assign(dst, src *graph.Value, t0, t1, c0, c1 int64) *graph.Value {
	frames, channels := t1-t0, c1-c0
	place := []int64{s.n, frames, channels}
	src = s.op("Expand", s.next("Expand"), src, s.ints(s.n, frames, channels, s.h, s.h))
	index := func(from, n int64, shape ...int64) *graph.Value {
		v := make([]int64, n)
		for i := range v {
			v[i] = from + int64(i)
		}
		ones := s.node("ConstantOfShape", s.next("ConstantOfShape"), []*graph.Value{s.ints(3)}, graph.TensorAttr("value", graph.Vec(1)))
		minus := s.op("Mul", s.next("Mul"), ones, s.constant(graph.Int64s(nil, -1)))
		keep := s.op("Equal", s.next("Equal"), s.ints(place...), minus)
		to := s.op("Where", s.next("Where"), keep, ones, s.ints(place...))
		e := s.op("Expand", s.next("Expand"), s.constant(graph.Int64s(shape, v...)), to)
		return s.unsqueeze(s.next("Unsqueeze"), e, -1)
	}
	at := s.concat(s.next("Concat"), -1,
		index(0, s.n, s.n, 1, 1), index(t0, frames, frames, 1), index(c0, channels, channels))
	src = s.reshape(s.next("Reshape"), src, s.n, frames, channels, s.h, s.h)
	return s.op("ScatterND", s.next("ScatterND"), dst, at, src)
}

// mmaction spells mmaction2's TemporalShift.shift.
func (s *shifter) mmaction() *graph.Value {
	x := s.view4()
	left, mid, right := s.cut(x, 2, 0, s.fold), s.cut(x, 2, s.fold, 2*s.fold), s.cut(x, 2, 2*s.fold, math.MaxInt64)
	blank := s.cut(s.op("Sub", s.next("Sub"), left, left), 1, 0, 1)
	left = s.concat(s.next("Concat"), 1, s.cut(left, 1, 1, math.MaxInt64), blank)
	blank = s.cut(s.op("Sub", s.next("Sub"), mid, mid), 1, 0, 1)
	mid = s.concat(s.next("Concat"), 1, blank, s.cut(mid, 1, 0, -1))
	return s.back(s.concat(s.next("Concat"), 2, left, mid, right))
}

// concatZeros joins the shifted folds with zero frames: constants where the
// batch is static, else made from the shape.
func (s *shifter) concatZeros() *graph.Value {
	x := s.view4()
	var blank *graph.Value
	if s.n > 0 {
		blank = s.zeros(s.n, 1, s.fold, s.h*s.h)
	} else {
		shape := s.op("Shape", s.next("Shape"), x)
		clips := s.node("Gather", s.next("Gather"), []*graph.Value{shape, s.constant(graph.Int64s(nil, 0))}, graph.Int("axis", 0))
		to := s.concat(s.next("Concat"), 0, s.unsqueeze(s.next("Unsqueeze"), clips, 0), s.ints(1, s.fold, s.h*s.h))
		blank = s.op("ConstantOfShape", s.next("ConstantOfShape"), to)
	}
	left := s.concat(s.next("Concat"), 1, s.cut(s.cut(x, 2, 0, s.fold), 1, 1, math.MaxInt64), blank)
	mid := s.concat(s.next("Concat"), 1, blank, s.cut(s.cut(x, 2, s.fold, 2*s.fold), 1, 0, -1))
	return s.back(s.concat(s.next("Concat"), 2, left, mid, s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}

// pad pads the shifted folds with a zero frame.
func (s *shifter) pad() *graph.Value {
	x := s.view4()
	pad := func(x *graph.Value, before, behind int64) *graph.Value {
		pads := []int64{0, before, 0, 0, 0, behind, 0, 0}
		if s.Opset < 11 {
			return s.node("Pad", s.next("Pad"), []*graph.Value{x}, graph.Str("mode", "constant"), graph.Ints("pads", pads...), graph.Float("value", 0))
		}
		return s.node("Pad", s.next("Pad"), []*graph.Value{x, s.ints(pads...), s.constant(graph.Float32s(nil, 0))}, graph.Str("mode", "constant"))
	}
	left := pad(s.cut(s.cut(x, 2, 0, s.fold), 1, 1, math.MaxInt64), 0, 1)
	mid := pad(s.cut(s.cut(x, 2, s.fold, 2*s.fold), 1, 0, -1), 1, 0)
	return s.back(s.concat(s.next("Concat"), 2, left, mid, s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}

// gather picks each frame's neighbour, the clip's ends themselves, and multiplies
// by 1 or, at the end without a neighbour, 0.
func (s *shifter) gather() *graph.Value {
	x := s.view4()
	pick := func(from, to, by int64) *graph.Value {
		frames, kept := make([]int64, s.t), make([]float32, s.t)
		for t := range s.t {
			frames[t] = min(max(t+by, 0), s.t-1)
			if frames[t] == t+by {
				kept[t] = 1
			}
		}
		swap := graph.Ints("perm", 1, 0, 2, 3)
		p := s.node("Transpose", s.next("Transpose"), []*graph.Value{s.cut(x, 2, from, to)}, swap)
		p = s.op("GatherND", s.next("GatherND"), p, s.constant(graph.Int64s([]int64{s.t, 1}, frames...)))
		p = s.node("Transpose", s.next("Transpose"), []*graph.Value{p}, swap)
		return s.op("Mul", s.next("Mul"), p, s.constant(graph.Float32s([]int64{1, s.t, 1, 1}, kept...)))
	}
	return s.back(s.concat(s.next("Concat"), 2, pick(0, s.fold, 1), pick(s.fold, 2*s.fold, -1), s.cut(x, 2, 2*s.fold, math.MaxInt64)))
}

// conv1D convolves over time with one one-hot filter a channel.
func (s *shifter) conv1D() *graph.Value {
	x := s.node("Transpose", s.next("Transpose"), []*graph.Value{s.view4()}, graph.Ints("perm", 0, 3, 2, 1))
	x = s.reshape(s.next("Reshape"), x, -1, s.c, s.t)
	w := make([]float32, 3*s.c)
	for c := range s.c {
		switch {
		case c < s.fold:
			w[3*c+2] = 1
		case c < 2*s.fold:
			w[3*c] = 1
		default:
			w[3*c+1] = 1
		}
	}
	x = s.node("Conv", s.next("Conv"), []*graph.Value{x, s.constant(graph.Float32s([]int64{s.c, 1, 3}, w...))},
		graph.Ints("dilations", 1), graph.Int("group", s.c), graph.Ints("kernel_shape", 3), graph.Ints("pads", 1, 1), graph.Ints("strides", 1))
	x = s.reshape(s.next("Reshape"), x, -1, s.h*s.h, s.c, s.t)
	x = s.node("Transpose", s.next("Transpose"), []*graph.Value{x}, graph.Ints("perm", 0, 3, 2, 1))
	return s.back(x)
}
