package graph

import (
	"fmt"
	"iter"
	"slices"
)

// Graph is a list of nodes in topological order over Values in SSA form. Its
// nodes, values and initializers change only through methods, which keep every
// Value's producer and uses right.
type Graph struct {
	Name, Doc string
	Metadata  []Property

	inputs, outputs []*Value
	first, last     *Node
	count           int
	values          map[string]*Value // by name, this graph's own (not captured ones)
	inits           []*Value          // values with an initializer, in order
	sparse          []*Value          // values with a sparse initializer, in order
	parent          *Node             // the node whose attribute holds this graph; nil at top level
	owner           opsetOwner        // at top level, whose graph it is; nil if not known
	fresh           int               // counter behind NewName
	named           map[string]*Node  // nodes by name, nil until one is added by name
	freshNode       int               // counter behind nodeName

	opaque []byte
}

// NewGraph returns an empty graph.
func NewGraph(name string) *Graph {
	return &Graph{Name: name, values: map[string]*Value{}}
}

// Inputs returns the graph's inputs. The caller must not change the slice.
func (g *Graph) Inputs() []*Value { return g.inputs }

// Outputs returns the graph's outputs. The caller must not change the slice.
func (g *Graph) Outputs() []*Value { return g.outputs }

// Initializers returns the values that have an initializer, in order. The
// caller must not change the slice.
func (g *Graph) Initializers() []*Value { return g.inits }

// Parent returns the node one of whose attributes holds the graph, nil at top
// level and in function bodies.
func (g *Graph) Parent() *Node { return g.parent }

// NumNodes returns the number of nodes, those of subgraphs not counted.
func (g *Graph) NumNodes() int { return g.count }

// Nodes iterates over the nodes in order. Removing the current node, or
// inserting around it, is allowed; nodes inserted after it are visited.
func (g *Graph) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for n := g.first; n != nil; {
			next := n.next
			if !yield(n) {
				return
			}
			if n.graph == g { // still there: what was inserted behind it comes next
				next = n.next
			}
			n = next
		}
	}
}

// NodesBackward iterates from the last node to the first.
func (g *Graph) NodesBackward() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for n := g.last; n != nil; {
			prev := n.prev
			if !yield(n) {
				return
			}
			if n.graph == g {
				prev = n.prev
			}
			n = prev
		}
	}
}

// Value returns the value of that name in this graph, nil if there is none.
func (g *Graph) Value(name string) *Value { return g.values[name] }

// Lookup finds a value by name in this graph or the graphs around it.
func (g *Graph) Lookup(name string) *Value {
	for g != nil {
		if v := g.values[name]; v != nil {
			return v
		}
		if g.parent == nil {
			return nil
		}
		g = g.parent.graph
	}
	return nil
}

// NewName returns hint if that name is free in this graph and around it, else
// hint with the first free numeric suffix.
func (g *Graph) NewName(hint string) string {
	if hint == "" {
		hint = "v"
	}
	if g.Lookup(hint) == nil {
		return hint
	}
	for {
		g.fresh++
		if name := fmt.Sprintf("%s_%d", hint, g.fresh); g.Lookup(name) == nil {
			return name
		}
	}
}

func (g *Graph) newValue(name string) *Value {
	if _, taken := g.values[name]; taken {
		panic(fmt.Sprintf("BUG: value name %q is taken", name))
	}
	v := &Value{name: name, graph: g}
	g.values[name] = v
	return v
}

// AddInput appends a graph input. The name must be free.
func (g *Graph) AddInput(name string, t Type) *Value {
	v := g.newValue(name)
	v.Type, v.input = t, true
	g.inputs = append(g.inputs, v)
	return v
}

// RemoveInput takes v off the graph's inputs. A value with an initializer
// lives on as a plain initializer; any other must be unused.
func (g *Graph) RemoveInput(v *Value) {
	i := slices.Index(g.inputs, v)
	if i < 0 {
		panic("BUG: not an input of this graph")
	}
	g.inputs = slices.Delete(g.inputs, i, i+1)
	v.input = false
	if v.init == nil && v.sparse == nil {
		g.forget(v)
	}
}

// AddOutput appends v to the graph's outputs.
func (g *Graph) AddOutput(v *Value) {
	g.outputs = append(g.outputs, v)
	v.output++
}

// SetOutput makes output i read v.
func (g *Graph) SetOutput(i int, v *Value) {
	g.outputs[i].output--
	g.outputs[i] = v
	v.output++
}

// RemoveOutput takes output i off the graph's outputs.
func (g *Graph) RemoveOutput(i int) {
	g.outputs[i].output--
	g.outputs = slices.Delete(g.outputs, i, i+1)
}

// AddInitializer adds a constant under a name, which must be free (or be a
// graph input without one, as files with initializers-as-inputs have it).
func (g *Graph) AddInitializer(name string, t *Tensor) *Value {
	v := g.values[name]
	if v == nil {
		v = g.newValue(name)
	} else if !v.input || v.init != nil {
		panic(fmt.Sprintf("BUG: value name %q is taken", name))
	}
	v.init = t
	if !v.input {
		v.Type = Type{Elem: t.DType, Shape: ShapeOf(t.Dims...)}
	}
	g.inits = append(g.inits, v)
	return v
}

