package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// broadcastDim merges two dimensions. One that is known and not 1 decides: the
// other must be the same or 1 in a valid model.
func broadcastDim(a, b graph.Dim) (graph.Dim, error) {
	switch {
	case a.Size == 1:
		return b, nil
	case b.Size == 1:
		return a, nil
	case a.Known() && b.Known() && a.Size != b.Size:
		return graph.Dim{}, fmt.Errorf("dimensions %s and %s do not broadcast", a, b)
	case a.Known():
		return a, nil
	case b.Known():
		return b, nil
	case sym.SameDim(a, b):
		return a, nil
	}
	return graph.Sym(""), nil
}

// broadcastShapes merges two shapes of known rank.
func broadcastShapes(a, b graph.Shape) (graph.Shape, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		o := &out[len(a)-len(b)+i]
		m, err := broadcastDim(*o, d)
		if err != nil {
			return nil, fmt.Errorf("shapes %s and %s: %w", a, b, err)
		}
		*o = m
	}
	if out == nil {
		out = graph.Shape{}
	}
	return out, nil
}

// broadcast merges the shapes of all inputs; it is nil where that fails.
func (c *inferCall) broadcast() graph.Shape {
	out := c.shape(0)
	for i := 1; i < len(c.in) && c.err == nil; i++ {
		s := c.shape(i)
		if c.opset < 7 && c.int("broadcast", 0) != 0 {
			break // the second operand spreads over the first
		}
		var err error
		out, err = broadcastShapes(out, s)
		c.fail(err)
	}
	if c.err != nil {
		return nil
	}
	return out
}

// zipElems applies f to the elements of two operands under broadcasting, nil
// where nothing is known of them.
func (c *inferCall) zipElems(shape graph.Shape, f func(a, b *sym.Expr) *sym.Expr) []*sym.Expr {
	if !shape.Static() || c.opset < 7 {
		return nil
	}
	dims := shape.Dims()
	n, err := graph.NumElements(dims)
	if err != nil || n > maxFollowed || !c.follow(n) {
		return nil
	}
	a, b := c.in[0].exprs(), c.in[1].exprs()
	if a == nil || b == nil {
		return nil
	}
	at := make([]int64, len(dims))
	sa := broadcastStrides(c.in[0].shape.Dims(), len(dims))
	sb := broadcastStrides(c.in[1].shape.Dims(), len(dims))
	out := make([]*sym.Expr, n)
	for i := range out {
		var ia, ib int64
		for k, p := range at {
			ia += p * sa[k]
			ib += p * sb[k]
		}
		out[i] = f(a[ia], b[ib])
		next(at, dims)
	}
	return out
}

// quotient is an integer division, where it is known not to round up.
func quotient(a, b *sym.Expr) *sym.Expr {
	if q := a.Over(b); q != nil {
		return q
	}
	if d, ok := b.Const(); ok && d > 0 && a.AtLeast(0) {
		return a.FloorDiv(d)
	}
	return nil
}

// larger is the greater of two expressions whose order is known, else nil.
func larger(a, b *sym.Expr) *sym.Expr {
	switch {
	case a.Sub(b).AtLeast(0):
		return a
	case b.Sub(a).AtLeast(0):
		return b
	}
	return nil
}

// smaller is the lesser of two expressions whose order is known, else nil.
func smaller(a, b *sym.Expr) *sym.Expr {
	switch {
	case a.Sub(b).AtLeast(0):
		return b
	case b.Sub(a).AtLeast(0):
		return a
	}
	return nil
}

// inferArithmetic is the rule of Add, Sub, Mul, Div, Mod, Pow and the variadic
// Sum, Mean, Min, Max.
func inferArithmetic(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	for i := 1; i < len(c.in) && c.n.OpType != "Pow"; i++ {
		c.sameElem(0, i)
	}
	s := c.broadcast()
	c.set(0, c.elem(0), s)
	if c.err != nil || len(c.in) != 2 || domainOf(c.elem(0)) != intDomain {
		return c.err
	}
	var f func(a, b *sym.Expr) *sym.Expr
	switch c.n.OpType {
	case "Add":
		f = (*sym.Expr).Add
	case "Sub":
		f = (*sym.Expr).Sub
	case "Mul":
		f = (*sym.Expr).Mul
	case "Div":
		f = quotient
	case "Min":
		f = smaller
	case "Max":
		f = larger
	case "Mod":
		f = func(a, b *sym.Expr) *sym.Expr {
			if !a.AtLeast(0) || !b.AtLeast(1) {
				return nil
			}
			return a.Sub(quotient(a, b).Mul(b))
		}
	default:
		return nil
	}
	c.out[0].elems = c.zipElems(s, f)
	return nil
}

func truth(b bool) *sym.Expr {
	if b {
		return sym.Const(1)
	}
	return sym.Const(0)
}

