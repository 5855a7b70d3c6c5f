package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// widenFloat16 makes a half-precision model compute in float32, behind and in
// front of casts at its inputs and outputs. ONNX Runtime's CPU provider has no
// half-precision convolution and would cast around each one at every run; AF
// modules are computed in float32. Values only get more exact. Half-precision
// weights behind a Cast are no business of this pass: folding constants widens
// them.
func widenFloat16(s *State) error {
	if !convolvesHalf(s.Model) {
		return nil
	}
	promised := make([]graph.Type, len(s.Model.Graph.Outputs()))
	for i, v := range s.Model.Graph.Outputs() {
		promised[i] = v.Type
	}
	widened := 0
	for g := range graphs(s.Model) {
		for _, v := range g.Initializers() {
			if !half(v.Initializer().DType) || v.IsInput() {
				continue
			}
			t, err := widen(v.Initializer())
			if err != nil {
				return graphError(s.Model, nil, "initializer %q: %v", v.Name(), err)
			}
			g.SetInitializer(v, t)
			widened++
		}
		for n := range g.Nodes() {
			if err := widenNode(s, n); err != nil {
				return err
			}
		}
		if g.Parent() != nil {
			for _, v := range g.Inputs() {
				widenType(v)
			}
		}
	}
	castInputs(s)
	castOutputs(s, promised)
	s.changed(widened)
	s.note(nil, "widened %d half-precision tensors: ONNX Runtime's CPU provider convolves in float32", widened)
	return nil
}

func half(d graph.DataType) bool { return d == graph.Float16 || d == graph.BFloat16 }

// convolvesHalf reports whether a convolution has a half-precision kernel.
func convolvesHalf(m *graph.Model) bool {
	for n := range nodes(m) {
		if t := n.Input(1).Const(); n.Is("Conv") && t != nil && half(t.DType) {
			return true
		}
	}
	return false
}

func widen(t *graph.Tensor) (*graph.Tensor, error) {
	f, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	return graph.Float32s(t.Dims, f...), nil
}

// widenNode widens what a node says about types: results, tensors and the
// element type it makes.
func widenNode(s *State, n *graph.Node) error {
	for _, v := range n.Outputs() {
		if v != nil {
			widenType(v)
		}
	}
	for _, a := range n.Attrs() {
		switch {
		case a.Tensor != nil && half(a.Tensor.DType):
			t, err := widen(a.Tensor)
			if err != nil {
				return graphError(s.Model, n, "attribute %s: %v", a.Name, err)
			}
			n.SetAttr(graph.TensorAttr(a.Name, t))
		case (a.Name == "to" || a.Name == "dtype") && a.Type == graph.AttrInt && half(graph.DataType(a.I)):
			n.SetAttr(graph.Int(a.Name, int64(graph.Float32)))
		}
	}
	return nil
}

func widenType(v *graph.Value) {
	if half(v.Type.Elem) {
		v.Type.Elem = graph.Float32
	}
}

// castInputs casts behind the model's half-precision inputs, which keep their
// type.
func castInputs(s *State) {
	g := s.Model.Graph
	for _, v := range g.Inputs() {
		if !half(v.Type.Elem) {
			continue
		}
		uses := slices.Clone(v.Uses())
		cast := s.stamp(g.NewNode("Cast", v.Name()+".float32", []*graph.Value{v}, 1, graph.Int("to", int64(graph.Float32))))
		if first := firstNode(g); first != cast {
			g.MoveBefore(cast, first)
		}
		for _, u := range uses {
			u.Node.SetInput(u.Index, cast.Output(0))
		}
	}
}

// castOutputs casts back what was promised in half precision. The casts take
// over the outputs' names.
func castOutputs(s *State, promised []graph.Type) {
	g := s.Model.Graph
	for i, v := range g.Outputs() {
		if !half(promised[i].Elem) || half(v.Type.Elem) {
			continue
		}
		name := v.Name()
		cast := s.stamp(g.NewNode("Cast", name+".half", []*graph.Value{v}, 1, graph.Int("to", int64(promised[i].Elem))))
		out := cast.Output(0)
		out.Type = promised[i]
		g.SetOutput(i, out)
		if v.Producer() != nil && !v.IsOutput() {
			v.Rename(g.NewName(name + ".float32"))
			out.Rename(name)
		}
	}
}

func firstNode(g *graph.Graph) *graph.Node {
	for n := range g.Nodes() {
		return n
	}
	return nil
}
