package graph

import "slices"

// Clone returns a deep copy of the model that can be changed on its own. It
// shares the tensors, which are never changed, and so depends on the files
// that the original keeps mapped (see Close).
func (m *Model) Clone() *Model {
	c := *m
	c.mapping, c.files = nil, nil // the original's to close
	c.Opsets, c.Metadata = slices.Clone(m.Opsets), slices.Clone(m.Metadata)
	c.Graph = m.Graph.clone(nil, map[*Value]*Value{})
	c.Functions = nil
	for _, f := range m.Functions {
		fc := *f
		fc.Opsets, fc.Metadata, fc.Attributes = slices.Clone(f.Opsets), slices.Clone(f.Metadata), slices.Clone(f.Attributes)
		fc.AttributeDefaults = nil
		for _, a := range f.AttributeDefaults {
			fc.AttributeDefaults = append(fc.AttributeDefaults, a.clone(nil, nil))
		}
		fc.Body = f.Body.clone(nil, map[*Value]*Value{})
		c.Functions = append(c.Functions, &fc)
	}
	c.Own()
	return &c
}

// clone copies a graph into an attribute of parent (nil: a graph of its own).
// copies maps the values around it to their copies, and is given those of g.
func (g *Graph) clone(parent *Node, copies map[*Value]*Value) *Graph {
	c := NewGraph(g.Name)
	c.Doc, c.Metadata, c.opaque, c.fresh, c.parent = g.Doc, slices.Clone(g.Metadata), g.opaque, g.fresh, parent
	add := func(v *Value) *Value {
		w := c.newValue(v.name)
		w.Type, w.Doc, w.init, w.sparse, w.declared = v.Type, v.Doc, v.init, v.sparse, v.declared
		w.metadata, w.opaque, w.index = v.metadata, v.opaque, v.index
		w.Type.Shape = slices.Clone(v.Type.Shape)
		copies[v] = w
		return w
	}
	for _, v := range g.inputs {
		w := add(v)
		w.input = true
		c.inputs = append(c.inputs, w)
	}
	for _, v := range slices.Concat(g.inits, g.sparse) {
		if !v.input {
			add(v)
		}
	}
	for _, v := range g.inits {
		c.inits = append(c.inits, copies[v])
	}
	for _, v := range g.sparse {
		c.sparse = append(c.sparse, copies[v])
	}
	for n := range g.Nodes() { // all values first: in mid-rewrite, nodes may be out of order
		k := &Node{
			Name: n.Name, OpType: n.OpType, Domain: n.Domain, Overload: n.Overload, Doc: n.Doc,
			Metadata: slices.Clone(n.Metadata), opaque: n.opaque, graph: c,
			inputs: make([]*Value, len(n.inputs)), outputs: make([]*Value, len(n.outputs)),
		}
		for i, v := range n.outputs {
			if v != nil {
				k.outputs[i] = add(v)
				k.outputs[i].producer = k
			}
		}
		c.link(k, c.last)
	}
	k := c.first
	for n := range g.Nodes() {
		for i, v := range n.inputs {
			if v != nil {
				k.setInput(i, copies[v])
			}
		}
		for _, a := range n.attrs {
			k.attrs = append(k.attrs, a.clone(k, copies))
		}
		k = k.next
	}
	for _, v := range g.outputs {
		c.AddOutput(copies[v])
	}
	return c
}

// clone copies an attribute for node n, its graphs included.
func (a *Attribute) clone(n *Node, copies map[*Value]*Value) *Attribute {
	c := *a
	c.Floats, c.Ints, c.Strings = slices.Clone(a.Floats), slices.Clone(a.Ints), slices.Clone(a.Strings)
	if a.Graph != nil {
		c.Graph = a.Graph.clone(n, copies)
	}
	c.Graphs = nil
	for _, g := range a.Graphs {
		c.Graphs = append(c.Graphs, g.clone(n, copies))
	}
	return &c
}

// CopyNode appends a copy of n, a node of another graph, to g. copies maps the
// values that n and its subgraphs read to values of g (a nil entry or none
// leaves the input out), and is given n's outputs, which keep their names
// where those are free in g.
func (g *Graph) CopyNode(n *Node, copies map[*Value]*Value) *Node {
	in := make([]*Value, len(n.inputs))
	for i, v := range n.inputs {
		if v != nil {
			in[i] = copies[v]
		}
	}
	k := g.AddNode(n.OpType, n.Domain, n.Name, in, make([]string, len(n.outputs)))
	k.Overload, k.Doc, k.Metadata, k.opaque = n.Overload, n.Doc, slices.Clone(n.Metadata), n.opaque
	for i, v := range n.outputs {
		if v == nil {
			continue
		}
		w := g.newValue(g.NewName(v.name))
		w.producer, w.index = k, i
		w.Type, w.Doc, w.metadata = v.Type, v.Doc, v.metadata
		w.Type.Shape = slices.Clone(v.Type.Shape)
		k.outputs[i], copies[v] = w, w
	}
	for _, a := range n.attrs {
		k.attrs = append(k.attrs, a.clone(k, copies))
	}
	return k
}
