package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// builder appends nodes to one graph. Builders of a model's subgraphs share
// its names, so that no value hides another.
type builder struct {
	g      *graph.Graph
	opt    *Options                // of the whole model
	taken  map[string]bool         // value names of the whole model
	consts map[string]*graph.Value // small constants of g, by type and content
}

func newBuilder(g *graph.Graph, opt *Options) *builder {
	return &builder{g: g, opt: opt, taken: map[string]bool{}, consts: map[string]*graph.Value{}}
}

// sub returns a builder of a new graph that is to become a subgraph of one of
// b's nodes.
func (b *builder) sub(name string) *builder {
	return &builder{g: graph.NewGraph(b.name(name)), opt: b.opt, taken: b.taken, consts: map[string]*graph.Value{}}
}

// name makes hint unique among the model's values.
func (b *builder) name(hint string) string {
	name := hint
	for i := 1; b.taken[name] || b.g.Value(name) != nil; i++ {
		name = fmt.Sprintf("%s_%d", hint, i)
	}
	b.taken[name] = true
	return name
}

// node appends a node with one output, which bears the node's name.
func (b *builder) node(op, hint string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	return b.nodes(op, hint, in, 1, attrs...)[0]
}

// nodes appends a node with n outputs, named after the node.
func (b *builder) nodes(op, hint string, in []*graph.Value, n int, attrs ...*graph.Attribute) []*graph.Value {
	name := b.name(hint)
	outs := []string{name}
	for i := 1; i < n; i++ {
		outs = append(outs, b.name(fmt.Sprintf("%s.%d", name, i)))
	}
	return slices.Clone(b.g.AddNode(op, "", name, in, outs, attrs...).Outputs())
}

// weight returns the initializer of that name, made at first use. One graph
// holds it once; graphs beside each other may each hold it.
func (b *builder) weight(p param) *graph.Value {
	if v := b.g.Value(p.name); v != nil {
		if v.Initializer() == nil {
			panic(fmt.Sprintf("BUG: weight name %q is taken by another value", p.name))
		}
		return v
	}
	b.taken[p.name] = true
	return b.g.AddInitializer(p.name, p.tensor)
}

// vec returns an int64 vector constant.
func (b *builder) vec(v ...int64) *graph.Value { return b.constant("vec", graph.Vec(v...), v) }

// scalar returns an int64 scalar constant.
func (b *builder) scalar(v int64) *graph.Value { return b.constant("int", graph.Int64s(nil, v), v) }

// floats returns a float32 constant of one element and no dimension, or a vector.
func (b *builder) floats(v ...float32) *graph.Value {
	if len(v) == 1 {
		return b.constant("float", graph.Float32s(nil, v...), v)
	}
	return b.constant("floats", graph.Float32s([]int64{int64(len(v))}, v...), v)
}

func (b *builder) constant(kind string, t *graph.Tensor, content any) *graph.Value {
	key := kind + fmt.Sprint(content)
	v := b.consts[key]
	if v == nil {
		v = b.g.AddInitializer(b.name("afc."+kind), t)
		b.consts[key] = v
	}
	return v
}

// output makes v an output of the graph under the given name.
func (b *builder) output(v *graph.Value, name string, t graph.Type) {
	if v.Name() != name {
		if b.g.Value(name) != nil {
			name = b.name(name)
		}
		v.Rename(name)
	}
	v.Type = t
	b.g.AddOutput(v)
}

// param is a weight and the name it bears in the model.
type param struct {
	name   string
	tensor *graph.Tensor
}

func in(v ...*graph.Value) []*graph.Value { return slices.Clone(v) }
