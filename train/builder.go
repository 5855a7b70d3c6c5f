package train

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// builder appends nodes to a graph. Sizes are those of inference, which runs
// when a graph is whole.
type builder struct {
	g      *graph.Graph
	consts map[string]*graph.Value
}

func (b *builder) node(op, name string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	return b.g.NewNode(op, name, in, 1, attrs...).Output(0)
}

func (b *builder) unary(op, name string, x *graph.Value) *graph.Value {
	return b.node(op, name, []*graph.Value{x})
}

func (b *builder) binary(op, name string, x, y *graph.Value) *graph.Value {
	return b.node(op, name, []*graph.Value{x, y})
}

// constant adds a small constant once.
func (b *builder) constant(hint string, t *graph.Tensor, content any) *graph.Value {
	key := fmt.Sprint(hint, t.Dims, content)
	if b.consts[key] == nil {
		b.consts[key] = b.g.NewInitializer(hint, t)
	}
	return b.consts[key]
}

func (b *builder) ints(v ...int64) *graph.Value { return b.constant("ints", graph.Vec(v...), v) }

func (b *builder) number(x float64) *graph.Value {
	return b.constant("number", graph.Float32s(nil, float32(x)), x)
}

func (b *builder) scaled(x *graph.Value, by float64, name string) *graph.Value {
	return b.binary("Mul", name, x, b.number(by))
}

func (b *builder) reshape(x *graph.Value, name string, dims ...int64) *graph.Value {
	return b.binary("Reshape", name, x, b.ints(dims...))
}

// sum adds up along axes, which go; without axes, along all.
func (b *builder) sum(x *graph.Value, name string, axes ...int64) *graph.Value {
	in := []*graph.Value{x}
	if len(axes) > 0 {
		in = append(in, b.ints(axes...))
	}
	return b.node("ReduceSum", name, in, graph.Int("keepdims", 0))
}

// row makes a value of one element a vector of one.
func (b *builder) row(x *graph.Value, name string) *graph.Value { return b.reshape(x, name, 1) }

func (b *builder) concat(axis int64, name string, in ...*graph.Value) *graph.Value {
	return b.node("Concat", name, in, graph.Int("axis", axis))
}

func (b *builder) slice(x *graph.Value, name string, axis, from, to int64) *graph.Value {
	return b.node("Slice", name, []*graph.Value{x, b.ints(from), b.ints(to), b.ints(axis)})
}

func (b *builder) split(x *graph.Value, name string, axis int64, sizes ...int64) []*graph.Value {
	return b.g.NewNode("Split", name, []*graph.Value{x, b.ints(sizes...)}, len(sizes), graph.Int("axis", axis)).Outputs()
}

// output gives a value of a graph a name and makes it an output.
func (b *builder) output(x *graph.Value, name string) {
	if x.Name() != name {
		x.Rename(name)
	}
	b.g.AddOutput(x)
}

func windowAttrs(w afblock.Window) []*graph.Attribute {
	k, s, p := int64(w.Kernel), int64(w.Stride), int64(w.Pad)
	return []*graph.Attribute{graph.Ints("kernel_shape", k, k), graph.Ints("strides", s, s), graph.Ints("pads", p, p, p, p)}
}
