package passes

import "github.com/afc-project/afc/graph"

// constantsToInitializers gives the tensor of every Constant node to an
// initializer of the same name, in the same graph. Constants that are graph
// outputs stay: a name cannot be both.
func constantsToInitializers(s *State) error {
	for g := range graphs(s.Model) {
		for n := range g.Nodes() {
			if !n.Is("Constant") {
				continue
			}
			v := n.Output(0)
			t := v.Const()
			switch {
			case t == nil:
				s.note(n, "its value is not a numeric tensor")
				continue
			case v.IsOutput():
				continue
			}
			toInitializers(g, n, []*graph.Tensor{t})
			s.changed(1)
		}
	}
	return nil
}

// toInitializers replaces a node by the constants it makes, which take over
// the names of its outputs. None of them may be a graph output.
func toInitializers(g *graph.Graph, n *graph.Node, out []*graph.Tensor) {
	names := make([]string, len(out))
	made := make([]*graph.Value, len(out))
	for i, v := range n.Outputs() {
		if v == nil || v.NumUses() == 0 {
			continue
		}
		names[i] = v.Name()
		made[i] = g.NewInitializer(v.Name(), out[i])
		v.ReplaceAllUses(made[i])
	}
	g.RemoveNode(n)
	for i, w := range made {
		if w != nil {
			w.Rename(names[i])
		}
	}
}

// stripInitializerInputs makes plain constants of initializers that are also
// graph inputs (a default value that a caller might replace). Weights are not
// replaced in practice, and as inputs they keep ONNX Runtime from folding and
// blocking convolutions.
func stripInitializerInputs(s *State) error {
	g := s.Model.Graph
	for _, v := range g.Initializers() {
		if v.IsInput() {
			g.RemoveInput(v)
			s.changed(1)
		}
	}
	// Until IR version 3 every initializer had to be an input. Older versions
	// go with opsets that no pass reads.
	if s.Model.IRVersion == 3 {
		s.Model.IRVersion = 4
	}
	return nil
}
