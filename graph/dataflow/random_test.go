package dataflow_test

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// sample is a model of one node that is followed, on data that only a run
// gives, with constants around it.
type sample struct {
	*rand.Rand
	m     *graph.Model
	feeds map[*graph.Value]*graph.Tensor // the inputs' elements, all different
	elem  graph.DataType                 // of the data
	next  int64                          // the next element of an input
}

// Opsets at which the forms of operators that move data changed.
var opsets = []int64{9, 10, 11, 12, 13, 18, 21}

// Element types with room for elements that all differ.
var elems = []graph.DataType{graph.Float32, graph.Float32, graph.Float64, graph.Float16, graph.Int64, graph.Int32, graph.Int8, graph.Uint8}

func newSample(rng *rand.Rand) *sample {
	return &sample{
		Rand: rng, m: graph.NewModel("sample", 8, opsets[rng.IntN(len(opsets))]), feeds: map[*graph.Value]*graph.Tensor{},
		elem: elems[rng.IntN(len(elems))], next: 2,
	}
}

func (s *sample) opset() int64 { return s.m.Opset("") }

// often is true three times in four.
func (s *sample) often() bool { return s.IntN(4) > 0 }

// between is a number from lo to hi, both included.
func (s *sample) between(lo, hi int) int64 { return int64(lo + s.IntN(hi-lo+1)) }

// any is mostly a number from lo to hi, and sometimes one at the edge of what
// fits.
func (s *sample) any(lo, hi int) int64 {
	if s.IntN(12) == 0 {
		return []int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt32, math.MaxInt32}[s.IntN(6)]
	}
	return s.between(lo, hi)
}

// dims makes sizes with at most 100 elements, so that 8 bits tell them apart.
func (s *sample) dims(minRank, maxRank int) []int64 {
	for {
		d := make([]int64, s.between(minRank, maxRank))
		n := int64(1)
		for i := range d {
			d[i] = s.between(1, 6)
			if s.IntN(40) == 0 {
				d[i] = 0
			}
			n *= d[i]
		}
		if n <= 100 {
			return d
		}
	}
}

// enlarge makes an axis so long that a tensor of these dimensions has more
// elements than are computed outright.
func (s *sample) enlarge(d []int64, k int) {
	d[k] = 1
	d[k] = 4100/max(elements(d), 1) + 1
}

// axis is one of a tensor's axes, sometimes counted from the end.
func (s *sample) axis(rank int) int64 {
	k := s.between(0, max(rank-1, 0))
	if s.IntN(3) == 0 {
		k -= int64(rank)
	}
	return k
}

// axes are some different axes of a tensor in any order.
func (s *sample) axes(rank int) []int64 {
	out := []int64{}
	for _, k := range s.Perm(rank)[:s.IntN(rank+1)] {
		if s.IntN(3) == 0 {
			k -= rank
		}
		out = append(out, int64(k))
	}
	return out
}

// data adds an input of the model.
func (s *sample) data(dims []int64) *graph.Value {
	v := s.m.Graph.AddInput(s.m.Graph.NewName("x"), graph.TensorType(s.elem, graph.ShapeOf(dims...)))
	n := elements(dims)
	x := make([]int64, n)
	for i := range x {
		x[i] = s.next
		s.next++
	}
	s.Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
	s.feeds[v] = tensor(s.elem, dims, x)
	return v
}

// numbers adds a constant of the data's type.
func (s *sample) numbers(dims []int64, of func() int64) *graph.Value {
	return s.constant(tensor(s.elem, dims, list(elements(dims), of)))
}

// indices adds a constant of integers. Large ones are spelled so that they are
// followed, not computed: the elements of a small constant, expanded.
func (s *sample) indices(dims []int64, of func() int64) *graph.Value {
	g := s.m.Graph
	if len(dims) > 0 && s.IntN(4) == 0 {
		k := s.IntN(len(dims))
		small := slices.Clone(dims)
		small[k] = min(small[k], 1)
		x := s.constant(graph.Int64s(small, list(elements(small), of)...))
		return g.NewNode("Expand", "", []*graph.Value{x, s.constant(graph.Vec(dims...))}, 1).Output(0)
	}
	if s.IntN(2) == 0 {
		return s.constant(tensor(graph.Int32, dims, list(elements(dims), of)))
	}
	return s.constant(graph.Int64s(dims, list(elements(dims), of)...))
}

