package testmodels

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// name returns a node name, or none where nodes are to be unnamed.
func (b *builder) name(n string) string {
	if b.Unnamed {
		return ""
	}
	return n
}

func (b *builder) node(op, name string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	return b.g.NewNode(op, b.name(name), in, 1, attrs...).Outputs()[0]
}

func (b *builder) op(op, name string, in ...*graph.Value) *graph.Value {
	return b.node(op, name, in)
}

// weight adds a trained tensor as an initializer or as what the Spec asks for.
func (b *builder) weight(key string, t *graph.Tensor) *graph.Value {
	key = "net." + key
	switch {
	case b.ConstantWeights:
		return b.node("Constant", key, nil, graph.TensorAttr("value", t))
	case b.InitializersAsInputs:
		b.g.AddInput(key, graph.TensorType(t.DType, t.Shape()))
	}
	return b.g.AddInitializer(key, t)
}

// constant emits a Constant node, as exporters do for what is not a weight.
func (b *builder) constant(t *graph.Tensor) *graph.Value {
	b.names++
	return b.node("Constant", fmt.Sprintf("/Constant_%d", b.names), nil, graph.TensorAttr("value", t))
}

func (b *builder) ints(v ...int64) *graph.Value { return b.constant(graph.Vec(v...)) }

func (b *builder) reshape(name string, x *graph.Value, to ...int64) *graph.Value {
	return b.op("Reshape", name, x, b.ints(to...))
}

// slice takes [from, to) of one axis.
func (b *builder) slice(name string, x *graph.Value, axis, from, to int64) *graph.Value {
	if b.Opset < 10 {
		return b.node("Slice", name, []*graph.Value{x}, graph.Ints("axes", axis), graph.Ints("starts", from), graph.Ints("ends", to))
	}
	return b.op("Slice", name, x, b.ints(from), b.ints(to), b.ints(axis), b.ints(1))
}

func (b *builder) concat(name string, axis int64, x ...*graph.Value) *graph.Value {
	return b.node("Concat", name, x, graph.Int("axis", axis))
}

func (b *builder) squeeze(name string, x *graph.Value, axes ...int64) *graph.Value {
	return b.axesOp("Squeeze", name, x, 13, axes)
}

func (b *builder) unsqueeze(name string, x *graph.Value, axes ...int64) *graph.Value {
	return b.axesOp("Unsqueeze", name, x, 13, axes)
}

func (b *builder) reduceMean(name string, x *graph.Value, keep int64, axes ...int64) *graph.Value {
	return b.axesOp("ReduceMean", name, x, 18, axes, graph.Int("keepdims", keep))
}

// axesOp emits an operator whose axes became an input at opset since.
func (b *builder) axesOp(op, name string, x *graph.Value, since int64, axes []int64, attrs ...*graph.Attribute) *graph.Value {
	if b.Opset < since {
		return b.node(op, name, []*graph.Value{x}, append([]*graph.Attribute{graph.Ints("axes", axes...)}, attrs...)...)
	}
	return b.node(op, name, []*graph.Value{x, b.ints(axes...)}, attrs...)
}

// zeros returns a float32 zero constant.
func (b *builder) zeros(d ...int64) *graph.Value {
	n := int64(1)
	for _, x := range d {
		n *= x
	}
	return b.constant(graph.Float32s(d, make([]float32, n)...))
}
