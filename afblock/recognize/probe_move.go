package recognize

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// movements are the operators that only move elements: each follows elements
// at of v, an output of n, to where n takes them from. False: not in this form.
var movements map[string]func(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool

func init() { // not a literal: the functions call back into trace
	movements = map[string]func(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool{
		"Identity": sameOrder, "Reshape": sameOrder, "Flatten": sameOrder, "Squeeze": sameOrder,
		"Unsqueeze": sameOrder, "Cast": moveCast, "CastLike": moveCast, "Dropout": sameOrder,
		"Transpose": moveTranspose, "Slice": moveSlice, "Concat": moveConcat, "Split": moveSplit,
		"Pad": movePad, "Expand": moveExpand, "Tile": moveTile, "Gather": moveGather,
		"GatherElements": moveGatherElements, "ScatterElements": moveScatterElements,
		"Scatter": moveScatterElements, "GatherND": moveGatherND, "ScatterND": moveScatterND, "Conv": moveConv,
	}
}

// sameOrder is any operator that keeps the elements in their row-major order.
func sameOrder(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	in := n.Input(0)
	d := p.dims(in)
	if d == nil || v.ProducerIndex() != 0 || elements(d) != elements(p.dims(v)) {
		return false
	}
	p.traceInto(in, at, out)
	return true
}

// moveCast takes a cast between floating-point types as movement: it changes
// how finely numbers are written, which afc leaves to the passes. One to
// integers cuts them off.
func moveCast(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	from := n.Input(0)
	return from != nil && from.Type.Elem.IsFloat() == v.Type.Elem.IsFloat() && sameOrder(p, n, v, at, out)
}

// strides returns the row-major strides of dims.
func strides(dims []int64) []int64 {
	s := make([]int64, len(dims))
	n := int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

// affine follows out[c] = in[base + Σ step[i]·c[i]] with c the coordinates in v.
func affine(p *probe, v, in *graph.Value, base int64, step, at []int64, out []cell) {
	st := strides(p.dims(v))
	from := make([]int64, len(at))
	for i, a := range at {
		f := base
		for k, s := range st {
			f += a / s * step[k]
			a %= s
		}
		from[i] = f
	}
	p.traceInto(in, from, out)
}

// broadcastIndex maps elements of a shape to those of one broadcast to it.
func broadcastIndex(dims, from []int64, at, to []int64) bool {
	if len(from) > len(dims) {
		return false
	}
	st, fst := strides(dims), strides(from)
	step := make([]int64, len(dims))
	for i := range from {
		k := i + len(dims) - len(from)
		switch from[i] {
		case dims[k]:
			step[k] = fst[i]
		case 1:
		default:
			return false
		}
	}
	for i, a := range at {
		f := int64(0)
		for k, s := range st {
			f += a / s * step[k]
			a %= s
		}
		to[i] = f
	}
	return true
}

func moveTranspose(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d := p.dims(n.Input(0))
	if d == nil {
		return false
	}
	perm := n.AttrInts("perm")
	if perm == nil {
		for i := range d {
			perm = append(perm, int64(len(d)-1-i))
		}
	}
	if len(perm) != len(d) {
		return false
	}
	st := strides(d)
	step := make([]int64, len(d))
	for i, k := range perm {
		if k < 0 || k >= int64(len(d)) {
			return false
		}
		step[i] = st[k]
	}
	affine(p, v, n.Input(0), 0, step, at, out)
	return true
}

func moveSlice(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d := p.dims(n.Input(0))
	if d == nil || len(p.dims(v)) != len(d) {
		return false
	}
	list := func(input int, attr string) ([]int64, bool) {
		if x := n.AttrInts(attr); x != nil {
			return x, true
		}
		if n.Input(input) == nil {
			return nil, true
		}
		return p.ints(n.Input(input))
	}
	starts, ok1 := list(1, "starts")
	axes, ok2 := list(3, "axes")
	steps, ok3 := list(4, "")
	if !ok1 || !ok2 || !ok3 {
		return false
	}
	st := strides(d)
	step, base := slices.Clone(st), int64(0)
	for i, s := range starts {
		axis, by := int64(i), int64(1)
		if i < len(axes) {
			axis = axes[i]
		}
		if i < len(steps) {
			by = steps[i]
		}
		if axis < 0 {
			axis += int64(len(d))
		}
		if axis < 0 || axis >= int64(len(d)) {
			return false
		}
		if s < 0 {
			s += d[axis]
		}
		if by < 0 {
			s = min(max(s, -1), d[axis]-1)
		} else {
			s = min(max(s, 0), d[axis])
		}
		base += s * st[axis]
		step[axis] = by * st[axis]
	}
	affine(p, v, n.Input(0), base, step, at, out)
	return true
}

// part is a run of elements along the axis of a Concat or Split.
type part struct {
	in     *graph.Value
	lo, hi int64
}

// moveParts follows elements whose coordinate along axis says which part they
// come from.
func moveParts(p *probe, v *graph.Value, axis int64, parts []part, at []int64, out []cell) bool {
	d := p.dims(v)
	if axis < 0 {
		axis += int64(len(d))
	}
	if axis < 0 || axis >= int64(len(d)) {
		return false
	}
	inner := strides(d)[axis]
	size := d[axis]
	for _, q := range parts {
		width := q.hi - q.lo
		var which []int
		var from []int64
		for i, a := range at {
			if k := a / inner % size; k >= q.lo && k < q.hi {
				which = append(which, i)
				from = append(from, (a/(inner*size)*width+k-q.lo)*inner+a%inner)
			}
		}
		for i, c := range p.trace(q.in, from) {
			out[which[i]] = c
		}
	}
	return true
}

func moveConcat(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	axis := n.AttrInt("axis", 0)
	rank := int64(len(p.dims(v)))
	if axis < 0 {
		axis += rank
	}
	var parts []part
	lo := int64(0)
	for _, in := range n.Inputs() {
		d := p.dims(in)
		if d == nil || int64(len(d)) != rank || axis < 0 || axis >= rank {
			return false
		}
		parts = append(parts, part{in, lo, lo + d[axis]})
		lo += d[axis]
	}
	return lo == p.dims(v)[axis] && moveParts(p, v, axis, parts, at, out)
}

// moveSplit reads the parts' sizes off the outputs' shapes.
func moveSplit(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	offset := int64(0)
	axis := n.AttrInt("axis", 0)
	for i, o := range n.Outputs() {
		d := p.dims(o)
		if d == nil {
			return false
		}
		if axis < 0 {
			axis += int64(len(d))
		}
		if axis < 0 || axis >= int64(len(d)) {
			return false
		}
		if i == v.ProducerIndex() {
			break
		}
		offset += d[axis]
	}
	return movePiece(p, n.Input(0), v, axis, offset, at, out)
}

// movePiece follows v, the piece of in that starts at offset along axis.
func movePiece(p *probe, in, v *graph.Value, axis, offset int64, at []int64, out []cell) bool {
	d := p.dims(in)
	if d == nil || len(d) != len(p.dims(v)) || axis < 0 || axis >= int64(len(d)) {
		return false
	}
	st := strides(d)
	affine(p, v, in, offset*st[axis], st, at, out)
	return true
}

func movePad(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, od := p.dims(n.Input(0)), p.dims(v)
	if d == nil || len(d) != len(od) || n.AttrString("mode", "constant") != "constant" {
		return false
	}
	pads, ok := n.AttrInts("pads"), true
	if pads == nil {
		pads, ok = p.ints(n.Input(1))
	}
	fill := n.AttrFloat("value", 0)
	if n.Input(2) != nil {
		one := p.trace(n.Input(2), []int64{0})
		if one[0].base != nil {
			return false
		}
		fill = one[0].val
	}
	lo := make([]int64, len(d))
	if n.Input(3) != nil { // axes, from opset 18
		axes, ok := p.ints(n.Input(3))
		if !ok || len(pads) != 2*len(axes) {
			return false
		}
		for i, a := range axes {
			if a < 0 {
				a += int64(len(d))
			}
			if a < 0 || a >= int64(len(d)) {
				return false
			}
			lo[a] = pads[i]
		}
	} else if !ok || len(pads) != 2*len(d) {
		return false
	} else {
		copy(lo, pads)
	}
	st, ost := strides(d), strides(od)
	var which []int
	var from []int64
	for i, a := range at {
		f, inside := int64(0), true
		for k, s := range ost {
			c := a/s - lo[k]
			a %= s
			inside = inside && c >= 0 && c < d[k]
			f += c * st[k]
		}
		if !inside {
			out[i] = cell{val: fill}
			continue
		}
		which = append(which, i)
		from = append(from, f)
	}
	for i, c := range p.trace(n.Input(0), from) {
		out[which[i]] = c
	}
	return true
}

func moveExpand(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d := p.dims(n.Input(0))
	from := make([]int64, len(at))
	if d == nil || !broadcastIndex(p.dims(v), d, at, from) {
		return false
	}
	p.traceInto(n.Input(0), from, out)
	return true
}

func moveTile(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, od := p.dims(n.Input(0)), p.dims(v)
	if d == nil || len(d) != len(od) || elements(d) == 0 {
		return false
	}
	st, ost := strides(d), strides(od)
	from := make([]int64, len(at))
	for i, a := range at {
		for k, s := range ost {
			from[i] += a / s % d[k] * st[k]
			a %= s
		}
	}
	p.traceInto(n.Input(0), from, out)
	return true
}

// moveConv follows a depthwise convolution whose filters have a single 1 each:
// how some networks spell a shift.
func moveConv(p *probe, n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	d, od, wd := p.dims(n.Input(0)), p.dims(v), p.dims(n.Input(1))
	if len(d) < 3 || len(wd) != len(d) || len(od) != len(d) || wd[1] != 1 || wd[0] != d[1] || n.AttrInt("group", 1) != d[1] {
		return false
	}
	if n.Input(2) != nil && !p.allZero(n.Input(2)) {
		return false
	}
	w := p.constant(n.Input(1))
	if w == nil {
		return false
	}
	taps, ok := oneHot(w)
	if !ok {
		return false
	}
	space := len(d) - 2
	pads, stride, dilation := n.AttrInts("pads"), n.AttrInts("strides"), n.AttrInts("dilations")
	if n.AttrString("auto_pad", "NOTSET") != "NOTSET" {
		return false
	}
	get := func(x []int64, k int, def int64) int64 {
		if k < len(x) {
			return x[k]
		}
		return def
	}
	st, ost, wst := strides(d), strides(od), strides(wd)
	var which []int
	var from []int64
	for i, a := range at {
		f := a / ost[0] * st[0]
		a %= ost[0]
		c := a / ost[1]
		a %= ost[1]
		f += c * st[1]
		tap, inside := taps[c]%wst[0], true
		for k := range space {
			pos := a/ost[k+2]*get(stride, k, 1) - get(pads, k, 0) + tap/wst[k+2]*get(dilation, k, 1)
			a %= ost[k+2]
			tap %= wst[k+2]
			inside = inside && pos >= 0 && pos < d[k+2]
			f += pos * st[k+2]
		}
		if !inside {
			out[i] = cell{}
			continue
		}
		which = append(which, i)
		from = append(from, f)
	}
	for i, c := range p.trace(n.Input(0), from) {
		out[which[i]] = c
	}
	return true
}

// oneHot returns for each filter of [C, 1, k…] where its only 1 stands, and
// whether every filter is one 1 among zeros.
func oneHot(w *graph.Tensor) ([]int64, bool) {
	x, err := w.Float32s()
	if err != nil || w.Dims[0] == 0 {
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

func (p *probe) allZero(v *graph.Value) bool {
	t := p.constant(v)
	if t == nil {
		return false
	}
	x, err := t.Float32s()
	return err == nil && !slices.ContainsFunc(x, func(f float32) bool { return f != 0 })
}