func (s *sample) constant(t *graph.Tensor) *graph.Value { return s.m.Graph.NewInitializer("c", t) }
func (s *sample) vec(v ...int64) *graph.Value           { return s.constant(graph.Vec(v...)) }

// node adds a node with as many outputs.
func (s *sample) node(kind string, outputs int, in []*graph.Value, attrs ...*graph.Attribute) *graph.Node {
	return s.m.Graph.NewNode(kind, "n", in, outputs, attrs...)
}

// listed gives parameters as an input from an opset on, before as an attribute.
func (s *sample) listed(kind string, since int64, x *graph.Value, name string, v []int64, outputs int, attrs ...*graph.Attribute) *graph.Node {
	if s.opset() < since {
		return s.node(kind, outputs, []*graph.Value{x}, append(attrs, graph.Ints(name, v...))...)
	}
	return s.node(kind, outputs, []*graph.Value{x, s.vec(v...)}, attrs...)
}

func list(n int64, of func() int64) []int64 {
	x := make([]int64, n)
	for i := range x {
		x[i] = of()
	}
	return x
}

func elements(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// tensor makes a tensor of a type from integers.
func tensor(elem graph.DataType, dims, x []int64) *graph.Tensor {
	t, err := op.Cast(graph.Int64s(dims, x...), elem)
	if err != nil {
		panic(err)
	}
	return t
}

// samples makes a node of each operator that Trace follows. It need not be a
// valid one.
var samples = map[string]func(s *sample) *graph.Node{
	"Identity": func(s *sample) *graph.Node { return s.node("Identity", 1, []*graph.Value{s.data(s.dims(0, 4))}) },
	"Reshape": func(s *sample) *graph.Node {
		d := s.dims(0, 4)
		to := slices.Clone(d)
		s.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
		switch k := s.IntN(max(len(to), 1)); {
		case len(to) == 0:
			to = []int64{1}
		case s.IntN(3) == 0:
			to[k] = -1
		case s.IntN(3) == 0:
			to[k] = 0
		case len(to) > 1 && s.IntN(2) == 0:
			to = append([]int64{to[0] * to[1]}, to[2:]...)
		}
		return s.node("Reshape", 1, []*graph.Value{s.data(d), s.vec(to...)})
	},
	"Flatten": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		return s.node("Flatten", 1, []*graph.Value{s.data(d)}, graph.Int("axis", s.between(0, len(d))))
	},
	"Squeeze": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		var axes []int64
		for _, k := range s.axes(len(d)) {
			d[(k+int64(len(d)))%int64(len(d))] = 1
			axes = append(axes, k)
		}
		if axes == nil {
			return s.node("Squeeze", 1, []*graph.Value{s.data(d)})
		}
		return s.listed("Squeeze", 13, s.data(d), "axes", axes, 1)
	},
	"Unsqueeze": func(s *sample) *graph.Node {
		d := s.dims(0, 3)
		axes := s.axes(len(d) + 1)
		if len(axes) > 1 {
			axes = axes[:1]
		}
		return s.listed("Unsqueeze", 13, s.data(d), "axes", axes, 1)
	},
	"Cast": func(s *sample) *graph.Node {
		to := elems[s.IntN(len(elems))]
		if s.often() && s.elem.IsFloat() {
			to = []graph.DataType{graph.Float16, graph.Float32, graph.Float64}[s.IntN(3)]
		}
		return s.node("Cast", 1, []*graph.Value{s.data(s.dims(0, 4))}, graph.Int("to", int64(to)))
	},
	"CastLike": func(s *sample) *graph.Node {
		like := tensor(elems[s.IntN(len(elems))], nil, []int64{0})
		return s.node("CastLike", 1, []*graph.Value{s.data(s.dims(0, 4)), s.constant(like)})
	},
	"Transpose": func(s *sample) *graph.Node {
		d := s.dims(0, 4)
		if s.IntN(4) == 0 {
			return s.node("Transpose", 1, []*graph.Value{s.data(d)})
		}
		perm := []int64{}
		for _, k := range s.Perm(len(d)) {
			perm = append(perm, int64(k))
		}
		return s.node("Transpose", 1, []*graph.Value{s.data(d)}, graph.Ints("perm", perm...))
	},
	"Slice":   sampleSlice,
	"Concat":  sampleConcat,
	"Split":   sampleSplit,
	"Pad":     samplePad,
	"Conv":    sampleConv,
	"Gather":  sampleGather,
	"Where":   sampleWhere,
	"Add":     func(s *sample) *graph.Node { return sampleArithmetic(s, "Add", 0, 0) },
	"Sub":     func(s *sample) *graph.Node { return sampleArithmetic(s, "Sub", 0, 0) },
	"Mul":     func(s *sample) *graph.Node { return sampleArithmetic(s, "Mul", 0, 1) },
	"Div":     func(s *sample) *graph.Node { return sampleArithmetic(s, "Div", 1, 1) },
	"Scatter": func(s *sample) *graph.Node { return sampleScatter(s, "Scatter") },
	"ScatterElements": func(s *sample) *graph.Node {
		return sampleScatter(s, "ScatterElements")
	},
	"GatherElements": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		k := s.axis(len(d))
		at := (k + int64(len(d))) % int64(len(d))
		id := slices.Clone(d)
		for i := range id {
			id[i] = s.between(min(1, int(d[i])), int(d[i]))
		}
		if id[at] = s.between(1, 8); s.IntN(8) == 0 {
			s.enlarge(id, int(at))
		}
		idx := s.indices(id, func() int64 { return s.between(-int(d[at]), int(max(d[at]-1, 0))) })
		return s.node("GatherElements", 1, []*graph.Value{s.data(d), idx}, graph.Int("axis", k))
	},
	"GatherND": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		batch := s.IntN(4) / 3
		idx, _ := tuples(s, d, min(batch, len(d)-1))
		return s.node("GatherND", 1, []*graph.Value{s.data(d), idx}, graph.Int("batch_dims", int64(batch)))
	},
	"ScatterND": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		idx, upd := tuples(s, d, 0)
		x := s.data(d)
		if s.IntN(4) == 0 {
			x = s.numbers(d, func() int64 { return 0 })
		}
		return s.node("ScatterND", 1, []*graph.Value{x, idx, s.data(upd)})
	},
	"Expand": func(s *sample) *graph.Node {
		d := s.dims(0, 4)
		to := slices.Clone(d)
		for i := range to {
			if to[i] == 1 {
				to[i] = s.between(1, 4)
			} else if s.IntN(3) == 0 {
				to[i] = 1
			}
		}
		if s.IntN(2) == 0 {
			to = append([]int64{s.between(1, 3)}, to...)
		}
		return s.node("Expand", 1, []*graph.Value{s.data(d), s.vec(to...)})
	},
	"Tile": func(s *sample) *graph.Node {
		d := s.dims(1, 4)
		return s.node("Tile", 1, []*graph.Value{s.data(d), s.vec(list(int64(len(d)), func() int64 { return s.between(0, 3) })...)})
	},
	"ConstantOfShape": func(s *sample) *graph.Node {
		d := append(s.dims(1, 3), 1)
		s.enlarge(d, len(d)-1)
		if s.IntN(4) == 0 {
			return s.node("ConstantOfShape", 1, []*graph.Value{s.vec(d...)})
		}
		return s.node("ConstantOfShape", 1, []*graph.Value{s.vec(d...)}, graph.TensorAttr("value", tensor(s.elem, []int64{1}, []int64{s.between(0, 9)})))
	},
}