// compareExprs decides a comparison, nil if it depends on the symbols.
func compareExprs(op string, a, b *sym.Expr) *sym.Expr {
	d := a.Sub(b)
	less, more, same := d.Neg().AtLeast(1), d.AtLeast(1), a.Equal(b)
	notLess, notMore := d.AtLeast(0), d.Neg().AtLeast(0)
	decide := func(yes, no bool) *sym.Expr {
		if yes || no {
			return truth(yes)
		}
		return nil
	}
	switch op {
	case "Equal":
		return decide(same, less || more)
	case "Less":
		return decide(less, notLess)
	case "LessOrEqual":
		return decide(notMore, more)
	case "Greater":
		return decide(more, notMore)
	case "GreaterOrEqual":
		return decide(notLess, less)
	}
	return nil
}

// inferCompare is the rule of comparisons and of And, Or, Xor.
func inferCompare(c *inferCall) error {
	c.set(0, graph.Bool, nil)
	c.sameElem(0, 1)
	s := c.broadcast()
	c.set(0, graph.Bool, s)
	if c.err != nil {
		return c.err
	}
	c.out[0].elems = c.zipElems(s, func(a, b *sym.Expr) *sym.Expr { return compareExprs(c.n.OpType, a, b) })
	return nil
}

// inferPredicate is the rule of operators of one operand that yield bools.
func inferPredicate(c *inferCall) error {
	c.set(0, graph.Bool, c.shape(0))
	if e := c.in[0].exprs(); c.n.OpType == "Not" && e != nil {
		for _, x := range e {
			if x != nil {
				x = truth(x.Equal(sym.Const(0)))
			}
			c.out[0].elems = append(c.out[0].elems, x)
		}
	}
	return c.err
}

func inferBitwise(c *inferCall) error {
	c.set(0, c.elem(0), c.broadcast())
	return c.err
}

func inferWhere(c *inferCall) error {
	c.sameElem(1, 2)
	c.set(0, c.elem(1), c.broadcast())
	return c.err
}

func inferNeg(c *inferCall) error {
	if err := inferSame(c); err != nil {
		return err
	}
	if e := c.in[0].exprs(); e != nil {
		for _, x := range e {
			c.out[0].elems = append(c.out[0].elems, x.Neg())
		}
	}
	return nil
}

func inferCast(c *inferCall) error {
	to := graph.DataType(c.int("to", 0))
	if c.n.OpType == "CastLike" {
		to = c.elem(1)
	}
	if to == graph.Undefined {
		return errors.New("casts to an unknown type")
	}
	c.set(0, to, c.shape(0))
	if to == graph.Int64 || to == graph.Int32 {
		c.out[0].elems = c.in[0].exprs()
	}
	return c.err
}

// inferAxisWise is the rule of operators that keep their input's type and
// whose axis attribute must fit it.
func inferAxisWise(c *inferCall) error {
	if err := inferSame(c); err != nil {
		return err
	}
	def := int64(-1)
	if c.opset < 13 {
		def = 1
	}
	_, err := flattenAxis(c.int("axis", def), len(c.in[0].shape))
	return err
}

func inferReduce(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	keep := c.int("keepdims", 1) != 0
	axes := c.numbers(1, "axes")
	if c.err != nil {
		if keep {
			out := slices.Repeat(graph.Shape{graph.Sym("")}, len(s))
			c.set(0, c.elem(0), out)
		}
		return c.err
	}
	set, none, err := reduceAxes(&c.opCall, axes, len(s))
	if err != nil {
		return err
	}
	out := graph.Shape{}
	for i, d := range s {
		switch {
		case none || !set[i]:
			out = append(out, d)
		case keep:
			out = append(out, graph.D(1))
		}
	}
	c.set(0, c.elem(0), out)
	if e := c.in[0].exprs(); e != nil && !none && !slices.Contains(set, false) {
		var acc *sym.Expr
		switch c.n.OpType {
		case "ReduceProd":
			acc = sym.Const(1)
			for _, x := range e {
				acc = acc.Mul(x)
			}
		case "ReduceSum":
			acc = sym.Const(0)
			for _, x := range e {
				acc = acc.Add(x)
			}
		default:
			return nil
		}
		c.out[0].elems = []*sym.Expr{acc}
	}
	return nil
}

func inferArgExtreme(c *inferCall) error {
	c.set(0, graph.Int64, nil)
	s := c.shape(0)
	k := c.axis(c.int("axis", 0), len(s))
	if c.err != nil {
		return c.err
	}
	out := slices.Clone(s)
	out[k] = graph.D(1)
	if c.int("keepdims", 1) == 0 {
		out = slices.Delete(out, k, k+1)
	}
	c.set(0, graph.Int64, out)
	return nil
}

func inferTopK(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	c.set(1, graph.Int64, nil)
	s := c.shape(0)
	k := c.axis(c.int("axis", -1), len(s))
	if c.err != nil {
		return c.err
	}
	out := slices.Clone(s)
	out[k] = graph.Sym("")
	if !c.has(1) {
		out[k] = sym.Const(c.int("k", -1)).Dim()
	} else if e := c.in[1].exprs(); len(e) == 1 {
		out[k] = e[0].Dim()
	}
	if out[k].Known() && s[k].Known() && out[k].Size > s[k].Size {
		return fmt.Errorf("takes %d of %d elements", out[k].Size, s[k].Size)
	}
	c.set(0, c.elem(0), out)
	c.set(1, graph.Int64, out)
	return nil
}
