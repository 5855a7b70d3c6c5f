package half

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Is reports whether elements of a type have half the width of float32.
func Is(d graph.DataType) bool { return d == graph.Float16 || d == graph.BFloat16 }

// Change is what Widen or Narrow did to a model.
type Change struct {
	Tensors int           // initializers that have another type
	Casts   []*graph.Node // inserted
	Loss    Loss          // of tensors rounded
	Kept    []Kept        // nodes whose weights half precision does not hold
}

// Widen makes a model of half precision compute in float32, in place, behind
// and in front of casts at its inputs and outputs, which keep their types.
func Widen(m *graph.Model) (*Change, error) {
	c := &Change{}
	promised := make([]graph.Type, len(m.Graph.Outputs()))
	for i, v := range m.Graph.Outputs() {
		promised[i] = v.Type
	}
	for g := range m.Graph.AllGraphs() {
		for _, v := range g.Initializers() {
			if !Is(v.Initializer().DType) || v.IsInput() {
				continue
			}
			t, err := Widened(v.Initializer())
			if err != nil {
				return nil, &graph.Error{File: m.Path, Reason: fmt.Sprintf("initializer %q: %v", v.Name(), err)}
			}
			g.SetInitializer(v, t)
			c.Tensors++
		}
		for n := range g.Nodes() {
			if err := widenNode(n); err != nil {
				return nil, &graph.Error{File: m.Path, Node: n.String(), Reason: err.Error()}
			}
		}
		if g.Parent() != nil {
			for _, v := range g.Inputs() {
				widenType(v)
			}
		}
	}
	c.castInputs(m.Graph)
	c.castOutputs(m.Graph, promised)
	return c, nil
}

// widenNode widens what a node says about types: results, tensors and the
// element type it makes.
func widenNode(n *graph.Node) error {
	for _, v := range n.Outputs() {
		if v != nil {
			widenType(v)
		}
	}
	for _, a := range n.Attrs() {
		switch {
		case a.Tensor != nil && Is(a.Tensor.DType):
			t, err := Widened(a.Tensor)
			if err != nil {
				return fmt.Errorf("attribute %s: %w", a.Name, err)
			}
			n.SetAttr(graph.TensorAttr(a.Name, t))
		case (a.Name == "to" || a.Name == "dtype") && a.Type == graph.AttrInt && Is(graph.DataType(a.I)):
			n.SetAttr(graph.Int(a.Name, int64(graph.Float32)))
		}
	}
	return nil
}

func widenType(v *graph.Value) {
	if Is(v.Type.Elem) {
		v.Type.Elem = graph.Float32
	}
}

// castInputs casts behind the model's half-precision inputs, which keep their
// type.
func (c *Change) castInputs(g *graph.Graph) {
	for _, v := range g.Inputs() {
		if !Is(v.Type.Elem) {
			continue
		}
		uses := slices.Clone(v.Uses())
		cast := g.NewNode("Cast", v.Name()+".float32", []*graph.Value{v}, 1, graph.Int("to", int64(graph.Float32)))
		c.Casts = append(c.Casts, cast)
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
func (c *Change) castOutputs(g *graph.Graph, promised []graph.Type) {
	for i, v := range g.Outputs() {
		if !Is(promised[i].Elem) || Is(v.Type.Elem) {
			continue
		}
		name := v.Name()
		cast := g.NewNode("Cast", name+".half", []*graph.Value{v}, 1, graph.Int("to", int64(promised[i].Elem)))
		c.Casts = append(c.Casts, cast)
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
