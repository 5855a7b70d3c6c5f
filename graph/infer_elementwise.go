package graph

import (
	"errors"
	"fmt"
	"slices"
)

// broadcastDim merges two dimensions. One that is known and not 1 decides: the
// other must be the same or 1 in a valid model.
func broadcastDim(a, b Dim) (Dim, error) {
	switch {
	case a.Size == 1:
		return b, nil
	case b.Size == 1:
		return a, nil
	case a.Known() && b.Known() && a.Size != b.Size:
		return Dim{}, fmt.Errorf("dimensions %s and %s do not broadcast", a, b)
	case a.Known():
		return a, nil
	case b.Known():
		return b, nil
	case sameDim(a, b):
		return a, nil
	}
	return Sym(""), nil
}

// broadcastShapes merges two shapes of known rank.
func broadcastShapes(a, b Shape) (Shape, error) {
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
		out = Shape{}
	}
	return out, nil
}

// broadcast merges the shapes of all inputs from one on.
func (c *inferCall) broadcast(from int) (Shape, error) {
	var out Shape
	for i := from; i < len(c.in); i++ {
		s, err := c.shape(i)
		if err != nil {
			return nil, err
		}
		if i == from {
			out = s
			continue
		}
		if c.opset < 7 && c.int("broadcast", 0) != 0 {
			return out, nil // the second operand spreads over the first
		}
		if out, err = broadcastShapes(out, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// zipElems applies f to the elements of two operands under broadcasting, nil
// where nothing is known of them.
func (c *inferCall) zipElems(shape Shape, f func(a, b *expr) *expr) []*expr {
	if !shape.Static() || c.opset < 7 {
		return nil
	}
	dims := shape.Dims()
	n, err := numElements(dims)
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
	out := make([]*expr, n)
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
func quotient(a, b *expr) *expr {
	if q := a.over(b); q != nil {
		return q
	}
	if d, ok := b.isConst(); ok && d > 0 && a.atLeast(0) {
		return a.floorDiv(d)
	}
	return nil
}

// larger is the greater of two expressions whose order is known, else nil.
func larger(a, b *expr) *expr {
	switch {
	case a.sub(b).atLeast(0):
		return a
	case b.sub(a).atLeast(0):
		return b
	}
	return nil
}

// smaller is the lesser of two expressions whose order is known, else nil.
func smaller(a, b *expr) *expr {
	switch {
	case a.sub(b).atLeast(0):
		return b
	case b.sub(a).atLeast(0):
		return a
	}
	return nil
}

// inferArithmetic is the rule of Add, Sub, Mul, Div, Mod, Pow and the variadic
// Sum, Mean, Min, Max.
func inferArithmetic(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	for i := 1; i < len(c.in) && c.n.OpType != "Pow"; i++ {
		if err := c.sameElem(0, i); err != nil {
			return err
		}
	}
	s, err := c.broadcast(0)
	if err != nil {
		return err
	}
	c.set(0, c.elem(0), s)
	if len(c.in) != 2 || domainOf(c.elem(0)) != intDomain {
		return nil
	}
	var f func(a, b *expr) *expr
	switch c.n.OpType {
	case "Add":
		f = (*expr).add
	case "Sub":
		f = (*expr).sub
	case "Mul":
		f = (*expr).mul
	case "Div":
		f = quotient
	case "Min":
		f = smaller
	case "Max":
		f = larger
	case "Mod":
		f = func(a, b *expr) *expr {
			if !a.atLeast(0) || !b.atLeast(1) {
				return nil
			}
			return a.sub(quotient(a, b).mul(b))
		}
	default:
		return nil
	}
	c.out[0].elems = c.zipElems(s, f)
	return nil
}

func truth(b bool) *expr {
	if b {
		return constExpr(1)
	}
	return constExpr(0)
}

// compareExprs decides a comparison, nil if it depends on the symbols.
func compareExprs(op string, a, b *expr) *expr {
	d := a.sub(b)
	less, more, same := d.neg().atLeast(1), d.atLeast(1), a.equal(b)
	notLess, notMore := d.atLeast(0), d.neg().atLeast(0)
	decide := func(yes, no bool) *expr {
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
	c.set(0, Bool, nil)
	if err := c.sameElem(0, 1); err != nil {
		return err
	}
	s, err := c.broadcast(0)
	if err != nil {
		return err
	}
	c.set(0, Bool, s)
	c.out[0].elems = c.zipElems(s, func(a, b *expr) *expr { return compareExprs(c.n.OpType, a, b) })
	return nil
}

// inferPredicate is the rule of operators of one operand that yield bools.
func inferPredicate(c *inferCall) error {
	s, err := c.shape(0)
	c.set(0, Bool, s)
	if e := c.in[0].exprs(); c.n.OpType == "Not" && e != nil {
		for _, x := range e {
			if x != nil {
				x = truth(x.equal(constExpr(0)))
			}
			c.out[0].elems = append(c.out[0].elems, x)
		}
	}
	return err
}

func inferBitwise(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.broadcast(0)
	c.set(0, c.elem(0), s)
	return err
}

func inferWhere(c *inferCall) error {
	c.set(0, c.elem(1), nil)
	if err := c.sameElem(1, 2); err != nil {
		return err
	}
	s, err := c.broadcast(0)
	c.set(0, c.elem(1), s)
	return err
}

func inferNeg(c *inferCall) error {
	if err := inferSame(c); err != nil {
		return err
	}
	if e := c.in[0].exprs(); e != nil {
		for _, x := range e {
			c.out[0].elems = append(c.out[0].elems, x.neg())
		}
	}
	return nil
}

func inferCast(c *inferCall) error {
	to := DataType(c.int("to", 0))
	if c.n.OpType == "CastLike" {
		to = c.elem(1)
	}
	if to == Undefined {
		return errors.New("casts to an unknown type")
	}
	s, err := c.shape(0)
	c.set(0, to, s)
	if to == Int64 || to == Int32 {
		c.out[0].elems = c.in[0].exprs()
	}
	return err
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
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	keep := c.int("keepdims", 1) != 0
	axes, err := c.numbers(1, "axes")
	if err != nil {
		if keep {
			out := slices.Repeat(Shape{Sym("")}, len(s))
			c.set(0, c.elem(0), out)
		}
		return err
	}
	set, none, err := reduceAxes(&c.opCall, axes, len(s))
	if err != nil {
		return err
	}
	out := Shape{}
	for i, d := range s {
		switch {
		case none || !set[i]:
			out = append(out, d)
		case keep:
			out = append(out, D(1))
		}
	}
	c.set(0, c.elem(0), out)
	if e := c.in[0].exprs(); e != nil && !none && !slices.Contains(set, false) {
		var acc *expr
		switch c.n.OpType {
		case "ReduceProd":
			acc = constExpr(1)
			for _, x := range e {
				acc = acc.mul(x)
			}
		case "ReduceSum":
			acc = constExpr(0)
			for _, x := range e {
				acc = acc.add(x)
			}
		default:
			return nil
		}
		c.out[0].elems = []*expr{acc}
	}
	return nil
}

func inferArgExtreme(c *inferCall) error {
	c.set(0, Int64, nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", 0), len(s))
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	out[k] = D(1)
	if c.int("keepdims", 1) == 0 {
		out = slices.Delete(out, k, k+1)
	}
	c.set(0, Int64, out)
	return nil
}

func inferTopK(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	c.set(1, Int64, nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(c.int("axis", -1), len(s))
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	out[k] = Sym("")
	if !c.has(1) {
		out[k] = constExpr(c.int("k", -1)).dim()
	} else if e := c.in[1].exprs(); len(e) == 1 {
		out[k] = e[0].dim()
	}
	if out[k].Known() && s[k].Known() && out[k].Size > s[k].Size {
		return fmt.Errorf("takes %d of %d elements", out[k].Size, s[k].Size)
	}
	c.set(0, c.elem(0), out)
	c.set(1, Int64, out)
	return nil
}
