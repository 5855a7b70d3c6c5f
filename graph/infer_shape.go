package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Rules of operators that move data or make shapes.

// inferSame is the rule of operators whose first output has the type of their
// first input.
func inferSame(c *inferCall) error {
	c.set(0, c.elem(0), c.in[0].shape)
	if c.in[0].isSeq || c.in[0].opaque {
		c.out[0] = *c.in[0]
		return nil
	}
	_, err := c.shape(0)
	return err
}

func inferShape(c *inferCall) error {
	c.set(0, Int64, Shape{Sym("")})
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	from, to := shapeRange(&c.opCall, len(s))
	c.set(0, Int64, ShapeOf(int64(to-from)))
	elems := make([]*expr, 0, to-from)
	for _, d := range s[from:to] {
		elems = append(elems, dimExpr(d))
	}
	c.out[0].elems = elems
	return nil
}

func inferSize(c *inferCall) error {
	c.set(0, Int64, ShapeOf())
	if s := c.in[0].shape; s != nil {
		c.out[0].elems = []*expr{mulDims(s)}
	}
	return nil
}

func inferConstant(c *inferCall) error {
	if a := c.attr("value", AttrTensor); a != nil {
		c.set(0, a.Tensor.DType, a.Tensor.Shape())
		return nil
	}
	if a := c.attr("value_strings", AttrStrings); a != nil {
		c.set(0, String, ShapeOf(int64(len(a.Strings))))
		return nil
	}
	if a := c.attr("value_string", AttrString); a != nil {
		c.set(0, String, ShapeOf())
		return nil
	}
	return errors.New("has no tensor value")
}

// shapeFrom turns the elements of a shape tensor into dimensions.
func shapeFrom(list []*expr) Shape {
	s := make(Shape, len(list))
	for i, e := range list {
		s[i] = e.dim()
	}
	return s
}

func inferConstantOfShape(c *inferCall) error {
	elem := Float32
	a := c.attr("value", AttrTensor)
	if a != nil {
		elem = a.Tensor.DType
	}
	c.set(0, elem, nil)
	list, err := c.list(0, "")
	if err != nil {
		return err
	}
	shape := shapeFrom(list)
	c.set(0, elem, shape)
	// Exporters make −1s as long as a shape to compare it with.
	if n := mulDims(shape); a != nil && domainOf(elem) == intDomain {
		if k, ok := n.isConst(); ok && k <= maxFollowed {
			if v, err := a.Tensor.Int64s(); err == nil && len(v) == 1 {
				c.out[0].elems = slices.Repeat([]*expr{constExpr(v[0])}, int(k))
			}
		}
	}
	return nil
}

func inferReshape(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	target, err := c.list(1, "shape")
	if err != nil {
		return err
	}
	if target == nil {
		return errors.New("has no shape")
	}
	in := c.in[0].shape
	out, free, rest := make(Shape, len(target)), -1, []Dim{}
	allowZero := c.int("allowzero", 0) != 0
	for i, e := range target {
		v, known := e.isConst()
		switch {
		case known && v == 0 && !allowZero:
			if in != nil && i >= len(in) {
				return fmt.Errorf("shape takes dimension %d from %s", i, in)
			}
			out[i] = Sym("")
			if in != nil {
				out[i] = in[i]
			}
			rest = append(rest, out[i])
		case known && v == -1:
			if free >= 0 {
				return errors.New("shape has more than one -1")
			}
			free = i
		case known && v < 0:
			return fmt.Errorf("shape has the negative dimension %d", v)
		case known || e.atLeast(0):
			// A symbol stands for a size of 1 or more here: a 0 would copy the
			// input's dimension, which then divides an empty tensor.
			out[i] = e.dim()
			rest = append(rest, out[i])
		default: // may be −1
			out[i] = Sym("")
			rest = append(rest, out[i])
		}
	}
	c.set(0, c.elem(0), out)
	if in == nil {
		if free >= 0 {
			out[free] = Sym("")
		}
		return nil
	}
	n, r := mulDims(in), mulDims(rest)
	if free < 0 {
		a, okA := n.isConst()
		b, okB := r.isConst()
		if okA && okB && a != b {
			return fmt.Errorf("%s cannot be reshaped to %s", in, out)
		}
		// One unknown dimension follows from the others.
		open := -1
		for i, d := range out {
			if !d.Known() && d.Param == "" {
				if open >= 0 {
					return nil
				}
				open = i
			}
		}
		if open < 0 {
			return nil
		}
		free, r = open, mulDims(slices.Delete(slices.Clone(out), open, open+1))
	}
	out[free] = Sym("")
	if zero, ok := r.isConst(); ok && zero == 0 {
		return nil
	}
	out[free] = n.over(r).dim()
	if a, ok := n.isConst(); ok && !out[free].Known() {
		if b, ok := r.isConst(); ok {
			return fmt.Errorf("%s cannot be reshaped: %d elements do not fill rows of %d", in, a, b)
		}
	}
	return nil
}

