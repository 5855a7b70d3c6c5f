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
	if c.in[0].other {
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

func inferDepthToSpace(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	b := c.int("blocksize", 0)
	if len(s) != 4 || b < 1 || b > 1<<15 {
		return fmt.Errorf("input has shape %s in blocks of %d, expected rank 4", s, b)
	}
	side, area := constExpr(b), constExpr(b*b)
	out := slices.Clone(s)
	if c.n.OpType == "DepthToSpace" {
		out[1], out[2], out[3] = dimExpr(s[1]).over(area).dim(), dimExpr(s[2]).mul(side).dim(), dimExpr(s[3]).mul(side).dim()
	} else {
		out[1], out[2], out[3] = dimExpr(s[1]).mul(area).dim(), dimExpr(s[2]).over(side).dim(), dimExpr(s[3]).over(side).dim()
	}
	for i, d := range out {
		if s[i].Known() && !d.Known() {
			return fmt.Errorf("input %s does not divide into blocks of %d", s, b)
		}
	}
	c.set(0, c.elem(0), out)
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

func inferRandom(c *inferCall) error {
	elem := DataType(c.int("dtype", int64(Undefined)))
	if len(c.in) == 0 {
		if elem == Undefined {
			elem = Float32
		}
		dims := c.ints("shape")
		if dims == nil {
			return errors.New("has no shape")
		}
		if _, err := numElements(dims); err != nil {
			return err
		}
		c.set(0, elem, ShapeOf(dims...))
		return nil
	}
	if elem == Undefined {
		elem = c.elem(0)
	}
	s, err := c.shape(0)
	c.set(0, elem, s)
	return err
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
