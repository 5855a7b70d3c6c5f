package train

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Gradient appends to a graph the nodes that compute the derivatives of a loss,
// a value of one element, with respect to other values of the graph, and returns
// those, each of its value's shape: reverse-mode differentiation, a rule an
// operator. A value that the loss does not depend on has none, and is nil.
//
// Shapes must be inferred and known (op.Infer), the opset 13 or later. It is an
// error if a node between the values and the loss is of an operator that afc
// does not differentiate.
func Gradient(loss *graph.Value, of []*graph.Value) ([]*graph.Value, error) {
	return gradient(loss, of, nil)
}

// gradient is Gradient where some values, which have no derivative of their own,
// pass theirs straight through to others of the same shape.
func gradient(loss *graph.Value, of []*graph.Value, straight map[*graph.Value]*graph.Value) ([]*graph.Value, error) {
	g := loss.Graph()
	if s := loss.Type.Shape; !s.Static() || slices.ContainsFunc(s.Dims(), func(d int64) bool { return d != 1 }) {
		return nil, fmt.Errorf("the loss %q is of shape %s, not one number", loss, s)
	}
	b := &backward{g: g, path: map[*graph.Value]bool{}, sums: map[*graph.Value]*graph.Value{}, straight: straight}
	for _, v := range of {
		b.path[v] = true
	}
	var nodes []*graph.Node
	for n := range g.Nodes() {
		if b.enter(n) {
			nodes = append(nodes, n)
		}
	}
	one, err := op.Cast(graph.Float32s(loss.Type.Shape.Dims(), 1), loss.Type.Elem)
	if err != nil {
		return nil, fmt.Errorf("the loss %q: %w", loss, err)
	}
	b.sums[loss] = g.NewInitializer("grad/one", one)
	for i := len(nodes) - 1; i >= 0; i-- {
		if err := b.node(nodes[i]); err != nil {
			return nil, err
		}
	}
	out := make([]*graph.Value, len(of))
	for i, v := range of {
		out[i] = b.sums[v]
	}
	return out, nil
}

// backward is one differentiation.
type backward struct {
	g    *graph.Graph
	path map[*graph.Value]bool         // values that depend on those asked for
	sums map[*graph.Value]*graph.Value // gradients found so far

	straight map[*graph.Value]*graph.Value
}

// enter reports whether a node is on the way, and notes that its outputs are.
func (b *backward) enter(n *graph.Node) bool {
	on := slices.ContainsFunc(n.Inputs(), func(v *graph.Value) bool { return v != nil && b.path[v] })
	for _, v := range n.Outputs() {
		if to := b.straight[v]; to != nil && b.path[to] {
			on = true
		}
	}
	for _, v := range n.Outputs() {
		if on && v != nil && v.Type.Elem.IsFloat() {
			b.path[v] = true
		}
	}
	return on
}

// node adds what a node's outputs' gradients make of its inputs'.
func (b *backward) node(n *graph.Node) error {
	dy := make([]*graph.Value, len(n.Outputs()))
	reached := false
	for i, v := range n.Outputs() {
		if to := b.straight[v]; to != nil && b.sums[v] != nil {
			b.add(to, b.sums[v])
			continue
		}
		if v != nil {
			dy[i] = b.sums[v]
			reached = reached || dy[i] != nil
		}
	}
	if !reached {
		return nil
	}
	wanted := make([]bool, len(n.Inputs()))
	for i, v := range n.Inputs() {
		wanted[i] = v != nil && b.path[v]
	}
	dx, err := op.Gradient(n, dy, wanted)
	if err != nil {
		return err
	}
	for i, v := range n.Inputs() {
		if wanted[i] && dx[i] != nil {
			b.add(v, dx[i])
		}
	}
	return nil
}

// add adds to the gradient of a value.
func (b *backward) add(v, dv *graph.Value) {
	if b.sums[v] == nil {
		b.sums[v] = dv
		return
	}
	sum := b.g.NewNode("Add", "grad/"+v.Name()+"/Add", []*graph.Value{b.sums[v], dv}, 1).Output(0)
	sum.Type = graph.TensorType(v.Type.Elem, graph.ShapeOf(v.Type.Shape.Dims()...))
	b.sums[v] = sum
}
