package fit

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// cut returns the part of a model that computes some of its values from others,
// which become inputs of the given types. Inputs of the model that the part
// still needs stay inputs.
func cut(m *graph.Model, from []port, to []string) (*graph.Model, error) {
	part := graph.NewModel("part of "+m.Graph.Name, m.IRVersion, m.Opset(""))
	part.Opsets = m.Opsets
	c := cutter{part.Graph, map[*graph.Value]*graph.Value{}}
	for _, p := range from {
		v := m.Graph.Value(p.name)
		if v == nil {
			return nil, fmt.Errorf("BUG: the lowered model has no value %q", p.name)
		}
		c.copies[v] = part.Graph.AddInput(p.name, graph.TensorType(graph.Float32, p.shape))
	}
	needed := map[*graph.Node]bool{}
	for _, name := range to {
		v := m.Graph.Value(name)
		if v == nil {
			return nil, fmt.Errorf("BUG: the lowered model has no value %q", name)
		}
		c.need(v, needed)
	}
	for n := range m.Graph.Nodes() {
		if needed[n] {
			c.g.CopyNode(n, c.copies)
		}
	}
	for _, name := range to {
		out := c.copies[m.Graph.Value(name)]
		out.Type = graph.TensorType(graph.Float32, graph.Shape(nil))
		part.Graph.AddOutput(out)
	}
	return part, nil
}

// port is a value at which a model is cut.
type port struct {
	name  string
	shape graph.Shape
}

type cutter struct {
	g      *graph.Graph
	copies map[*graph.Value]*graph.Value
}

// need marks the nodes that v needs, and copies what no node makes.
func (c *cutter) need(v *graph.Value, needed map[*graph.Node]bool) {
	switch n := v.Producer(); {
	case c.copies[v] != nil:
	case n == nil && v.Initializer() != nil:
		c.copies[v] = c.g.AddInitializer(v.Name(), v.Initializer())
	case n == nil:
		c.copies[v] = c.g.AddInput(v.Name(), v.Type)
	case !needed[n]:
		needed[n] = true
		for _, in := range n.Inputs() {
			if in != nil {
				c.need(in, needed)
			}
		}
	}
}
