package graph

import (
	"fmt"
	"iter"
	"slices"
)

// Model is an ONNX model: a graph with the opsets it speaks and what else the
// file carries (onnx.proto, ModelProto).
type Model struct {
	IRVersion       int64
	Opsets          []Opset // in file order
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Metadata        []Property // in file order; see Meta and SetMeta
	Graph           *Graph
	Functions       []*Function

	// Path is the file the model was read from, "" if none. Messages name it;
	// external data is resolved against its folder.
	Path string

	mapping []byte          // the file, if it is mapped into memory; see Close
	files   []*externalFile // that tensors lie in

	// opaque holds what afc carries through unread: training info, device
	// configurations and unknown fields, as wire bytes.
	opaque []byte
}

// Opset is an operator set the model imports. Domain "" is the ONNX domain
// ("ai.onnx" is its alias).
type Opset struct {
	Domain  string
	Version int64
}

// Property is a key and value of a metadata_props list.
type Property struct{ Key, Value string }

// NewModel returns an empty model of the given ai.onnx opset with an empty graph.
func NewModel(name string, irVersion, opset int64) *Model {
	m := &Model{IRVersion: irVersion, Opsets: []Opset{{"", opset}}, Graph: NewGraph(name)}
	m.own()
	return m
}

// opsetOwner is a Model or Function: what says in which version of an operator set
// the nodes of a graph are written.
type opsetOwner interface{ Opset(domain string) int64 }

// own tells the model's graphs which opsets their nodes are written in.
func (m *Model) own() {
	m.Graph.owner = m
	for _, f := range m.Functions {
		f.Body.owner = f
	}
}

// Opset returns the version the model imports of a domain, 0 if it does not.
// "" and "ai.onnx" are the same domain.
func (m *Model) Opset(domain string) int64 { return opsetIn(m.Opsets, domain) }

// Opset returns the version the function imports of a domain, 0 if it does not.
func (f *Function) Opset(domain string) int64 { return opsetIn(f.Opsets, domain) }

func opsetIn(list []Opset, domain string) int64 {
	for _, o := range list {
		if canonicalDomain(o.Domain) == canonicalDomain(domain) {
			return o.Version
		}
	}
	return 0
}

func canonicalDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// Meta returns the value of a metadata key, "" if absent.
func (m *Model) Meta(key string) string {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// SetMeta sets a metadata key, keeping its place, or appends it.
func (m *Model) SetMeta(key, value string) {
	for i := range m.Metadata {
		if m.Metadata[i].Key == key {
			m.Metadata[i].Value = value
			return
		}
	}
	m.Metadata = append(m.Metadata, Property{key, value})
}

// Function is a model-local function; its body is a Graph whose inputs and
// outputs are the function's formal parameters (untyped).
type Function struct {
	Name, Domain, Overload, Doc string
	Opsets                      []Opset
	Attributes                  []string     // names without default
	AttributeDefaults           []*Attribute // attributes with default
	Body                        *Graph
	Metadata                    []Property

	opaque []byte
}

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

	opaque []byte
}

// NewGraph returns an empty graph.
func NewGraph(name string) *Graph {
	return &Graph{Name: name, values: map[string]*Value{}}
}

// Value is one tensor of the graph in SSA form: made once, by a node, as a
// graph input, or as an initializer; and used any number of times.
type Value struct {
	Type Type   // element type and shape as far as known
	Doc  string // value_info doc string

	name     string
	graph    *Graph
	producer *Node
	index    int // which output of producer
	uses     []Use
	init     *Tensor
	sparse   *SparseTensor // a sparse initializer, carried through
	input    bool
	output   int        // how many times it stands among the graph's outputs
	declared bool       // has an entry in the file's value_info
	metadata []Property // of its value_info
	opaque   []byte
}

// Use says that input Index of Node reads a value. The node may sit in a
// subgraph of the value's graph.
type Use struct {
	Node  *Node
	Index int
}

// Node is one operator application.
type Node struct {
	Name, OpType, Domain, Overload, Doc string
	Metadata                            []Property

	inputs     []*Value // nil where an optional input is left out
	outputs    []*Value // nil where an optional output is left out
	attrs      []*Attribute
	graph      *Graph
	prev, next *Node

	opaque []byte
}

// ---- Values

// Name returns the value's name, unique in its graph.
func (v *Value) Name() string { return v.name }

// Graph returns the graph that owns the value.
func (v *Value) Graph() *Graph { return v.graph }

// Producer returns the node that makes the value, nil for graph inputs and
// initializers.
func (v *Value) Producer() *Node { return v.producer }

// ProducerIndex returns which of its producer's outputs the value is.
func (v *Value) ProducerIndex() int { return v.index }

// Uses returns the places that read the value, in the order they were made.
// The caller must not change the slice.
func (v *Value) Uses() []Use { return v.uses }

// NumUses counts node inputs plus graph outputs that read the value.
func (v *Value) NumUses() int { return len(v.uses) + v.output }

// IsInput reports whether the value is an input of its graph.
func (v *Value) IsInput() bool { return v.input }

// IsOutput reports whether the value is an output of its graph.
func (v *Value) IsOutput() bool { return v.output > 0 }

// Initializer returns the value's initializer, nil if it has none.
func (v *Value) Initializer() *Tensor { return v.init }

// Const returns the tensor of a value that cannot change at run time: an
// initializer that is not also a graph input, or the output of a Constant node
// with a tensor value. Otherwise nil.
func (v *Value) Const() *Tensor {
	if v == nil {
		return nil
	}
	if v.init != nil && !v.input {
		return v.init
	}
	if v.producer != nil && v.producer.OpType == "Constant" && canonicalDomain(v.producer.Domain) == "" {
		return v.producer.constantTensor()
	}
	return nil
}