func sampleSlice(s *sample) *graph.Node {
	d := s.dims(1, 4)
	axes := s.axes(len(d))
	var starts, ends, steps []int64
	for _, k := range axes {
		n := int(d[(k+int64(len(d)))%int64(len(d))])
		step := s.any(-3, 3)
		if s.opset() < 10 {
			step = 1
		}
		from, to := s.any(-2*n-2, 2*n+2), s.any(-2*n-2, 2*n+2)
		if s.often() && (from < to) != (step > 0) {
			from, to = to, from // more often something is left
		}
		starts, ends, steps = append(starts, from), append(ends, to), append(steps, step)
	}
	attrs := []*graph.Attribute{graph.Ints("starts", starts...), graph.Ints("ends", ends...), graph.Ints("axes", axes...)}
	x := s.data(d)
	if s.opset() < 10 {
		return s.node("Slice", 1, []*graph.Value{x}, attrs...)
	}
	in := []*graph.Value{x, s.vec(starts...), s.vec(ends...), s.vec(axes...), s.vec(steps...)}
	if s.IntN(4) == 0 {
		in = in[:4]
	}
	return s.node("Slice", 1, in)
}

func sampleConcat(s *sample) *graph.Node {
	d := s.dims(1, 4)
	k := s.axis(len(d))
	at := (k + int64(len(d))) % int64(len(d))
	var in []*graph.Value
	for range s.between(1, 3) {
		part := slices.Clone(d)
		part[at] = s.between(0, 3)
		if s.IntN(4) == 0 {
			in = append(in, s.numbers(part, func() int64 { return 0 }))
		} else {
			in = append(in, s.data(part))
		}
	}
	return s.node("Concat", 1, in, graph.Int("axis", k))
}

