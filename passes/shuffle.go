package passes

import (
	"math/rand/v2"

	"github.com/afc-project/afc/graph"
)

// shuffle puts the nodes of every graph into a random order that is still
// topological, so that a pass that leans on the file's order is found out.
func shuffle(m *graph.Model, r *rand.Rand) {
	for g := range graphs(m) {
		shuffleGraph(g, r)
	}
}

func shuffleGraph(g *graph.Graph, r *rand.Rand) {
	waiting := map[*graph.Node]int{} // producers in g that are not placed yet
	readers := map[*graph.Node][]*graph.Node{}
	var ready []*graph.Node
	for n := range g.Nodes() {
		for p := range producers(g, n) {
			waiting[n]++
			readers[p] = append(readers[p], n)
		}
		if waiting[n] == 0 {
			ready = append(ready, n)
		}
	}
	var order []*graph.Node
	for len(ready) > 0 {
		i := r.IntN(len(ready))
		n := ready[i]
		ready[i] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, n)
		for _, reader := range readers[n] {
			if waiting[reader]--; waiting[reader] == 0 {
				ready = append(ready, reader)
			}
		}
	}
	for i := 1; i < len(order); i++ {
		g.MoveAfter(order[i], order[i-1])
	}
	if len(order) > 0 { // the first node itself has not moved: it may stand behind others
		for n := order[0].Prev(); n != nil; n = order[0].Prev() {
			g.MoveBefore(order[0], n)
		}
	}
}

// producers returns the nodes of g that n and its subgraphs read from.
func producers(g *graph.Graph, n *graph.Node) map[*graph.Node]bool {
	set := map[*graph.Node]bool{}
	for v := range n.Reads() {
		if v.Graph() == g && v.Producer() != nil {
			set[v.Producer()] = true
		}
	}
	return set
}