func inferFlatten(c *inferCall) error {
	c.set(0, c.elem(0), Shape{Sym(""), Sym("")})
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := flattenAxis(c.int("axis", 1), len(s))
	if err != nil {
		return err
	}
	c.set(0, c.elem(0), Shape{mulDims(s[:k]).dim(), mulDims(s[k:]).dim()})
	return nil
}

func inferSqueeze(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	axes, err := c.numbers(1, "axes")
	if err != nil {
		return err
	}
	set, err := axisSet(axes, len(s))
	if err != nil {
		return err
	}
	out := Shape{}
	for i, d := range s {
		switch {
		case axes == nil && !d.Known():
			return fmt.Errorf("whether to drop dimension %d of %s is not known", i, s)
		case axes == nil && d.Size == 1:
		case set[i] && d.Known() && d.Size != 1:
			return fmt.Errorf("axis %d of %s is not 1", i, s)
		case !set[i]:
			out = append(out, d)
		}
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferUnsqueeze(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	axes, err := c.numbers(1, "axes")
	if err != nil {
		return err
	}
	out, err := unsqueeze(s, axes, D(1))
	c.set(0, c.elem(0), out)
	return err
}

func inferTranspose(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	perm, err := permutation(c.ints("perm"), len(s))
	if err != nil {
		return err
	}
	out := make(Shape, len(s))
	for i, p := range perm {
		out[i] = s[p]
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferConcat(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	first, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", 1), len(first))
	if err != nil {
		return err
	}
	out, sum := slices.Clone(first), constExpr(0)
	for i := range c.in {
		s, err := c.shape(i)
		if err == nil {
			err = c.sameElem(0, i)
		}
		if err != nil {
			return err
		}
		if len(s) != len(out) {
			return fmt.Errorf("input %d has shape %s, expected rank %d", i, s, len(out))
		}
		for a, d := range s {
			switch {
			case a == k:
				sum = sum.add(dimExpr(d))
			case out[a].Known() && d.Known() && out[a].Size != d.Size:
				return fmt.Errorf("input %d has shape %s, which does not fit %s along axis %d", i, s, first, k)
			case d.Known(), out[a].Param == "" && !out[a].Known():
				out[a] = d
			}
		}
	}
	out[k] = sum.dim()
	c.set(0, c.elem(0), out)
	return nil
}

func inferSplit(c *inferCall) error {
	for i := range c.out {
		c.set(i, c.elem(0), nil)
	}
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", 0), len(s))
	if err != nil {
		return err
	}
	parts, err := c.list(1, "split")
	if err != nil {
		return err
	}
	if parts == nil {
		count := int64(len(c.n.outputs))
		switch {
		case s[k].Known():
			sizes, err := splitSizes(&c.opCall, s[k].Size, nil)
			if err != nil {
				return err
			}
			for _, n := range sizes {
				parts = append(parts, constExpr(n))
			}
		default:
			parts = slices.Repeat([]*expr{dimExpr(s[k]).over(constExpr(count))}, int(count))
		}
	}
	for i := range c.out {
		if i >= len(parts) {
			return fmt.Errorf("has %d outputs for %d parts", len(c.out), len(parts))
		}
		out := slices.Clone(s)
		out[k] = parts[i].dim()
		c.set(i, c.elem(0), out)
	}
	return nil
}

func inferSlice(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	starts, err := c.list(1, "starts")
	if err != nil {
		return err
	}
	ends, err := c.list(2, "ends")
	if err != nil {
		return err
	}
	axes, err := c.numbers(3, "axes")
	if err != nil {
		return err
	}
	steps, err := c.list(4, "steps")
	if err != nil {
		return err
	}
	zeros := make([]int64, len(starts))
	if starts == nil {
		zeros = nil
	}
	at, _, err := sliceAxes(zeros, make([]int64, len(ends)), axes, nil, len(s))
	if err == nil && steps != nil && len(steps) != len(starts) {
		err = fmt.Errorf("has %d starts and %d steps", len(starts), len(steps))
	}
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	for i, k := range at {
		step := constExpr(1)
		if steps != nil {
			step = steps[i]
		}
		out[k] = slicedDim(s[k], starts[i], ends[i], step)
	}
	c.set(0, c.elem(0), out)
	return nil
}

// slicedDim is the size that a slice leaves of a dimension.
func slicedDim(d Dim, start, end, step *expr) Dim {
	by, ok := step.isConst()
	if !ok || by == 0 || start == nil || end == nil {
		return Sym("")
	}
	from, okF := start.isConst()
	to, okT := end.isConst()
	if d.Known() && okF && okT {
		_, n := sliceSpan(d.Size, from, to, by)
		return D(n)
	}
	size := dimExpr(d)
	if size == nil {
		return Sym("")
	}
	if by == -1 && okF && okT && from == -1 && to < -int64(maxOpenEnd) {
		return d // reversed
	}
	if by < 1 {
		return Sym("")
	}
	// Bring both ends to [0, size], as far as that can be decided.
	clamp := func(e *expr) *expr {
		if v, ok := e.isConst(); ok {
			switch {
			case v >= maxOpenEnd:
				return size
			case v <= -maxOpenEnd:
				return constExpr(0)
			case v < 0:
				e = size.add(e)
			}
		}
		switch {
		case !e.atLeast(0):
			return nil
		case size.sub(e).atLeast(0):
			return e
		case e.sub(size).atLeast(0):
			return size
		}
		return nil
	}
	length := clamp(end).sub(clamp(start))
	if !length.atLeast(0) {
		return Sym("")
	}
	return length.plus(by - 1).floorDiv(by).dim()
}

// maxOpenEnd is how far a slice's end must lie to mean "to the end" of a
// dimension whose size is not known: exporters write 2³¹−1 or 2⁶³−1.
const maxOpenEnd = 1<<31 - 1

func inferExpand(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	list, err := c.list(1, "")
	if err != nil {
		return err
	}
	for _, e := range list {
		if v, ok := e.isConst(); ok && v < 0 {
			return fmt.Errorf("expands to the negative dimension %d", v)
		}
	}
	out, err := broadcastShapes(s, shapeFrom(list))
	c.set(0, c.elem(0), out)
	return err
}

func inferTile(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	times, err := c.list(1, "")
	if err != nil {
		return err
	}
	if len(times) != len(s) {
		return fmt.Errorf("has %d repeats for rank %d", len(times), len(s))
	}
	out := make(Shape, len(s))
	for i, d := range s {
		out[i] = dimExpr(d).mul(times[i]).dim()
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferPad(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	out := make(Shape, len(s))
	for i := range out {
		out[i] = Sym("")
	}
	pads, err := padAmounts(&c.opCall, c.numbers, len(s))
	if err != nil {
		if c.opset >= 11 && c.constant(1) == nil {
			c.set(0, c.elem(0), out)
			return nil // pads of a run keep the rank
		}
		return err
	}
	for i, d := range s {
		out[i] = dimExpr(d).plus(pads[i] + pads[i+len(s)]).dim()
		if pads[i]+pads[i+len(s)] == 0 {
			out[i] = d
		}
		if d.Known() && !out[i].Known() {
			return fmt.Errorf("pads %v leave a negative size of %s", pads, s)
		}
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferGather(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	idx, err := c.shape(1)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", 0), len(s))
	if err != nil {
		return err
	}
	c.set(0, c.elem(0), joinShape(s[:k], idx, s[k+1:]))
	return nil
}

func inferGatherElements(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	idx, err := c.shape(1)
	c.set(0, c.elem(0), idx)
	return err
}

func inferGatherND(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	idx, err := c.shape(1)
	if err != nil {
		return err
	}
	batch, last := c.int("batch_dims", 0), len(idx)-1
	if last < 0 || !idx[last].Known() {
		return errors.New("the length of the index tuples is not known")
	}
	if batch < 0 || batch > int64(last) || batch+min(idx[last].Size, maxRank) > int64(len(s)) {
		return fmt.Errorf("indices %s do not index %s", idx, s)
	}
	c.set(0, c.elem(0), joinShape(idx[:last], s[batch+idx[last].Size:]))
	return nil
}

func inferRange(c *inferCall) error {
	elem := c.elem(0)
	c.set(0, elem, Shape{c.symbol()})
	var v [3]*expr
	for i := range v {
		if e := c.in[i].exprs(); len(e) == 1 {
			v[i] = e[0]
		}
		if err := c.sameElem(0, i); err != nil {
			return err
		}
	}
	if step, ok := v[2].isConst(); ok && step > 0 {
		if n := v[1].sub(v[0]); n.atLeast(0) {
			c.set(0, elem, Shape{n.plus(step - 1).floorDiv(step).dim()})
		}
	}
	// Constants too long to follow still say how many there are.
	if a, b, d := c.constant(0), c.constant(1), c.constant(2); a != nil && b != nil && d != nil {
		var in [3]*arr
		for i, t := range []*Tensor{a, b, d} {
			x, err := newArr(t)
			if err != nil {
				return err
			}
			if x.n() != 1 {
				return fmt.Errorf("input %d has %d elements, expected one", i, x.n())
			}
			in[i] = x
		}
		n, err := rangeCount(in[0], in[1], in[2])
		if err != nil {
			return err
		}
		c.set(0, elem, ShapeOf(n))
	}
	return nil
}

func inferEyeLike(c *inferCall) error {
	c.set(0, DataType(c.int("dtype", int64(c.elem(0)))), c.in[0].shape)
	_, err := c.shape(0)
	return err
}

func inferOneHot(c *inferCall) error {
	c.set(0, c.elem(2), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", -1), len(s)+1)
	if err != nil {
		return err
	}
	depth := Sym("")
	if e := c.in[1].exprs(); len(e) == 1 {
		depth = e[0].dim()
	} else if t := c.constant(1); t != nil {
		if x, err := newArr(t); err == nil && domainOf(x.dtype) != noDomain && x.n() == 1 {
			depth = constExpr(load[int64](x)[0]).dim()
		}
	}
	c.set(0, c.elem(2), slices.Insert(slices.Clone(s), k, depth))
	return nil
}

func inferNonZero(c *inferCall) error {
	c.set(0, Int64, nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	c.set(0, Int64, Shape{D(int64(max(len(s), 1))), c.symbol()})
	return nil
}

// joinShape concatenates; the result has a known rank, be it 0.
func joinShape(parts ...Shape) Shape {
	out := Shape{}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
