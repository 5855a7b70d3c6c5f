package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
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
	c.shape(0)
	return c.err
}

func inferShape(c *inferCall) error {
	c.set(0, graph.Int64, graph.Shape{graph.Sym("")})
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	from, to := shapeRange(&c.opCall, len(s))
	c.set(0, graph.Int64, graph.ShapeOf(int64(to-from)))
	elems := make([]*sym.Expr, 0, to-from)
	for _, d := range s[from:to] {
		elems = append(elems, sym.Of(d))
	}
	c.out[0].elems = elems
	return nil
}

func inferSize(c *inferCall) error {
	c.set(0, graph.Int64, graph.ShapeOf())
	if s := c.in[0].shape; s != nil {
		c.out[0].elems = []*sym.Expr{sym.Product(s)}
	}
	return nil
}

func inferConstant(c *inferCall) error {
	if a := c.attr("value", graph.AttrTensor); a != nil {
		c.set(0, a.Tensor.DType, a.Tensor.Shape())
		return nil
	}
	if a := c.attr("value_strings", graph.AttrStrings); a != nil {
		c.set(0, graph.String, graph.ShapeOf(int64(len(a.Strings))))
		return nil
	}
	if a := c.attr("value_string", graph.AttrString); a != nil {
		c.set(0, graph.String, graph.ShapeOf())
		return nil
	}
	return errors.New("has no tensor value")
}

// shapeFrom turns the elements of a shape tensor into dimensions.
func shapeFrom(list []*sym.Expr) graph.Shape {
	s := make(graph.Shape, len(list))
	for i, e := range list {
		s[i] = e.Dim()
	}
	return s
}

func inferConstantOfShape(c *inferCall) error {
	elem := graph.Float32
	a := c.attr("value", graph.AttrTensor)
	if a != nil {
		elem = a.Tensor.DType
	}
	c.set(0, elem, nil)
	list := c.list(0, "")
	if c.err != nil {
		return c.err
	}
	shape := shapeFrom(list)
	c.set(0, elem, shape)
	// Exporters make −1s as long as a shape to compare it with.
	if n := sym.Product(shape); a != nil && domainOf(elem) == intDomain {
		if k, ok := n.Const(); ok && k <= maxFollowed {
			if v, err := a.Tensor.Int64s(); err == nil && len(v) == 1 {
				c.out[0].elems = slices.Repeat([]*sym.Expr{sym.Const(v[0])}, int(k))
			}
		}
	}
	return nil
}

func inferReshape(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	target := c.list(1, "shape")
	if c.err != nil {
		return c.err
	}
	if target == nil {
		return errors.New("has no shape")
	}
	in := c.in[0].shape
	out, free, rest := make(graph.Shape, len(target)), -1, []graph.Dim{}
	allowZero := c.int("allowzero", 0) != 0
	for i, e := range target {
		v, known := e.Const()
		switch {
		case known && v == 0 && !allowZero:
			if in != nil && i >= len(in) {
				return fmt.Errorf("shape takes dimension %d from %s", i, in)
			}
			out[i] = graph.Sym("")
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
		case known || e.AtLeast(0):
			// A symbol stands for a size of 1 or more here: a 0 would copy the
			// input's dimension, which then divides an empty tensor.
			out[i] = e.Dim()
			rest = append(rest, out[i])
		default: // may be −1
			out[i] = graph.Sym("")
			rest = append(rest, out[i])
		}
	}
	c.set(0, c.elem(0), out)
	if in == nil {
		if free >= 0 {
			out[free] = graph.Sym("")
		}
		return nil
	}
	n, r := sym.Product(in), sym.Product(rest)
	if free < 0 {
		a, okA := n.Const()
		b, okB := r.Const()
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
		free, r = open, sym.Product(slices.Delete(slices.Clone(out), open, open+1))
	}
	out[free] = graph.Sym("")
	if zero, ok := r.Const(); ok && zero == 0 {
		return nil
	}
	out[free] = n.Over(r).Dim()
	if a, ok := n.Const(); ok && !out[free].Known() {
		if b, ok := r.Const(); ok {
			return fmt.Errorf("%s cannot be reshaped: %d elements do not fill rows of %d", in, a, b)
		}
	}
	return nil
}

func inferFlatten(c *inferCall) error {
	c.set(0, c.elem(0), graph.Shape{graph.Sym(""), graph.Sym("")})
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	k, err := flattenAxis(c.int("axis", 1), len(s))
	if err != nil {
		return err
	}
	c.set(0, c.elem(0), graph.Shape{sym.Product(s[:k]).Dim(), sym.Product(s[k:]).Dim()})
	return nil
}

