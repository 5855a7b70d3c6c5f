package graph

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph/internal/schema"
)

// newestIR is the newest IR version that onnx.proto defines.
const newestIR = 14

// maxOpsets bounds lists that are searched for each node.
const maxOpsets = 100

// Check tests a model against the rules of ONNX, as far as they do not need
// shapes: known IR version and opsets; operators, their numbers of inputs and
// outputs and the types of their attributes as the opset has them; names of
// nodes that no other node of the graph has; static
// single assignment in topological order, with names that hide no other;
// values read only where they are in scope; initializers of a known type that
// fill their dimensions and agree with what is declared; weights of the
// convolutions that agree among themselves. It also tests that producers, uses
// and lists of the IR agree, so passes can be checked one by one.
//
// It returns the first fault, an *Error, or nil.
func Check(m *Model) error {
	c := &checker{model: m, functions: map[[3]string]*Function{}, seen: map[*Node]bool{}, reads: map[*Value]int{}}
	err := c.run()
	if e, ok := err.(*Error); ok && e.File == "" {
		e.File = m.Path
	}
	return err
}

type checker struct {
	model     *Model
	functions map[[3]string]*Function // domain, name, overload
	opsets    []Opset                 // of the model or function at hand
	function  *Function               // nil in the main graph

	parameters map[string]bool // the function's attributes
	seen       map[*Node]bool  // nodes met
	reads      map[*Value]int  // node inputs met that read a value
}

func (c *checker) run() error {
	m := c.model
	switch {
	case m.Graph == nil:
		return errorf("", "the model has no graph")
	case m.IRVersion < 1 || m.IRVersion > newestIR:
		return errorf("", "IR version %d is not one of 1 to %d", m.IRVersion, newestIR)
	}
	if m.IRVersion >= 3 && m.Opset("") == 0 && len(m.Opsets) == 0 {
		return errorf("", "the model imports no operator set")
	}
	if err := checkOpsets(m.Opsets); err != nil {
		return err
	}
	for _, f := range m.Functions {
		key := [3]string{CanonicalDomain(f.Domain), f.Name, f.Overload}
		if c.functions[key] != nil {
			return errorf("function "+f.Name, "defined twice")
		}
		c.functions[key] = f
	}
	c.opsets = m.Opsets
	if err := c.graph(m.Graph); err != nil {
		return err
	}
	for _, v := range slices.Concat(m.Graph.inputs, m.Graph.outputs) {
		if v.Type.Elem == Undefined && v.Type.IsTensor() {
			return errorf(fmt.Sprintf("graph input or output %q", v.name), "has no type")
		}
	}
	for _, f := range m.Functions {
		if err := checkOpsets(f.Opsets); err != nil {
			return err
		}
		c.opsets, c.function, c.parameters = f.Opsets, f, map[string]bool{}
		for _, name := range f.Attributes {
			c.parameters[name] = true
		}
		for _, a := range f.AttributeDefaults {
			c.parameters[a.Name] = true
		}
		if err := c.graph(f.Body); err != nil {
			return err
		}
	}
	finished := map[*Function]bool{}
	for _, f := range m.Functions {
		if err := c.calls(f, finished); err != nil {
			return err
		}
	}
	return nil
}

// called returns the function that a node calls, nil if it is an operator.
func (c *checker) called(n *Node) *Function {
	return c.functions[[3]string{CanonicalDomain(n.Domain), n.OpType, n.Overload}]
}

// calls tests that no function comes back to itself. finished is false for
// those on the way to f and true for those that are known to come to an end.
func (c *checker) calls(f *Function, finished map[*Function]bool) error {
	if done, met := finished[f]; met {
		if !done {
			return errorf("function "+f.Name, "calls itself, directly or over others; ONNX has no recursion")
		}
		return nil
	}
	finished[f] = false
	for n := range f.Body.AllNodes() {
		if called := c.called(n); called != nil {
			if err := c.calls(called, finished); err != nil {
				return err
			}
		}
	}
	finished[f] = true
	return nil
}

func checkOpsets(os []Opset) error {
	if len(os) > maxOpsets {
		return errorf("", "imports %d operator sets, more than the %d that are plausible", len(os), maxOpsets)
	}
	for i, o := range os {
		newest := schema.Newest(CanonicalDomain(o.Domain))
		switch {
		case o.Version < 1:
			return errorf("", "opset %d of domain %q is not a version", o.Version, o.Domain)
		case newest > 0 && o.Version > newest:
			return errorf("", "opset %d of domain %q is newer than %d, the newest that afc knows", o.Version, o.Domain, newest)
		}
		for _, p := range os[:i] {
			if CanonicalDomain(p.Domain) == CanonicalDomain(o.Domain) && p.Version != o.Version {
				return errorf("", "opsets %d and %d of domain %q are both imported", p.Version, o.Version, o.Domain)
			}
		}
	}
	return nil
}

// opset returns the imported version of a domain in the model or function at
// hand.
func (c *checker) opset(domain string) int64 {
	for _, o := range c.opsets {
		if CanonicalDomain(o.Domain) == CanonicalDomain(domain) {
			return o.Version
		}
	}
	return 0
}

