package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// deadCode removes nodes whose results nobody reads, then initializers and
// functions that nothing needs any more. Graph inputs stay: they are the
// model's interface.
func deadCode(s *State) error {
	s.changed(removeDeadNodes(s.Model.Graph))
	for g := range graphs(s.Model) {
		s.changed(g.RemoveUnusedInitializers())
	}
	called := map[*graph.Function]bool{}
	var visit func(g *graph.Graph)
	visit = func(g *graph.Graph) {
		for n := range g.AllNodes() {
			if f := callee(s.Model, n); f != nil && !called[f] {
				called[f] = true
				visit(f.Body)
			}
		}
	}
	visit(s.Model.Graph)
	before := len(s.Model.Functions)
	s.Model.Functions = slices.DeleteFunc(s.Model.Functions, func(f *graph.Function) bool { return !called[f] })
	s.changed(before - len(s.Model.Functions))
	return nil
}

// removeDeadNodes works backwards, so that a chain goes in one sweep.
func removeDeadNodes(g *graph.Graph) int {
	removed := 0
	for n := range g.NodesBackward() {
		if unused(n) {
			g.RemoveNode(n)
			removed++
			continue
		}
		for _, sub := range n.Subgraphs() {
			removed += removeDeadNodes(sub)
		}
	}
	return removed
}

// callee returns the model-local function that a node calls, nil if it is an
// operator.
func callee(m *graph.Model, n *graph.Node) *graph.Function {
	for _, f := range m.Functions {
		if f.Name == n.OpType && f.Domain == n.Domain && f.Overload == n.Overload {
			return f
		}
	}
	return nil
}
