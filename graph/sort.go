package graph

import "iter"

// Reads iterates over the values that a node reads: its inputs, and what the
// nodes in its subgraphs take from the graphs around them.
func (n *Node) Reads() iter.Seq[*Value] {
	return func(yield func(*Value) bool) { n.reads(yield) }
}

func (n *Node) reads(yield func(*Value) bool) bool {
	for _, v := range n.inputs {
		if v != nil && !yield(v) {
			return false
		}
	}
	for _, sub := range n.Subgraphs() {
		for inner := range sub.Nodes() {
			captured := func(v *Value) bool { return v.graph == sub || yield(v) }
			if !inner.reads(captured) {
				return false
			}
		}
	}
	return true
}

// misplaced returns the first node that reads what a later one makes, nil if
// the nodes are in topological order.
func (g *Graph) misplaced() (n *Node, reads *Value) {
	made := make(map[*Node]bool, g.count)
	for n := range g.Nodes() {
		for v := range n.Reads() {
			if v.graph == g && v.producer != nil && !made[v.producer] {
				return n, v
			}
		}
		made[n] = true
	}
	return nil, nil
}

// sort puts the nodes in topological order, moving none without need. It fails
// on a cycle.
func (g *Graph) sort() error {
	if n, _ := g.misplaced(); n == nil {
		return nil
	}
	const (
		entered = 1
		placed  = 2
	)
	state := make(map[*Node]int, g.count)
	order := make([]*Node, 0, g.count)
	var stack []*Node // not the call stack: chains may be as long as the file
	for root := range g.Nodes() {
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			switch state[n] {
			case 0:
				state[n] = entered
				for v := range n.Reads() {
					if v.graph != g || v.producer == nil {
						continue
					}
					switch state[v.producer] {
					case 0:
						stack = append(stack, v.producer)
					case entered:
						return errorf(n.String(), "reads %q, which depends on the node itself: the graph has a cycle", v.name)
					}
				}
			case entered:
				state[n] = placed
				order = append(order, n)
				stack = stack[:len(stack)-1]
			case placed: // pushed by two readers
				stack = stack[:len(stack)-1]
			}
		}
	}
	g.first, g.last, g.count = nil, nil, 0
	for _, n := range order {
		g.link(n, g.last)
	}
	return nil
}