func inferSqueeze(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	axes := c.numbers(1, "axes")
	if c.err != nil {
		return c.err
	}
	set, err := axisSet(axes, len(s))
	if err != nil {
		return err
	}
	out := graph.Shape{}
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
	s := c.shape(0)
	axes := c.numbers(1, "axes")
	if c.err != nil {
		return c.err
	}
	out, err := unsqueeze(s, axes, graph.D(1))
	c.set(0, c.elem(0), out)
	return err
}

func inferTranspose(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	perm, err := permutation(c.ints("perm"), len(s))
	if err != nil {
		return err
	}
	out := make(graph.Shape, len(s))
	for i, p := range perm {
		out[i] = s[p]
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferDepthToSpace(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	b := c.int("blocksize", 0)
	if len(s) != 4 || b < 1 || b > 1<<15 {
		return fmt.Errorf("input has shape %s in blocks of %d, expected rank 4", s, b)
	}
	side, area := sym.Const(b), sym.Const(b*b)
	out := slices.Clone(s)
	if c.n.OpType == "DepthToSpace" {
		out[1], out[2], out[3] = sym.Of(s[1]).Over(area).Dim(), sym.Of(s[2]).Mul(side).Dim(), sym.Of(s[3]).Mul(side).Dim()
	} else {
		out[1], out[2], out[3] = sym.Of(s[1]).Mul(area).Dim(), sym.Of(s[2]).Over(side).Dim(), sym.Of(s[3]).Over(side).Dim()
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
	c.set(0, elem, graph.Shape{c.symbol()})
	var v [3]*sym.Expr
	for i := range v {
		if e := c.in[i].exprs(); len(e) == 1 {
			v[i] = e[0]
		}
		c.sameElem(0, i)
	}
	if c.err != nil {
		return c.err
	}
	if step, ok := v[2].Const(); ok && step > 0 {
		if n := v[1].Sub(v[0]); n.AtLeast(0) {
			c.set(0, elem, graph.Shape{n.Plus(step - 1).FloorDiv(step).Dim()})
		}
	}
	// Constants too long to follow still say how many there are.
	if a, b, d := c.constant(0), c.constant(1), c.constant(2); a != nil && b != nil && d != nil {
		var in [3]*arr
		for i, t := range []*graph.Tensor{a, b, d} {
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
		c.set(0, elem, graph.ShapeOf(n))
	}
	return nil
}

func inferEyeLike(c *inferCall) error {
	c.set(0, graph.DataType(c.int("dtype", int64(c.elem(0)))), c.in[0].shape)
	c.shape(0)
	return c.err
}

func inferOneHot(c *inferCall) error {
	c.set(0, c.elem(2), nil)
	s := c.shape(0)
	k := c.axis(c.int("axis", -1), len(s)+1)
	if c.err != nil {
		return c.err
	}
	depth := graph.Sym("")
	if e := c.in[1].exprs(); len(e) == 1 {
		depth = e[0].Dim()
	} else if t := c.constant(1); t != nil {
		if x, err := newArr(t); err == nil && domainOf(x.dtype) != noDomain && x.n() == 1 {
			depth = sym.Const(load[int64](x)[0]).Dim()
		}
	}
	c.set(0, c.elem(2), slices.Insert(slices.Clone(s), k, depth))
	return nil
}

func inferRandom(c *inferCall) error {
	elem := graph.DataType(c.int("dtype", int64(graph.Undefined)))
	if len(c.in) == 0 {
		if elem == graph.Undefined {
			elem = graph.Float32
		}
		dims := c.ints("shape")
		if dims == nil {
			return errors.New("has no shape")
		}
		if _, err := graph.NumElements(dims); err != nil {
			return err
		}
		c.set(0, elem, graph.ShapeOf(dims...))
		return nil
	}
	if elem == graph.Undefined {
		elem = c.elem(0)
	}
	c.set(0, elem, c.shape(0))
	return c.err
}

func inferNonZero(c *inferCall) error {
	c.set(0, graph.Int64, nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	c.set(0, graph.Int64, graph.Shape{graph.D(int64(max(len(s), 1))), c.symbol()})
	return nil
}

// joinShape concatenates; the result has a known rank, be it 0.
func joinShape(parts ...graph.Shape) graph.Shape {
	out := graph.Shape{}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
