package op

import (
	"errors"
	"slices"

	"github.com/afc-project/afc/graph"
)

// How operators that keep, turn, cut, join and repeat tensors move elements.

// moveSame is any operator that keeps the elements in their row-major order.
func moveSame(c *moveCall) Movement {
	if c.output != 0 || !sameCount(c.dims(0), c.out) {
		return nil
	}
	return func(at []int64) ([]Piece, bool) { return []Piece{{Input: 0, At: at}}, true }
}

// sameCount reports whether known dimensions have equally many elements.
func sameCount(a, b []int64) bool {
	n, err1 := graph.NumElements(a)
	m, err2 := graph.NumElements(b)
	return a != nil && b != nil && err1 == nil && err2 == nil && n == m
}

// moveCast follows casts from one floating-point type to another, which change
// how finely numbers are written, and from an integer type to one of 32 bits or
// more, as indices take. Others compute: they cut off, wrap or compare.
func moveCast(c *moveCall) Movement {
	from, to := c.n.Input(0).Type.Elem, c.n.Output(0).Type.Elem
	switch {
	case from == to, from.IsFloat() && to.IsFloat():
	case domainOf(from) == intDomain && (to == graph.Int64 || to == graph.Int32):
	default:
		return nil
	}
	return moveSame(c)
}

func moveTranspose(c *moveCall) Movement {
	d := c.dims(0)
	perm, err := permutation(c.ints("perm"), len(d))
	if d == nil || err != nil || len(c.out) != len(d) {
		return nil
	}
	from, step := graph.Strides(d), make([]int64, len(d))
	for i, k := range perm {
		step[i] = from[k]
	}
	return c.strided(0, 0, step)
}

func moveSlice(c *moveCall) Movement {
	d := c.dims(0)
	starts, _, ok1 := c.list(1, "starts")
	axes, _, ok2 := c.list(3, "axes")
	steps, _, ok3 := c.list(4, "steps")
	if d == nil || len(c.out) != len(d) || !ok1 || !ok2 || !ok3 {
		return nil
	}
	which, steps, err := sliceAxes(starts, starts, axes, steps, len(d))
	if err != nil {
		return nil
	}
	step, base := graph.Strides(d), int64(0)
	for i, k := range which {
		// The output's sizes say where the slice ends.
		from, _ := sliceSpan(d[k], starts[i], starts[i], steps[i])
		if last := from + steps[i]*(c.out[k]-1); c.out[k] > d[k] || c.out[k] > 0 && (last < 0 || last >= d[k]) {
			return nil
		}
		base += from * step[k]
		step[k] *= steps[i]
	}
	return c.strided(0, base, step)
}

func moveConcat(c *moveCall) Movement {
	k, err := axis(c.int("axis", 1), len(c.out)) // as in opsets 1 to 3, where it had a default
	if err != nil {
		return nil
	}
	ends, end := make([]int64, len(c.n.Inputs())), int64(0)
	for i := range ends {
		d := c.dims(i)
		if len(d) != len(c.out) {
			return nil
		}
		end += d[k]
		ends[i] = end
	}
	if end != c.out[k] {
		return nil
	}
	inner, size := graph.Strides(c.out)[k], c.out[k]
	return func(at []int64) ([]Piece, bool) {
		parts := make([]Piece, len(ends))
		for i, a := range at {
			x := a / inner % size
			in, _ := slices.BinarySearch(ends, x+1)
			p := &parts[in]
			lo := int64(0)
			if in > 0 {
				lo = ends[in-1]
			}
			p.Input, p.Which = in, append(p.Which, i)
			p.At = append(p.At, (a/(inner*size)*(ends[in]-lo)+x-lo)*inner+a%inner)
		}
		return pieces(parts...), true
	}
}

// moveSplit reads the parts' sizes off the outputs' shapes.
func moveSplit(c *moveCall) Movement {
	d := c.dims(0)
	k, ok := c.axis(len(d))
	if d == nil || !ok || len(c.out) != len(d) {
		return nil
	}
	offset := int64(0)
	for _, o := range c.n.Outputs()[:c.output] {
		if o == nil || len(c.known.Dims(o)) != len(d) {
			return nil
		}
		offset += c.known.Dims(o)[k]
	}
	if offset+c.out[k] > d[k] {
		return nil
	}
	step := graph.Strides(d)
	return c.strided(0, offset*step[k], step)
}

func movePad(c *moveCall) Movement {
	d := c.dims(0)
	if d == nil || len(d) != len(c.out) || c.str("mode", "constant") != "constant" {
		return nil
	}
	pads, err := padAmounts(&c.opCall, func(i int, name string) ([]int64, error) {
		x, _, ok := c.list(i, name)
		if !ok {
			return nil, errors.New("is not constant")
		}
		return x, nil
	}, len(d))
	if err != nil {
		return nil
	}
	fill := Piece{Input: Filled, Value: float64(c.float("value", 0))}
	if c.n.Input(2) != nil {
		fill = Piece{Input: 2}
	}
	st := graph.Strides(d)
	return c.split(0, fill, func(x []int64) int64 {
		from := int64(0)
		for k, s := range st {
			i := x[k] - pads[k]
			if i < 0 || i >= d[k] {
				return -1
			}
			from += i * s
		}
		return from
	})
}