// NewInitializer adds a constant under a fresh name made from hint.
func (g *Graph) NewInitializer(hint string, t *Tensor) *Value {
	return g.AddInitializer(g.NewName(hint), t)
}

// SetInitializer replaces the constant of v.
func (g *Graph) SetInitializer(v *Value, t *Tensor) {
	v.init = t
	v.Type = Type{Elem: t.DType, Shape: ShapeOf(t.Dims...)}
}

// RemoveInitializer removes an unused constant. If v is also a graph input it
// stays one.
func (g *Graph) RemoveInitializer(v *Value) {
	i := slices.Index(g.inits, v)
	if i < 0 {
		panic("BUG: not an initializer of this graph")
	}
	g.inits = slices.Delete(g.inits, i, i+1)
	v.init = nil
	if !v.input {
		g.forget(v)
	}
}

// RemoveUnusedInitializers drops every initializer that nothing reads and
// returns how many went.
func (g *Graph) RemoveUnusedInitializers() int {
	n := len(g.inits)
	g.inits = slices.DeleteFunc(g.inits, func(v *Value) bool {
		if v.NumUses() > 0 || v.input {
			return false
		}
		v.init = nil
		g.forget(v)
		return true
	})
	return n - len(g.inits)
}

func (g *Graph) forget(v *Value) {
	if v.NumUses() > 0 {
		panic(fmt.Sprintf("BUG: value %q is removed while in use", v.name))
	}
	delete(g.values, v.name)
	v.graph = nil
}

// NewNode makes a node of the ai.onnx domain at the end of the graph with
// nOut fresh outputs named after the node. Inputs may be nil where left out.
func (g *Graph) NewNode(opType, name string, inputs []*Value, nOut int, attrs ...*Attribute) *Node {
	names := make([]string, nOut)
	for i := range names {
		hint := name
		if hint == "" {
			hint = opType
		}
		if i > 0 {
			hint = fmt.Sprintf("%s.%d", hint, i)
		}
		names[i] = g.NewName(hint)
		if i > 0 && names[i] == names[i-1] {
			names[i] = g.NewName(names[i] + "_")
		}
	}
	return g.AddNode(opType, "", name, inputs, names, attrs...)
}

// nodeName returns hint if no other node of the graph than n has that name, else
// hint with the first free numeric suffix. The empty name is always free.
func (g *Graph) nodeName(n *Node, hint string) string {
	if hint == "" {
		return ""
	}
	if g.named == nil {
		g.named = make(map[string]*Node, g.count)
		for m := range g.Nodes() {
			g.named[m.Name] = m
		}
	}
	free := func(name string) bool {
		m := g.named[name]
		return m == nil || m == n || m.graph != g || m.Name != name
	}
	name := hint
	for !free(name) {
		g.freshNode++
		name = fmt.Sprintf("%s_%d", hint, g.freshNode)
	}
	g.named[name] = n
	return name
}

// AddNode makes a node at the end of the graph with outputs of the given
// names ("" where left out), which must be free. If another node of the graph
// has its name, it gets a numeric suffix.
func (g *Graph) AddNode(opType, domain, name string, inputs []*Value, outputs []string, attrs ...*Attribute) *Node {
	n := &Node{OpType: opType, Domain: domain, graph: g}
	n.Name = g.nodeName(n, name)
	n.inputs = make([]*Value, len(inputs))
	for i, v := range inputs {
		n.setInput(i, v)
	}
	n.outputs = make([]*Value, len(outputs))
	for i, o := range outputs {
		if o == "" {
			continue
		}
		v := g.newValue(o)
		v.producer, v.index = n, i
		n.outputs[i] = v
	}
	for _, a := range attrs {
		n.SetAttr(a)
	}
	g.link(n, g.last)
	return n
}

// link puts n behind at; at nil puts it first.
func (g *Graph) link(n, at *Node) {
	n.prev = at
	if at == nil {
		n.next, g.first = g.first, n
	} else {
		n.next, at.next = at.next, n
	}
	if n.next == nil {
		g.last = n
	} else {
		n.next.prev = n
	}
	g.count++
}

func (g *Graph) unlink(n *Node) {
	if n.prev == nil {
		g.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		g.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next = nil, nil
	g.count--
}

// MoveBefore puts n in front of at in the node order of their graph.
func (g *Graph) MoveBefore(n, at *Node) {
	if n == at {
		return
	}
	g.unlink(n)
	g.link(n, at.prev)
}

// MoveAfter puts n behind at in the node order of their graph.
func (g *Graph) MoveAfter(n, at *Node) {
	if n == at {
		return
	}
	g.unlink(n)
	g.link(n, at)
}

// RemoveNode deletes a node whose outputs nothing reads.
func (g *Graph) RemoveNode(n *Node) {
	if n.graph != g {
		panic("BUG: node of another graph")
	}
	for _, v := range n.outputs {
		if v != nil {
			g.forget(v)
		}
	}
	for i := len(n.inputs) - 1; i >= 0; i-- {
		n.setInput(i, nil)
	}
	for _, a := range n.attrs {
		a.detach()
	}
	g.unlink(n)
	n.graph = nil
}
