package dataflow

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// liveNodes returns the nodes of g that its outputs depend on.
func liveNodes(g *graph.Graph) map[*graph.Node]bool {
	live := map[*graph.Node]bool{}
	var visit func(v *graph.Value)
	work := slices.Clone(g.Outputs())
	visit = func(v *graph.Value) {
		if v != nil && v.Producer() != nil && !live[v.Producer()] {
			live[v.Producer()] = true
			work = append(work, v)
		}
	}
	for _, v := range g.Outputs() {
		visit(v)
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		n := v.Producer()
		if n == nil {
			continue
		}
		for _, in := range n.Inputs() {
			visit(in)
		}
		for _, sub := range n.Subgraphs() {
			for inner := range sub.AllNodes() {
				for _, in := range inner.Inputs() {
					visit(in)
				}
			}
			for _, o := range sub.Outputs() {
				visit(o)
			}
		}
	}
	return live
}
