package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// builder appends nodes to one graph. Builders of a model's subgraphs share
// its names, so that no value hides another, and its kernels.
type builder struct {
	g      *graph.Graph
	main   *builder                // of the model's main graph; nil there
	opt    *Options                // of the whole model
	taken  map[string]bool         // value names of the whole model
	consts map[string]*graph.Value // small constants of g, by type and content
	views  map[string]*graph.Value // g's views of kernels, by the kernel's name

	zeroResponses map[zeroAt]*afblock.ZeroResponse // of the whole model

	unselected afblock.Unselected      // as the network has it
	answers    map[string]*graph.Value // of blocks with a schedule, to frames that they skip
}

// zeroAt is what a block's F(0) depends on.
type zeroAt struct {
	blk  *afblock.Block
	size afblock.Size // of what it reads
}

func newBuilder(g *graph.Graph, opt *Options) *builder {
	return &builder{g: g, opt: opt, taken: map[string]bool{}, consts: map[string]*graph.Value{}, views: map[string]*graph.Value{},
		zeroResponses: map[zeroAt]*afblock.ZeroResponse{}, answers: map[string]*graph.Value{}}
}

// zeroResponse is a block's F(0), worked out once for all frames and pieces.
func (b *builder) zeroResponse(blk *afblock.Block, size afblock.Size) (*afblock.ZeroResponse, error) {
	at := zeroAt{blk, size}
	if z := b.zeroResponses[at]; z != nil {
		return z, nil
	}
	z, err := blk.ZeroResponse(size)
	if err != nil {
		return nil, fmt.Errorf("block %s: its answer to a zero image: %w", blk.Key, err)
	}
	b.zeroResponses[at] = z
	return z, nil
}

// sub returns a builder of a new graph that is to become a subgraph of one of
// b's nodes.
func (b *builder) sub(name string) *builder {
	s := newBuilder(graph.NewGraph(b.name(name)), b.opt)
	s.taken, s.zeroResponses, s.unselected = b.taken, b.zeroResponses, b.unselected
	if s.main = b.main; s.main == nil {
		s.main = b
	}
	return s
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

// weight returns a weight to compute with: the initializer of that name, made
// at first use, or, of a kernel inside a subgraph, a view of it.
func (b *builder) weight(p param) *graph.Value {
	if b.main != nil && len(p.tensor.Dims) == 4 {
		return b.view(p)
	}
	return b.initializer(p)
}

// view returns a kernel inside a subgraph. The model holds it once, in the main
// graph, whatever number of subgraphs read it. ONNX Runtime takes a
// convolution into its blocked layout only if the kernel belongs to the
// convolution's own graph: the Reshape, which it computes when it loads the
// model, makes it so, where an Identity would be dropped.
func (b *builder) view(p param) *graph.Value {
	v := b.views[p.name]
	if v == nil {
		v = b.reshape(b.main.initializer(p), p.name+".view", p.tensor.Dims...)
		b.views[p.name] = v
	}
	return v
}

// initializer returns g's initializer of that name, made at first use.
func (b *builder) initializer(p param) *graph.Value {
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
