package graph

import "iter"

// AllGraphs iterates over the graph and the graphs inside its nodes, each
// before those inside its own nodes.
func (g *Graph) AllGraphs() iter.Seq[*Graph] {
	return func(yield func(*Graph) bool) { g.graphs(yield) }
}

func (g *Graph) graphs(yield func(*Graph) bool) bool {
	if !yield(g) {
		return false
	}
	for n := range g.Nodes() {
		for _, sub := range n.Subgraphs() {
			if !sub.graphs(yield) {
				return false
			}
		}
	}
	return true
}

// AllNodes iterates over the nodes of the graph and of all graphs inside them:
// those of a graph in order, then those of its first subgraph. Nodes may be
// removed and inserted meanwhile, as in Nodes.
func (g *Graph) AllNodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for sub := range g.AllGraphs() {
			for n := range sub.Nodes() {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// DataInputs returns the inputs that a caller must give: those without an
// initializer, which would be their default.
func (m *Model) DataInputs() []*Value {
	var in []*Value
	for _, v := range m.Graph.inputs {
		if v.init == nil {
			in = append(in, v)
		}
	}
	return in
}
