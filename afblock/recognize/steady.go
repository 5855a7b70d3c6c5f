package recognize

import (
	"github.com/afc-project/afc/graph"
)

// Steady returns the model that an AFNet was recognised in without the noise in
// its choices, which then go to the larger logit: random numbers are in the
// middle of their range. It is a copy, or, where there is no noise, the model
// itself.
func (s *Shell) Steady() *graph.Model {
	if s.exported == nil || s.exported.Noise == nil {
		return s.model
	}
	m := s.model.Clone()
	var noise []*graph.Node
	for n := range m.Graph.Nodes() {
		if isRandom(n) {
			noise = append(noise, n)
		}
	}
	for _, n := range noise {
		quieten(m.Graph, n)
	}
	return m
}

// quieten has the readers of a random node read what it makes at the middle of
// its range.
func quieten(g *graph.Graph, n *graph.Node) {
	v := n.Output(0)
	elem := graph.DataType(n.AttrInt("dtype", int64(v.Type.Elem)))
	if elem == graph.Undefined {
		elem = graph.Float32
	}
	before := func(opType string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
		k := g.NewNode(opType, v.Name()+".steady", in, 1, attrs...)
		g.MoveBefore(k, n)
		return k.Output(0)
	}
	var steady *graph.Value
	if n.Is("Bernoulli") {
		half := g.NewInitializer(v.Name()+".half", graph.Float32s(nil, 0.5))
		p := before("Cast", []*graph.Value{n.Input(0)}, graph.Int("to", int64(graph.Float32)))
		steady = before("Greater", []*graph.Value{p, half})
	} else {
		shape := g.NewInitializer(v.Name()+".shape", graph.Vec(n.AttrInts("shape")...))
		if n.Input(0) != nil {
			shape = before("Shape", []*graph.Value{n.Input(0)})
		}
		steady = before("ConstantOfShape", []*graph.Value{shape}, graph.TensorAttr("value", graph.Float32s([]int64{1}, middleOf(n))))
	}
	v.ReplaceAllUses(before("Cast", []*graph.Value{steady}, graph.Int("to", int64(elem))))
	g.RemoveNode(n)
}

// middleOf is the middle of what a node draws from.
func middleOf(n *graph.Node) float32 {
	if n.Is("RandomNormal", "RandomNormalLike") {
		return n.AttrFloat("mean", 0)
	}
	low, high := n.AttrFloat("low", 0), n.AttrFloat("high", 1)
	return low + (high-low)/2
}