// OnlyUse returns the single node that reads v, or nil when v has several uses
// or is a graph output.
func (v *Value) OnlyUse() *Node {
	if v.output == 0 && len(v.uses) == 1 {
		return v.uses[0].Node
	}
	return nil
}

func (v *Value) String() string {
	if v == nil {
		return "<omitted>"
	}
	return v.name
}

// ReplaceAllUses makes every reader of v, graph outputs included, read w.
// Where v was a graph output, w takes over v's name, since output names are
// the model's interface; w must belong to the same graph then.
func (v *Value) ReplaceAllUses(w *Value) {
	if v == w {
		return
	}
	for _, u := range v.uses {
		u.Node.inputs[u.Index] = w
	}
	w.uses = append(w.uses, v.uses...)
	v.uses = nil
	if v.output == 0 {
		return
	}
	g := v.graph
	if w.graph != g {
		panic("BUG: graph output replaced by a value of another graph")
	}
	for i, o := range g.outputs {
		if o == v {
			g.outputs[i] = w
			v.output--
			w.output++
		}
	}
	if !w.input && w.init == nil && !(w.output > 1) {
		name := v.name
		v.Rename(g.NewName(name))
		w.Rename(name)
	}
}

// Rename gives the value another name, which must be free in its graph.
func (v *Value) Rename(name string) {
	if name == v.name {
		return
	}
	if _, taken := v.graph.values[name]; taken {
		panic(fmt.Sprintf("BUG: value name %q is taken", name))
	}
	delete(v.graph.values, v.name)
	v.name = name
	v.graph.values[name] = v
}

func (v *Value) addUse(n *Node, i int) { v.uses = append(v.uses, Use{n, i}) }

// dropUse looks from both ends: nodes are mostly removed in order, and a value
// may have very many uses.
func (v *Value) dropUse(n *Node, i int) {
	u := Use{n, i}
	for lo, hi := 0, len(v.uses)-1; lo <= hi; lo, hi = lo+1, hi-1 {
		switch u {
		case v.uses[lo]:
			if lo == 0 {
				v.uses = v.uses[1:]
			} else {
				v.uses = slices.Delete(v.uses, lo, lo+1)
			}
			return
		case v.uses[hi]:
			v.uses = slices.Delete(v.uses, hi, hi+1)
			return
		}
	}
	panic("BUG: use list out of step with node inputs")
}

// ---- Graph

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

// ---- Nodes

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

// AddNode makes a node at the end of the graph with outputs of the given
// names ("" where left out), which must be free.
func (g *Graph) AddNode(opType, domain, name string, inputs []*Value, outputs []string, attrs ...*Attribute) *Node {
	n := &Node{Name: name, OpType: opType, Domain: domain, graph: g}
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

// Graph returns the graph the node sits in.
func (n *Node) Graph() *Graph { return n.graph }

// Next and Prev walk the node order; nil at the ends.
func (n *Node) Next() *Node { return n.next }

// Prev returns the node before n.
func (n *Node) Prev() *Node { return n.prev }

// Inputs returns the input values, nil where one is left out. The caller must
// not change the slice.
func (n *Node) Inputs() []*Value { return n.inputs }

// Outputs returns the output values, nil where one is left out. The caller
// must not change the slice.
func (n *Node) Outputs() []*Value { return n.outputs }

// Input returns input i, nil if it is left out or there are fewer.
func (n *Node) Input(i int) *Value {
	if i < len(n.inputs) {
		return n.inputs[i]
	}
	return nil
}

// Output returns output i, nil if it is left out or there are fewer.
func (n *Node) Output(i int) *Value {
	if i < len(n.outputs) {
		return n.outputs[i]
	}
	return nil
}

// Is reports whether n is an ai.onnx operator of one of the types.
func (n *Node) Is(opTypes ...string) bool {
	return n != nil && canonicalDomain(n.Domain) == "" && slices.Contains(opTypes, n.OpType)
}

// SetInput makes input i read v (nil: left out), growing the list if needed.
func (n *Node) SetInput(i int, v *Value) {
	for i >= len(n.inputs) {
		n.inputs = append(n.inputs, nil)
	}
	n.setInput(i, v)
}

// TrimInputs cuts the input list to its first k entries.
func (n *Node) TrimInputs(k int) {
	for i := k; i < len(n.inputs); i++ {
		n.setInput(i, nil)
	}
	n.inputs = n.inputs[:min(k, len(n.inputs))]
}

// TrimOutputs cuts the output list to its first k entries; those cut off must
// be unused.
func (n *Node) TrimOutputs(k int) {
	for _, v := range n.outputs[min(k, len(n.outputs)):] {
		if v != nil {
			n.graph.forget(v)
		}
	}
	n.outputs = n.outputs[:min(k, len(n.outputs))]
}

func (n *Node) setInput(i int, v *Value) {
	if old := n.inputs[i]; old != nil {
		old.dropUse(n, i)
	}
	n.inputs[i] = v
	if v != nil {
		v.addUse(n, i)
	}
}

// String names the node for messages: its operator, name and first output.
func (n *Node) String() string {
	if n == nil {
		return "<no node>"
	}
	op := n.OpType
	if canonicalDomain(n.Domain) != "" {
		op = n.Domain + "." + op
	}
	if n.Name != "" {
		return fmt.Sprintf("%s %q", op, n.Name)
	}
	for _, o := range n.outputs {
		if o != nil {
			return fmt.Sprintf("%s making %q", op, o.name)
		}
	}
	return op
}
