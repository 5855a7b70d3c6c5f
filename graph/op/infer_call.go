package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// inferCall is the inference of one node.
type inferCall struct {
	opCall
	*frame
	in  []*fact
	out []fact
}

// run finds the node's output facts by evaluation if everything is constant
// and small, else by the operator's rule.
func (c *inferCall) run() error {
	if fn := c.function(); fn != nil {
		return c.call(fn)
	}
	op, err := c.check(len(c.in))
	if err != nil {
		return err
	}
	for i := range op.minIn {
		if c.in[i] == nil {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	if c.fold(op) {
		return nil
	}
	if op.infer == nil {
		return errors.New("afc does not infer shapes of this operator")
	}
	err = op.infer(c)
	for i := range c.out { // attributes may say any number
		if o := &c.out[i]; o.elem != graph.Undefined && !o.elem.Known() {
			err = fmt.Errorf("output %d would have %s elements, which ONNX does not define", i, o.elem)
			o.elem = graph.Undefined
		}
	}
	if err != nil {
		return err
	}
	if c.err != nil {
		return c.err
	}
	c.move(op)
	c.settle()
	return nil
}

// fold evaluates a node of small constants.
func (c *inferCall) fold(op *operator) bool {
	switch op.cost {
	case costProduct, costWindow:
		return false // no shape depends on them, and they may take long
	}
	if op.eval == nil {
		return false
	}
	in, total := make([]*graph.Tensor, len(c.in)), int64(0)
	for i, x := range c.in {
		if x == nil {
			continue
		}
		if x.value == nil {
			return false
		}
		n, err := x.value.NumElements()
		if total += n; err != nil || total > maxFollowed {
			return false
		}
		in[i] = x.value
	}
	if !c.follow(total) {
		return false
	}
	out, err := evalNode(c.n, in, c.bind, EvalOptions{Opset: c.opset, MaxBytes: 64 * maxFollowed})
	if err != nil {
		return false // the operator's rule may still know the shape, or say what is wrong
	}
	for i, t := range out {
		if t != nil {
			c.out[i] = *constFact(t)
		}
	}
	return true
}

// move follows partly known elements through an operator that only moves them:
// it is evaluated on numbers that stand for the elements.
func (c *inferCall) move(op *operator) {
	if op.eval == nil || len(c.out) == 0 || c.elements < 0 {
		return
	}
	if c.str("reduction", "none") != "none" {
		return // some scattered elements are computed
	}
	pool := []*sym.Expr{sym.Const(0)} // what the operator itself fills in
	known := false                    // whether anything is known of any element
	in := make([]*graph.Tensor, len(c.in))
	for i, x := range c.in {
		switch {
		case x == nil:
		case !op.moved(i):
			if x.value == nil {
				return
			}
			in[i] = x.value
		default:
			elems := x.exprs()
			if elems == nil {
				n, ok := x.count()
				if !ok || domainOf(x.elem) != intDomain {
					return
				}
				elems = make([]*sym.Expr, n)
			} else {
				known = true
			}
			if len(pool)+len(elems) > maxFollowed {
				return
			}
			ids := span(int64(len(pool)), 1, int64(len(elems)))
			pool = append(pool, elems...)
			in[i] = graph.Int64s(x.shape.Dims(), ids...)
		}
	}
	if !known || !c.follow(int64(len(pool))) {
		return
	}
	out, err := evalNode(c.n, in, c.bind, EvalOptions{Opset: c.opset, MaxBytes: 64 * maxFollowed})
	if err != nil {
		return
	}
	for i, t := range out {
		if t == nil || c.out[i].elems != nil || c.out[i].value != nil || !c.out[i].shape.Static() || !slices.Equal(c.out[i].shape.Dims(), t.Dims) {
			continue
		}
		ids, err := t.Int64s()
		if err != nil {
			continue
		}
		c.out[i].elems = make([]*sym.Expr, len(ids))
		for k, id := range ids {
			c.out[i].elems[k] = pool[id]
		}
	}
}

// settle turns outputs whose elements all came out as numbers into constants.
func (c *inferCall) settle() {
	for i := range c.out {
		o := &c.out[i]
		if o.elems == nil || !o.shape.Static() {
			continue
		}
		v := make([]int64, len(o.elems))
		known := true
		for k, e := range o.elems {
			x, ok := e.Const()
			v[k], known = x, known && ok
		}
		if known && domainOf(o.elem) == intDomain {
			a := &arr{o.elem, o.shape.Dims(), make([]byte, len(v)*o.elem.Size())}
			store(a, v)
			o.value, o.elems = graph.MustTensor(a.dtype, a.dims, a.b), nil
		} else if !slices.ContainsFunc(o.elems, func(e *sym.Expr) bool { return e != nil }) {
			o.elems = nil
		}
	}
}

// count is the number of elements of a tensor of static shape that is small
// enough to be followed.
func (x *fact) count() (int64, bool) {
	if !x.shape.Static() {
		return 0, false
	}
	n, err := graph.NumElements(x.shape.Dims())
	return n, err == nil && n <= maxFollowed
}

// exprs returns the elements of an integer tensor as expressions, nil if
// nothing is known of them or they are too many.
func (x *fact) exprs() []*sym.Expr {
	if x.elems != nil || x.value == nil || domainOf(x.elem) != intDomain {
		return x.elems
	}
	if _, ok := x.count(); !ok {
		return nil
	}
	v, err := x.value.Int64s()
	if err != nil {
		return nil
	}
	out := make([]*sym.Expr, len(v))
	for i, n := range v {
		out[i] = sym.Const(n)
	}
	return out
}

// ---- What operators' rules are made of
//
// What asks for something that may not be there keeps the first error in c.err and
// goes on with nothing; a rule looks at c.err once it has all it needs.

// fail keeps an error, unless there was one before.
func (c *inferCall) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// shape returns the shape of input i, whose rank must be known.
func (c *inferCall) shape(i int) graph.Shape {
	switch {
	case !c.has(i):
		c.fail(fmt.Errorf("input %d is missing", i))
	case c.in[i].shape == nil:
		c.fail(fmt.Errorf("the shape of input %q is not known", c.n.Inputs()[i]))
	default:
		return c.in[i].shape
	}
	return nil
}

// axis resolves an axis of a tensor of a rank.
func (c *inferCall) axis(a int64, rank int) int {
	k, err := axis(a, rank)
	c.fail(err)
	return k
}

// has reports whether input i is given.
func (c *inferCall) has(i int) bool { return i < len(c.in) && c.in[i] != nil }

func (c *inferCall) elem(i int) graph.DataType {
	if c.has(i) {
		return c.in[i].elem
	}
	return graph.Undefined
}

// set gives output i its type, if the node has that output.
func (c *inferCall) set(i int, elem graph.DataType, shape graph.Shape) {
	if i < len(c.out) {
		c.out[i].elem, c.out[i].shape = elem, shape
	}
}

// list returns the elements of an integer-list input that was an attribute of
// that name in earlier opsets; nil if the node has neither. Elements may be
// nil; the length must be known.
func (c *inferCall) list(i int, name string) []*sym.Expr {
	if !c.has(i) {
		v := c.ints(name)
		if v == nil {
			return nil
		}
		out := make([]*sym.Expr, len(v))
		for k, n := range v {
			out[k] = sym.Const(n)
		}
		return out
	}
	if e := c.in[i].exprs(); e != nil {
		return e
	}
	s := c.shape(i)
	if c.err != nil {
		return nil
	}
	if len(s) > 1 || !s.Static() || len(s) == 1 && s[0].Size > maxRank {
		c.fail(fmt.Errorf("input %q is not a list of known length", c.n.Inputs()[i]))
		return nil
	}
	return make([]*sym.Expr, product(s.Dims()))
}

// numbers is list where every element must be a known number.
func (c *inferCall) numbers(i int, name string) []int64 {
	list := c.list(i, name)
	if list == nil {
		return nil
	}
	out := make([]int64, len(list))
	for k, e := range list {
		v, ok := e.Const()
		if !ok {
			c.fail(fmt.Errorf("the values of input %q are not known", c.n.Inputs()[i]))
			return nil
		}
		out[k] = v
	}
	return out
}

// constant returns the tensor of a constant input, nil if it is not one.
func (c *inferCall) constant(i int) *graph.Tensor {
	if c.has(i) {
		return c.in[i].value
	}
	return nil
}

// sameElem wants inputs a and b to have one element type, as far as known.
func (c *inferCall) sameElem(a, b int) {
	x, y := c.elem(a), c.elem(b)
	if x != graph.Undefined && y != graph.Undefined && x != y {
		c.fail(fmt.Errorf("inputs %d and %d are %s and %s, expected one type", a, b, x, y))
	}
}
