package passes

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// inlineBytes bounds the memory that inlined nodes take, at about nodeBytes and
// their names each, so that functions that call each other in a doubling chain
// cannot fill the machine's. Real networks take a hundredth.
const (
	inlineBytes = 64 << 20
	nodeBytes   = 512
)

// inlineFunctions replaces calls of model-local functions by their bodies,
// which may call others in turn. A function written for another opset than the
// model's cannot be inlined exactly and ends the pass with an error, as does
// one that calls itself.
func inlineFunctions(s *State) error {
	m := s.Model
	if len(m.Functions) == 0 {
		return nil
	}
	inlined, left := 0, inlineBytes
	for g := range graphs(m) {
		for again := true; again; { // until no body brings calls of its own
			again = false
			for n := range g.Nodes() {
				f := callee(m, n)
				if f == nil {
					continue
				}
				if err := inlinable(m, f, n); err != nil {
					return err
				}
				if left -= bodyBytes(f); left < 0 {
					return graphError(m, n, "inlining functions makes too large a graph; does function %q call itself?", f.Name)
				}
				inlined++
				inlineCall(s, n, f, inlined)
				again = true
			}
		}
	}
	s.changed(len(m.Functions))
	m.Functions = nil
	return nil
}

func inlinable(m *graph.Model, f *graph.Function, call *graph.Node) error {
	for _, o := range f.Opsets {
		if v := m.Opset(o.Domain); v != 0 && v != o.Version {
			return graphError(m, call, "function %q uses opset %d of domain %q, the model %d; export the model with one opset",
				f.Name, o.Version, o.Domain, v)
		}
	}
	if len(call.Inputs()) > len(f.Body.Inputs()) || len(call.Outputs()) > len(f.Body.Outputs()) {
		return graphError(m, call, "function %q has %d inputs and %d outputs, the call %d and %d",
			f.Name, len(f.Body.Inputs()), len(f.Body.Outputs()), len(call.Inputs()), len(call.Outputs()))
	}
	for body := range f.Body.AllNodes() {
		if callee(m, body) == f {
			return graphError(m, call, "function %q calls itself", f.Name)
		}
	}
	for _, o := range f.Opsets {
		if m.Opset(o.Domain) == 0 {
			m.Opsets = append(m.Opsets, o)
		}
	}
	return nil
}

// bodyBytes estimates the memory that a copy of a function's body takes.
func bodyBytes(f *graph.Function) int {
	bytes := 0
	for n := range f.Body.AllNodes() {
		bytes += nodeBytes + len(n.Name)
		for _, v := range n.Outputs() {
			if v != nil {
				bytes += len(v.Name()) + len(f.Name)
			}
		}
	}
	return bytes
}

// inlineCall copies the body of f behind the call, with its names behind a
// prefix of their own, and removes the call.
func inlineCall(s *State, call *graph.Node, f *graph.Function, serial int) {
	c := copier{
		values: map[*graph.Value]*graph.Value{},
		prefix: fmt.Sprintf("%s.%d/", f.Name, serial),
		attrs:  attributesOf(f, call),
		done:   func(n *graph.Node) { s.stamp(n) },
	}
	for i, formal := range f.Body.Inputs() {
		c.values[formal] = call.Input(i)
	}
	g, at := call.Graph(), call
	for body := range f.Body.Nodes() {
		n := c.copyNode(g, body)
		g.MoveAfter(n, at)
		at = n
	}
	for i, v := range call.Outputs() {
		if v == nil || v.NumUses() == 0 {
			continue
		}
		formal := f.Body.Outputs()[i]
		w := c.values[formal]
		if w == nil || canReplace(v, w) != "" || formal.Producer() == nil {
			id := g.NewNode("Identity", "", []*graph.Value{w}, 1)
			g.MoveAfter(s.stamp(id), at)
			at, w = id, id.Output(0)
		}
		replace(v, w)
	}
	g.RemoveNode(call)
}

// attributesOf returns what the function's attribute names stand for in a call.
func attributesOf(f *graph.Function, call *graph.Node) map[string]*graph.Attribute {
	attrs := map[string]*graph.Attribute{}
	for _, a := range f.AttributeDefaults {
		attrs[a.Name] = a
	}
	for _, a := range call.Attrs() {
		attrs[a.Name] = a
	}
	return attrs
}

// copier copies nodes into another graph.
type copier struct {
	values map[*graph.Value]*graph.Value // what stands for a value of the origin
	prefix string                        // before the names of copies
	attrs  map[string]*graph.Attribute   // what attribute references stand for
	done   func(*graph.Node)             // sees every copy
}

// copyNode appends a copy of n to g.
func (c *copier) copyNode(g *graph.Graph, n *graph.Node) *graph.Node {
	inputs := make([]*graph.Value, len(n.Inputs()))
	for i, v := range n.Inputs() {
		inputs[i] = c.value(v)
	}
	names := make([]string, len(n.Outputs()))
	for i, v := range n.Outputs() {
		if v != nil {
			names[i] = g.NewName(c.prefix + v.Name())
		}
	}
	name := n.Name
	if name != "" {
		name = c.prefix + name
	}
	d := g.AddNode(n.OpType, n.Domain, name, inputs, names)
	d.Overload, d.Doc = n.Overload, n.Doc
	d.Metadata = append(d.Metadata, n.Metadata...)
	for _, a := range n.Attrs() {
		if from := c.resolve(a); from != nil {
			to := *from
			to.Name = a.Name
			c.copySubgraphs(d, from, &to)
		}
	}
	for i, v := range n.Outputs() {
		if v != nil {
			c.values[v] = d.Output(i)
			d.Output(i).Type = v.Type
		}
	}
	c.done(d)
	return d
}

// value returns what stands for v: values from outside the copied part, such
// as those of an outer graph, stand for themselves.
func (c *copier) value(v *graph.Value) *graph.Value {
	if w, ok := c.values[v]; ok {
		return w
	}
	return v
}

// resolve returns what an attribute stands for: itself, or, where it refers to
// an attribute of the call, that one, nil if the call leaves it out.
func (c *copier) resolve(a *graph.Attribute) *graph.Attribute {
	if a.RefName == "" {
		return a
	}
	return c.attrs[a.RefName]
}

// copySubgraphs gives node d the attribute to, with copies of the subgraphs
// that from holds. They get their place in the outer graph first, so that
// fresh names in them are fresh in the outer graphs too.
func (c *copier) copySubgraphs(d *graph.Node, from, to *graph.Attribute) {
	if from.Graph != nil {
		to.Graph = graph.NewGraph(from.Graph.Name)
	}
	if from.Graphs != nil {
		to.Graphs = make([]*graph.Graph, len(from.Graphs))
		for i, g := range from.Graphs {
			to.Graphs[i] = graph.NewGraph(g.Name)
		}
	}
	d.SetAttr(to)
	for i, sub := range from.Subgraphs() {
		g := to.Subgraphs()[i]
		for _, v := range sub.Inputs() {
			c.values[v] = g.AddInput(g.NewName(c.prefix+v.Name()), v.Type)
		}
		for _, v := range sub.Initializers() {
			c.values[v] = g.NewInitializer(c.prefix+v.Name(), v.Initializer())
		}
		for n := range sub.Nodes() {
			c.copyNode(g, n)
		}
		for _, v := range sub.Outputs() {
			g.AddOutput(c.value(v))
		}
	}
}