func sampleSplit(s *sample) *graph.Node {
	d := s.dims(1, 4)
	k := s.axis(len(d))
	parts := int(s.between(1, 3))
	sizes, sum := make([]int64, parts), int64(0)
	for i := range sizes {
		sizes[i] = s.between(0, 3)
		sum += sizes[i]
	}
	d[(k+int64(len(d)))%int64(len(d))] = sum
	if s.IntN(4) == 0 && s.opset() < 18 {
		return s.node("Split", parts, []*graph.Value{s.data(d)}, graph.Int("axis", k))
	}
	return s.listed("Split", 13, s.data(d), "split", sizes, parts, graph.Int("axis", k))
}

func samplePad(s *sample) *graph.Node {
	d := s.dims(1, 4)
	mode := graph.Str("mode", []string{"constant", "constant", "constant", "constant", "reflect", "edge"}[s.IntN(6)])
	pads := list(int64(2*len(d)), func() int64 { return s.between(-1, 2) })
	if s.opset() < 11 {
		return s.node("Pad", 1, []*graph.Value{s.data(d)}, graph.Ints("pads", pads...), mode, graph.Float("value", float32(s.between(0, 2))))
	}
	in := []*graph.Value{s.data(d), s.vec(pads...), nil, nil}
	switch s.IntN(3) {
	case 0:
		in[2] = s.numbers(nil, func() int64 { return s.between(0, 9) })
	case 1:
		in[2] = s.data(nil)
	}
	if s.opset() >= 18 && s.IntN(2) == 0 {
		axes := s.axes(len(d))
		in[1], in[3] = s.vec(pads[:2*len(axes)]...), s.vec(axes...)
	}
	for in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	return s.node("Pad", 1, in, mode)
}

func sampleGather(s *sample) *graph.Node {
	d := s.dims(1, 4)
	k := s.axis(len(d))
	n := d[(k+int64(len(d)))%int64(len(d))]
	idx := s.indices(s.dims(0, 2), func() int64 { return s.between(-int(n), int(max(n-1, 0))) })
	return s.node("Gather", 1, []*graph.Value{s.data(d), idx}, graph.Int("axis", k))
}

// tuples makes index tuples into a tensor and the dimensions of what they name.
func tuples(s *sample, d []int64, batch int) (idx *graph.Value, named []int64) {
	depth := int(s.between(1, len(d)-batch))
	id := append(slices.Clone(d[:batch]), s.dims(0, 2)...)
	k := 0
	of := func() int64 {
		n := int(d[batch+k%depth])
		k++
		return s.between(-n, max(n-1, 0))
	}
	full := append(slices.Clone(id), int64(depth))
	return s.constant(graph.Int64s(full, list(elements(full), of)...)), append(id, d[batch+depth:]...)
}