// broadcastSteps are the strides of a tensor broadcast to the output's sizes,
// nil if it does not fit.
func (c *moveCall) broadcastSteps(d []int64) []int64 {
	skip := len(c.out) - len(d)
	if d == nil || skip < 0 {
		return nil
	}
	for i, n := range d {
		if n != 1 && n != c.out[skip+i] {
			return nil
		}
	}
	return broadcastStrides(d, len(c.out))
}

func moveExpand(c *moveCall) Movement {
	if step := c.broadcastSteps(c.dims(0)); step != nil {
		return c.strided(0, 0, step)
	}
	return nil
}

func moveTile(c *moveCall) Movement {
	d := c.dims(0)
	if len(d) != len(c.out) || slices.Contains(d, 0) {
		return nil
	}
	st := graph.Strides(d)
	return c.each(0, func(x []int64) int64 {
		from := int64(0)
		for k, s := range st {
			from += x[k] % d[k] * s
		}
		return from
	})
}

// moveWhere follows each element to the operand that a constant condition
// takes.
func moveWhere(c *moveCall) Movement {
	var step [3][]int64
	for i := range step {
		if step[i] = c.broadcastSteps(c.dims(i)); step[i] == nil {
			return nil
		}
	}
	st := graph.Strides(c.out)
	return func(at []int64) ([]Piece, bool) {
		x := make([]int64, len(st))
		broadcast := func(operand int, a int64) (from int64) {
			coordinates(a, st, x)
			for k, i := range x {
				from += i * step[operand][k]
			}
			return from
		}
		tests := make([]int64, len(at))
		for i, a := range at {
			tests[i] = broadcast(0, a)
		}
		cond, ok := c.known.Elements(c.n.Input(0), tests)
		if !ok {
			return nil, false
		}
		parts := [2]Piece{{Input: 1}, {Input: 2}}
		for i, a := range at {
			p := &parts[0]
			if cond[i] == 0 {
				p = &parts[1]
			}
			p.Which, p.At = append(p.Which, i), append(p.At, broadcast(p.Input, a))
		}
		return pieces(parts[:]...), true
	}
}

// moveFill is operator ConstantOfShape.
func moveFill(c *moveCall) Movement {
	var value float64
	if a := c.attr("value", graph.AttrTensor); a != nil {
		x, err := newArr(a.Tensor)
		if err != nil || domainOf(x.dtype) == noDomain || x.n() != 1 {
			return nil
		}
		value = load[float64](x)[0]
	}
	return func([]int64) ([]Piece, bool) { return []Piece{{Input: Filled, Value: value}}, true }
}

// moveConv follows a depthwise convolution whose filters have a single 1 each:
// how some networks spell a shift.
func moveConv(c *moveCall) Movement {
	d, wd := c.dims(0), c.dims(1)
	if len(d) < 3 || len(wd) != len(d) || len(c.out) != len(d) || wd[1] != 1 || wd[0] != d[1] || c.out[1] != d[1] ||
		c.int("group", 1) != d[1] || c.str("auto_pad", "NOTSET") != "NOTSET" || c.n.Input(2) != nil && !c.zero(2) {
		return nil
	}
	w := c.known.Constant(c.n.Input(1))
	if w == nil {
		return nil
	}
	taps, ok := oneHot(w)
	if !ok {
		return nil
	}
	space := len(d) - 2
	list := func(name string, n int, def int64) []int64 {
		x := c.ints(name)
		if x == nil {
			return slices.Repeat([]int64{def}, n)
		}
		ok = ok && len(x) == n
		return x
	}
	pads, stride, dilation := list("pads", 2*space, 0), list("strides", space, 1), list("dilations", space, 1)
	if !ok {
		return nil
	}
	st, wst := graph.Strides(d), graph.Strides(wd)
	return c.split(0, Piece{Input: Filled}, func(x []int64) int64 {
		from, tap := x[0]*st[0]+x[1]*st[1], taps[x[1]]
		for k := range space {
			i := x[k+2]*stride[k] - pads[k] + tap/wst[k+2]*dilation[k]
			tap %= wst[k+2]
			if i < 0 || i >= d[k+2] {
				return -1
			}
			from += i * st[k+2]
		}
		return from
	})
}

// oneHot returns for each filter of [C, 1, k…] where its only 1 stands, and
// whether every filter is one 1 among zeros.
func oneHot(w *graph.Tensor) ([]int64, bool) {
	x, err := w.Float32s()
	if err != nil || w.Dims[0] == 0 || len(x) == 0 {
		return nil, false
	}
	taps := make([]int64, w.Dims[0])
	size := len(x) / len(taps)
	for c := range taps {
		ones := 0
		for k, f := range x[c*size : (c+1)*size] {
			switch f {
			case 0:
			case 1:
				ones++
				taps[c] = int64(k)
			default:
				return nil, false
			}
		}
		if ones != 1 {
			return nil, false
		}
	}
	return taps, true
}

// zero reports whether an input is a constant of zeros.
func (c *moveCall) zero(i int) bool {
	t := c.known.Constant(c.n.Input(i))
	if t == nil {
		return false
	}
	x, err := t.Float32s()
	return err == nil && !slices.ContainsFunc(x, func(f float32) bool { return f != 0 })
}