func (c *checker) graph(g *Graph) error {
	if err := checkLists(g); err != nil {
		return err
	}
	for _, v := range slices.Concat(g.inputs, g.inits, g.sparse) {
		if err := checkValue(v); err != nil {
			return err
		}
	}
	if n, v := g.misplaced(); n != nil {
		return errorf(n.String(), "reads %q before %s makes it", v.name, v.producer)
	}
	named := make(map[string]*Node, g.count)
	for n := range g.Nodes() {
		if n.Name != "" && named[n.Name] != nil {
			return errorf(n.String(), "has the name of another node, %s", output(named[n.Name]))
		}
		named[n.Name] = n
		c.seen[n] = true
		for _, v := range n.inputs {
			if v == nil {
				continue
			}
			if !inScope(v, g) {
				return errorf(n.String(), "reads %q, which is not in this graph or one around it", v.name)
			}
			c.reads[v]++
		}
		for i, v := range n.outputs {
			if v == nil {
				continue
			}
			if v.producer != n || v.index != i || v.graph != g || g.values[v.name] != v {
				return errorf(n.String(), "internal: output %d, %q, belongs elsewhere", i, v.name)
			}
			if err := checkValue(v); err != nil {
				return err
			}
		}
		if err := c.node(n); err != nil {
			return err
		}
		for _, sub := range n.Subgraphs() {
			if sub.parent != n {
				return errorf(n.String(), "internal: its subgraph %q belongs to another node", sub.Name)
			}
			if err := c.graph(sub); err != nil {
				return err
			}
		}
	}
	return c.uses(g)
}

// output says what a node makes, to tell it from another of its name.
func output(n *Node) string {
	for _, v := range n.outputs {
		if v != nil {
			return fmt.Sprintf("the %s that makes %q", n.OpType, v.name)
		}
	}
	return "a " + n.OpType
}

// uses tests, after all nodes of g and its subgraphs were met, that the use
// lists of g's values name them and nothing else.
func (c *checker) uses(g *Graph) error {
	check := func(v *Value) error {
		if len(v.uses) != c.reads[v] {
			return errorf(fmt.Sprintf("value %q", v.name), "internal: lists %d uses, has %d", len(v.uses), c.reads[v])
		}
		for _, u := range v.uses {
			if !c.seen[u.Node] || u.Index >= len(u.Node.inputs) || u.Node.inputs[u.Index] != v {
				return errorf(u.Node.String(), "internal: is said to read %q, but does not", v.name)
			}
		}
		return nil
	}
	for _, v := range slices.Concat(g.inputs, g.inits, g.sparse) {
		if err := check(v); err != nil {
			return err
		}
	}
	for n := range g.Nodes() {
		for _, v := range n.outputs {
			if v == nil {
				continue
			}
			if err := check(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkLists tests the lists of a graph against its values.
func checkLists(g *Graph) error {
	outputs := map[*Value]int{}
	for i, v := range g.outputs {
		if v == nil || v.graph != g {
			return errorf(fmt.Sprintf("graph %q", g.Name), "output %d is not a value of the graph", i)
		}
		outputs[v]++
	}
	for _, v := range g.outputs {
		if v.output != outputs[v] {
			return errorf(fmt.Sprintf("value %q", v.name), "internal: counts as %d outputs, is %d", v.output, outputs[v])
		}
	}
	for _, v := range slices.Concat(g.inputs, g.inits, g.sparse) {
		if v.graph != g || g.values[v.name] != v || v.producer != nil {
			return errorf(fmt.Sprintf("value %q", v.name), "internal: not a value of graph %q without producer", g.Name)
		}
	}
	return nil
}

func inScope(v *Value, g *Graph) bool {
	for ; g != nil; g = g.parent.graph {
		if v.graph == g {
			return true
		}
		if g.parent == nil {
			return false
		}
	}
	return false
}

func checkValue(v *Value) error {
	where := fmt.Sprintf("value %q", v.name)
	if v.Type.Elem != Undefined && !v.Type.Elem.Known() {
		return errorf(where, "has %s elements, which ONNX does not define", v.Type.Elem)
	}
	if p := v.graph.parent; p != nil && p.graph.Lookup(v.name) != nil {
		return errorf(where, "has the name of a value in the graph around")
	}
	if t := v.init; t != nil {
		where = fmt.Sprintf("initializer %q", v.name)
		if err := checkTensor(t); err != nil {
			return errorf(where, "%v", err)
		}
		if v.Type.IsTensor() && !v.Type.admits(t) {
			return errorf(where, "is declared as %s, but is %s%v", v.Type, t.DType, t.Shape())
		}
	}
	return nil
}

// admits reports whether a tensor is of the type, as far as the type is known.
func (t Type) admits(x *Tensor) bool {
	if t.Elem != Undefined && t.Elem != x.DType {
		return false
	}
	if t.Shape == nil {
		return true
	}
	return slices.EqualFunc(t.Shape, x.Dims, func(d Dim, n int64) bool { return !d.Known() || d.Size == n })
}

// checkTensor tests that a tensor has a known type and as many elements as
// its dimensions say.
func checkTensor(t *Tensor) error {
	if !t.DType.Known() {
		return fmt.Errorf("its elements are of %s, which ONNX does not define", t.DType)
	}
	n, err := t.NumElements()
	switch {
	case err != nil:
		return err
	case t.DType == String && t.external != nil:
		return fmt.Errorf("strings cannot be external data")
	case t.DType == String && int64(len(t.strs)) != n:
		return fmt.Errorf("dimensions %v ask for %d strings, it has %d", t.Dims, n, len(t.strs))
	case t.DType == String:
		return nil
	case t.external != nil && t.external.Length >= 0:
		return t.checkSize(t.external.Length, "external data")
	case t.external != nil:
		return nil
	}
	return t.checkSize(int64(len(t.raw)), "it")
}