func sampleScatter(s *sample, kind string) *graph.Node {
	d := s.dims(1, 4)
	k := s.axis(len(d))
	at := (k + int64(len(d))) % int64(len(d))
	if s.IntN(8) == 0 {
		s.enlarge(d, int((at+1)%int64(len(d))))
	}
	id := slices.Clone(d)
	for i := range id {
		id[i] = s.between(min(1, int(d[i])), int(d[i]))
	}
	idx := s.indices(id, func() int64 { return s.between(-int(d[at]), int(max(d[at]-1, 0))) })
	return s.node(kind, 1, []*graph.Value{s.data(d), idx, s.data(id)}, graph.Int("axis", k))
}

// thin makes some sizes 1, so that they are broadcast.
func (s *sample) thin(d []int64) []int64 {
	out := slices.Clone(d[s.IntN(len(d)+1)/max(len(d), 1)*s.IntN(len(d)+1):])
	for i := range out {
		if s.IntN(3) == 0 {
			out[i] = 1
		}
	}
	return out
}

func sampleWhere(s *sample) *graph.Node {
	d := s.dims(1, 3)
	if s.IntN(8) == 0 {
		d = append(d, 1)
		s.enlarge(d, len(d)-1)
	}
	cd := s.thin(d)
	bits := tensor(graph.Bool, cd, list(elements(cd), func() int64 { return s.between(0, 1) }))
	return s.node("Where", 1, []*graph.Value{s.constant(bits), s.data(s.thin(d)), s.data(s.thin(d))})
}

// sampleArithmetic computes with numbers that mostly lie between lo and hi,
// where the operator moves its other operand, or with the operand itself.
func sampleArithmetic(s *sample, kind string, lo, hi int) *graph.Node {
	d := s.dims(0, 3)
	x := s.data(s.thin(d))
	if s.IntN(6) == 0 {
		return s.node(kind, 1, []*graph.Value{x, x})
	}
	if s.IntN(8) == 0 {
		lo, hi = 0, 2
	}
	y := s.numbers(s.thin(d), func() int64 { return s.between(lo, hi) })
	if s.IntN(6) == 0 { // constants on both sides, more than are computed outright
		x = s.numbers([]int64{4100, 1}, func() int64 { return s.between(0, 9) })
		y = s.numbers([]int64{2}, func() int64 { return s.between(1, 5) })
	}
	in := []*graph.Value{x, y}
	if s.IntN(3) == 0 {
		slices.Reverse(in)
	}
	return s.node(kind, 1, in)
}

// sampleConv mostly shifts: a depthwise convolution of filters with one 1.
func sampleConv(s *sample) *graph.Node {
	s.elem = []graph.DataType{graph.Float32, graph.Float64, graph.Float16}[s.IntN(3)]
	space := int(s.between(1, 2))
	channels := s.between(1, 4)
	d, wd := []int64{s.between(1, 2), channels}, []int64{channels, 1}
	for range space {
		d, wd = append(d, s.between(1, 4)), append(wd, s.between(1, 3))
	}
	size := elements(wd[2:])
	w := make([]int64, elements(wd))
	for c := range channels {
		w[c*size+s.Int64N(size)] = 1
	}
	if s.IntN(8) == 0 {
		w[s.IntN(len(w))] += s.between(-1, 1)
	}
	in := []*graph.Value{s.data(d), s.constant(tensor(s.elem, wd, w))}
	if s.IntN(4) == 0 {
		in = append(in, s.numbers([]int64{channels}, func() int64 { return s.between(0, 3) / 3 }))
	}
	attrs := []*graph.Attribute{graph.Int("group", channels)}
	for _, a := range []struct {
		name   string
		n      int
		lo, hi int
	}{{"pads", 2 * space, 0, 2}, {"strides", space, 1, 2}, {"dilations", space, 1, 2}} {
		if s.IntN(2) == 0 {
			attrs = append(attrs, graph.Ints(a.name, list(int64(a.n), func() int64 { return s.between(a.lo, a.hi) })...))
		}
	}
	return s.node("Conv", 1, in, attrs...)
}
