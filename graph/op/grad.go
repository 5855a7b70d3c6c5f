package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Gradient appends to the node's graph the nodes that compute, from the
// gradients dy of the node's outputs (nil: none), those of its inputs that are
// wanted. An input's gradient is nil where the outputs do not change with it,
// or it is not wanted. All shapes must be inferred and known; the graph's opset
// must be 13 or later. What is added is standard ONNX and has types.
//
// Where a function has no derivative, as ReLU at 0, the gradient is what
// training frameworks take: 0 for ReLU, the first of equal elements for MaxPool.
func Gradient(n *graph.Node, dy []*graph.Value, wanted []bool) ([]*graph.Value, error) {
	op := operators[n.OpType]
	c := &gradCall{opCall: opCall{n: n, opset: n.Opset()}, g: n.Graph(), dy: dy, wanted: wanted, dx: make([]*graph.Value, len(n.Inputs()))}
	_, err := c.check(len(n.Inputs()))
	switch {
	case err != nil:
	case op.grad == nil:
		err = errors.New("afc does not differentiate this operator")
	case c.opset < 13:
		err = fmt.Errorf("opset %d: afc differentiates from opset 13 on", c.opset)
	case op.grad.rule != nil:
		op.grad.rule(c)
		err = c.err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	return c.dx, nil
}

// Differentiated lists the operators whose derivative Gradient knows, those that
// are constant between jumps left out.
func Differentiated() []string {
	var names []string
	for name, op := range operators {
		if op.grad != nil && op.grad.rule != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// gradient is what the table knows of an operator's derivative: a rule that
// builds nodes, or none where the outputs are constant between jumps.
type gradient struct{ rule func(*gradCall) }

var stops = &gradient{}

// gradCall is the differentiation of one node. Its first error stands in err.
type gradCall struct {
	opCall
	g      *graph.Graph
	dy     []*graph.Value // gradients of the outputs
	wanted []bool         // which inputs' gradients are wanted
	dx     []*graph.Value // gradients of the inputs, as far as found
	of     graph.DataType // of what is added; 0: as the node's output
}

func (c *gradCall) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// wants reports whether the gradient of input i is wanted.
func (c *gradCall) wants(i int) bool { return i < len(c.wanted) && c.wanted[i] && c.n.Input(i) != nil }

// dims returns a value's sizes, which must be known.
func (c *gradCall) dims(v *graph.Value) []int64 {
	if t := v.Const(); t != nil {
		return t.Dims
	}
	if !v.Type.Shape.Static() {
		c.fail("the shape %s of %q is not known", v.Type.Shape, v)
		return nil
	}
	return v.Type.Shape.Dims()
}

func (c *gradCall) elem() graph.DataType {
	if c.of != graph.Undefined {
		return c.of
	}
	return c.n.Output(0).Type.Elem
}

// add appends a node whose output has the element type of the node's and the
// given sizes.
func (c *gradCall) add(kind string, dims []int64, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	hint := c.n.Name
	if hint == "" {
		hint = c.n.OpType
	}
	v := c.g.NewNode(kind, "grad/"+hint+"/"+kind, in, 1, attrs...).Output(0)
	v.Type = graph.TensorType(c.elem(), graph.ShapeOf(dims...))
	return v
}

// Nodes of one or two operands; sizes are those of the first.
func (c *gradCall) unary(kind string, x *graph.Value) *graph.Value {
	return c.add(kind, c.dims(x), []*graph.Value{x})
}

func (c *gradCall) binary(kind string, x, y *graph.Value) *graph.Value {
	return c.add(kind, c.dims(x), []*graph.Value{x, y})
}

func (c *gradCall) mul(x, y *graph.Value) *graph.Value { return c.binary("Mul", x, y) }

// number is a scalar of the node's element type.
func (c *gradCall) number(x float64) *graph.Value { return c.numbers(nil, x) }

// numbers is a constant of the node's element type.
func (c *gradCall) numbers(dims []int64, x ...float64) *graph.Value {
	a := &arr{graph.Float64, dims, make([]byte, 8*len(x))}
	store(a, x)
	t, err := Cast(graph.MustTensor(a.dtype, a.dims, a.b), c.elem())
	if err != nil {
		c.fail("gradients of %s: %v", c.elem(), err)
		t = graph.Float32s(dims, make([]float32, len(x))...)
	}
	return c.g.NewInitializer("grad/number", t)
}

func (c *gradCall) ints(v ...int64) *graph.Value {
	return c.g.NewInitializer("grad/ints", graph.Vec(v...))
}

func (c *gradCall) reshape(x *graph.Value, dims ...int64) *graph.Value {
	if slices.Equal(c.dims(x), dims) {
		return x
	}
	return c.add("Reshape", dims, []*graph.Value{x, c.ints(dims...)})
}

func (c *gradCall) transpose(x *graph.Value, perm ...int64) *graph.Value {
	d := c.dims(x)
	out := make([]int64, len(perm))
	for i, p := range perm {
		out[i] = d[p]
	}
	return c.add("Transpose", out, []*graph.Value{x}, graph.Ints("perm", perm...))
}

// sum adds up along axes, which go if keep is false.
func (c *gradCall) sum(x *graph.Value, keep bool, axes ...int64) *graph.Value {
	if len(axes) == 0 {
		return x
	}
	var dims []int64
	for i, d := range c.dims(x) {
		if !slices.Contains(axes, int64(i)) {
			dims = append(dims, d)
		} else if keep {
			dims = append(dims, 1)
		}
	}
	k := int64(0)
	if keep {
		k = 1
	}
	return c.add("ReduceSum", dims, []*graph.Value{x, c.ints(axes...)}, graph.Int("keepdims", k))
}

// like adds up what broadcasting spread, so that x has the given sizes.
func (c *gradCall) like(x *graph.Value, dims []int64) *graph.Value {
	from := c.dims(x)
	lead := len(from) - len(dims)
	var axes []int64
	for i, d := range from {
		if i < lead || dims[i-lead] == 1 && d != 1 {
			axes = append(axes, int64(i))
		}
	}
	return c.reshape(c.sum(x, true, axes...), dims...)
}

func (c *gradCall) expand(x *graph.Value, dims []int64) *graph.Value {
	if slices.Equal(c.dims(x), dims) {
		return x
	}
	return c.add("Expand", dims, []*graph.Value{x, c.ints(dims...)})
}

// matmul multiplies the last two axes of x and y, which have the same others.
func (c *gradCall) matmul(x, y *graph.Value) *graph.Value {
	dims := slices.Clone(c.dims(x))
	if batch := c.dims(y); len(batch) > len(dims) {
		dims = append(slices.Clone(batch[:len(batch)-2]), dims[len(dims)-2:]...)
	}
	dims[len(dims)-1] = c.dims(y)[len(c.dims(y))-1]
	for i := range dims[:len(dims)-2] { // broadcast
		if k := i + len(c.dims(y)) - len(dims); k >= 0 {
			dims[i] = max(dims[i], c.dims(y)[k])
		}
	}
	return c.add("MatMul", dims, []*graph.Value{x, y})
}

// swapped exchanges the last two axes.
func (c *gradCall) swapped(x *graph.Value) *graph.Value {
	n := len(c.dims(x))
	perm := span(0, 1, int64(n))
	perm[n-1], perm[n-2] = perm[n-2], perm[n-1]
	return c.transpose(x, perm...)
}

// pad puts zeros around x, or cuts where amounts are negative.
func (c *gradCall) pad(x *graph.Value, before, after []int64) *graph.Value {
	if !slices.ContainsFunc(slices.Concat(before, after), func(p int64) bool { return p != 0 }) {
		return x
	}
	dims := slices.Clone(c.dims(x))
	for i := range dims {
		dims[i] += before[i] + after[i]
	}
	return c.add("Pad", dims, []*graph.Value{x, c.ints(slices.Concat(before, after)...)})
}

// constants returns the integers of a constant input, or of the attribute that
// it was in earlier opsets.
func (c *gradCall) constants(i int, name string) []int64 {
	v := c.n.Input(i)
	if v == nil {
		return c.opCall.ints(name)
	}
	t := v.Const()
	if t == nil {
		c.fail("input %q is not constant", v)
		return nil
	}
	x, err := t.Int64s()
	if err != nil {
		c.fail("input %q: %v", v, err)
	}
	return x
}
