package op

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// PeakBytes estimates the most bytes of activations that are alive at once when
// the nodes of a graph run in their order: each output from where it is made to
// its last reader; views share their input's memory, and a pointwise operator
// writes over an input that nobody reads behind it. Of an If it is the larger
// branch, of a Scan one run of the body beside what the Scan gives back. Weights,
// scratch space and how an allocator rounds are not in it. Shapes and errors are as
// for [GraphCost].
func PeakBytes(g *graph.Graph, opt CostOptions) (int64, error) {
	m := memory{opt: opt, owner: map[*graph.Value]*graph.Value{}, last: map[*graph.Value]*graph.Node{}}
	m.lifetimes(g)
	for _, v := range g.Inputs() {
		n, err := m.bytes(nil, v)
		if err != nil {
			return 0, err
		}
		m.live += n
	}
	m.peak = m.live
	for n := range g.Nodes() {
		if err := m.run(n); err != nil {
			return 0, fmt.Errorf("%s: %w", n, err)
		}
	}
	return m.peak, nil
}

// memory is what a graph holds while its nodes run.
type memory struct {
	opt        CostOptions
	owner      map[*graph.Value]*graph.Value // of views: whose memory they are
	last       map[*graph.Value]*graph.Node  // who reads a value of this graph last; nil: its caller
	live, peak int64
}

// of is the value whose memory v is.
func (m *memory) of(v *graph.Value) *graph.Value {
	if o := m.owner[v]; o != nil {
		return o
	}
	return v
}

// lifetimes finds views and last readers.
func (m *memory) lifetimes(g *graph.Graph) {
	for n := range g.Nodes() {
		if op := operators[n.OpType]; op != nil && op.cost == costView && n.Input(0) != nil {
			for _, v := range n.Outputs() {
				m.owner[v] = m.of(n.Input(0))
			}
		}
		for v := range n.Reads() {
			if v := m.of(v); v.Graph() == g && v.Const() == nil {
				m.last[v] = n
			}
		}
	}
	for _, v := range g.Outputs() {
		delete(m.last, m.of(v))
	}
}

// run makes a node's outputs and drops what it read last.
func (m *memory) run(n *graph.Node) error {
	inside := int64(0)
	for _, sub := range n.Subgraphs() {
		peak, err := PeakBytes(sub, m.opt)
		if err != nil {
			return err
		}
		inside = max(inside, peak)
	}
	made := int64(0)
	for _, v := range n.Outputs() {
		if v == nil || m.owner[v] != nil {
			continue
		}
		bytes, err := m.bytes(n, v)
		if err != nil {
			return err
		}
		made += bytes
	}
	freed := int64(0)
	for v := range m.dying(n) {
		bytes, err := m.bytes(n, v)
		if err != nil {
			return err
		}
		freed += bytes
	}
	over := int64(0) // what the outputs take over from inputs
	if op := operators[n.OpType]; op != nil && op.cost == costPoint {
		over = min(made, freed)
	}
	switch {
	case n.Is("If"): // gives what its branch made
		m.peak = max(m.peak, m.live+max(inside, made))
	default:
		m.peak = max(m.peak, m.live+made-over+inside)
	}
	m.live += made - freed
	return nil
}

// dying are the values that nobody reads behind a node.
func (m *memory) dying(n *graph.Node) map[*graph.Value]bool {
	dead := map[*graph.Value]bool{}
	for v := range n.Reads() {
		if v := m.of(v); m.last[v] == n {
			dead[v] = true
		}
	}
	return dead
}

// bytes are those of a value that is no weight.
func (m *memory) bytes(n *graph.Node, v *graph.Value) (int64, error) {
	if v.Const() != nil {
		return 0, nil
	}
	c := costCall{n: n, opt: m.opt}
	elements, err := c.elements(v)
	if err != nil {
		return 0, err
	}
	bits := v.Type.Elem.Bits()
	if bits == 0 {
		return 0, fmt.Errorf("the element type of %q is not known", v)
	}
	total, err := times(elements, int64(bits))
	return (total + 7) / 8, err
}
