package op

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// InferReport says what Infer could not do.
type InferReport struct {
	Failed    []InferFailure  // in node order
	Conflicts []InferConflict // in node order

	constants map[*graph.Value]*graph.Tensor
}

// InferFailure is a node whose outputs have no inferred shape, and why. Nodes
// behind it that fail for want of its shape are listed too, after it.
type InferFailure struct {
	Node   *graph.Node
	Reason string
}

// InferConflict is a value whose type in the file contradicts what its
// operator makes. The inferred type stands.
type InferConflict struct {
	Value              *graph.Value
	Declared, Inferred graph.Type
}

// OK reports whether every node's shapes were inferred. Dimensions that only a
// run can tell, such as the number of NonZero's hits, may still be unknown.
func (r *InferReport) OK() bool { return len(r.Failed) == 0 }

// Failure returns why a node could not be inferred, "" if it was.
func (r *InferReport) Failure(n *graph.Node) string {
	for _, f := range r.Failed {
		if f.Node == n {
			return f.Reason
		}
	}
	return ""
}

// Constant returns what a node's output always holds, where inference found
// that out: the elements of a shape that are known though others are not, and
// what is computed from them. Otherwise nil.
func (r *InferReport) Constant(v *graph.Value) *graph.Tensor { return r.constants[v] }

func (r *InferReport) String() string {
	var b strings.Builder
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "%s: %s\n", f.Node, f.Reason)
	}
	for _, c := range r.Conflicts {
		fmt.Fprintf(&b, "value %q: declared %s, inferred %s\n", c.Value, c.Declared, c.Inferred)
	}
	return b.String()
}

// Infer fills in the types of all values of the model's graph and its
// subgraphs from those of the graph inputs. It follows constants and symbolic
// sizes through shape arithmetic, so that with input [batch,8,3,224,224] a
// Reshape to Concat(Shape(x)[0]*8, 3, 224, 224) yields [8*batch,3,224,224].
// Functions are followed through their bodies. A dimension is set only if the
// operators' definitions fix it. Where they do not, a type declared in the
// file stands; a node of which nothing can be said is reported.
func Infer(m *graph.Model) *InferReport {
	m.Own()
	e := &inferer{report: &InferReport{constants: map[*graph.Value]*graph.Tensor{}}, left: maxInferSteps, elements: maxAllFollowed}
	e.used, e.functions = map[string]bool{}, map[functionKey]*graph.Function{}
	for _, fn := range m.Functions {
		e.functions[functionKey{graph.CanonicalDomain(fn.Domain), fn.Name, fn.Overload}] = fn
	}
	for _, v := range m.Graph.Inputs() {
		for _, d := range v.Type.Shape {
			e.used[d.Param] = true
		}
	}
	f := &frame{inferer: e, facts: map[*graph.Value]*fact{}, speaks: m.Opset(""), report: e.report}
	for _, v := range m.DataInputs() {
		f.facts[v] = &fact{elem: v.Type.Elem, shape: v.Type.Shape, other: !v.Type.IsTensor()}
	}
	f.graph(m.Graph)
	f.write(m.Graph)
	return e.report
}

// SetInputShape gives graph input v another shape and forgets all shapes of
// the graph that followed from the old one. Call Infer afterwards.
func SetInputShape(m *graph.Model, name string, shape graph.Shape) error {
	v := m.Graph.Value(name)
	if v == nil || !v.IsInput() {
		return fmt.Errorf("graph has no input %q", name)
	}
	if !v.Type.IsTensor() {
		return fmt.Errorf("input %q is not a tensor", name)
	}
	if old := v.Type.Shape; old != nil && len(old) != len(shape) {
		return fmt.Errorf("input %q has shape %s, which %s does not fit", name, old, shape)
	}
	v.Type.Shape = shape
	ForgetShapes(m)
	return nil
}

// SetInputShapes is SetInputShape of several inputs, by name.
func SetInputShapes(m *graph.Model, shapes map[string]graph.Shape) error {
	for _, v := range m.Graph.Inputs() {
		if s, ok := shapes[v.Name()]; ok {
			if err := SetInputShape(m, v.Name(), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// ForgetShapes drops the shapes of everything but the graph's inputs and
// initializers: those declared in the file, and those inferred before a change.
func ForgetShapes(m *graph.Model) {
	forget := func(v *graph.Value) {
		if v != nil && v.Type.IsTensor() {
			v.Type.Shape = nil
		}
	}
	for g := range m.Graph.AllGraphs() {
		if g != m.Graph {
			for _, v := range g.Inputs() {
				forget(v)
			}
		}
		for n := range g.Nodes() {
			for _, v := range n.Outputs() {
				forget(v)
			}
		}
	}
}

const (
	// maxInferSteps bounds the nodes visited, bodies counted per visit, so that
	// functions that call each other twice over end.
	maxInferSteps = 1 << 20
	maxInferDepth = 64 // subgraphs and functions inside each other
	// maxFollowed bounds the elements of a tensor whose values inference
	// follows. Shapes and what is made of them are far smaller.
	maxFollowed = 1024
	// maxAllFollowed bounds what a whole run follows; behind it, shapes are
	// still inferred where they depend on no values.
	maxAllFollowed = 1 << 22
)

// fact is what is known of a value during inference.
type fact struct {
	elem  graph.DataType
	shape graph.Shape
	value *graph.Tensor // of a constant
	elems []*sym.Expr   // of an integer tensor of static shape whose elements are partly known
	seq   []*fact       // of a sequence: its elements, nil if their number is not known
	other bool          // no tensor: a sequence, map, optional or sparse tensor
}

func constFact(t *graph.Tensor) *fact { return &fact{elem: t.DType, shape: t.Shape(), value: t} }

// inferer is one run of Infer.
type inferer struct {
	report    *InferReport
	functions map[functionKey]*graph.Function
	left      int   // nodes that may still be visited
	elements  int64 // elements that may still be followed
	depth     int
	fresh     int
	used      map[string]bool // symbols of the graph's inputs
}

// follow reports whether n more elements may be followed.
func (e *inferer) follow(n int64) bool {
	e.elements -= n
	return e.elements >= 0
}

// functionKey is what a node calls a function by.
type functionKey struct{ domain, name, overload string }

// symbol returns a dimension with a symbol of its own.
func (e *inferer) symbol() graph.Dim {
	for {
		e.fresh++
		if s := fmt.Sprintf("%s%d", freshPrefix, e.fresh); !e.used[s] {
			return graph.Sym(s)
		}
	}
}

// freshPrefix begins the symbols of dimensions that only a run can tell.
const freshPrefix = "dyn_"

// frame is a graph with its subgraphs, or one call of a function.
type frame struct {
	*inferer
	facts  map[*graph.Value]*fact
	given  map[string]*graph.Attribute // in a function: its attributes
	speaks int64                       // ai.onnx version
	report *InferReport                // nil inside functions, whose caller reports
}

// fact returns what is known of a value, never nil.
func (f *frame) fact(v *graph.Value) *fact {
	if known := f.facts[v]; known != nil {
		return known
	}
	var known *fact
	switch {
	case v.Initializer() != nil && !v.IsInput():
		known = constFact(v.Initializer())
	case v.Initializer() != nil: // a default that a caller may replace by one of the same type
		known = &fact{elem: v.Initializer().DType, shape: v.Initializer().Shape()}
		if v.Type.Shape != nil {
			known.shape = v.Type.Shape
		}
	case v.Producer() == nil && !v.IsInput(): // a sparse initializer
		known = &fact{elem: v.Type.Elem, shape: v.Type.Shape}
	default:
		known = &fact{}
	}
	f.facts[v] = known
	return known
}

// graph infers the nodes of a graph in order. The facts of its inputs are set.
func (f *frame) graph(g *graph.Graph) error {
	var first error
	for n := range g.Nodes() {
		if err := f.node(n); err != nil {
			if first == nil {
				first = fmt.Errorf("%s: %w", n, err)
			}
			if f.report != nil {
				f.report.Failed = append(f.report.Failed, InferFailure{n, err.Error()})
			}
		}
	}
	return first
}

func (f *frame) node(n *graph.Node) error {
	if f.left--; f.left < 0 {
		return errors.New("the model is too large to infer")
	}
	c := &inferCall{opCall: opCall{n: n, opset: f.speaks, bind: f.given}, frame: f}
	c.in = make([]*fact, len(n.Inputs()))
	for i, v := range n.Inputs() {
		if v != nil {
			c.in[i] = f.fact(v)
		}
	}
	c.out = make([]fact, len(n.Outputs()))
	err := c.run()
	for i, v := range n.Outputs() {
		if v == nil {
			continue
		}
		known := c.out[i]
		if f.report != nil {
			f.declare(v, &known)
		}
		f.facts[v] = &known
	}
	return err
}

// declare fills what inference left open from the type declared in the file.
func (f *frame) declare(v *graph.Value, known *fact) {
	d := v.Type
	if !d.IsTensor() || known.other {
		return
	}
	conflict := known.elem != graph.Undefined && d.Elem != graph.Undefined && known.elem != d.Elem ||
		known.shape != nil && d.Shape != nil && len(known.shape) != len(d.Shape)
	if known.elem == graph.Undefined {
		known.elem = d.Elem
	}
	if known.shape == nil {
		known.shape = slices.Clone(d.Shape)
		for i, dim := range known.shape {
			if strings.HasPrefix(dim.Param, freshPrefix) {
				known.shape[i] = graph.Sym("")
			}
		}
	} else if len(known.shape) == len(d.Shape) {
		known.shape = slices.Clone(known.shape)
		for i, dim := range d.Shape {
			switch k := &known.shape[i]; {
			case k.Known() && dim.Known():
				conflict = conflict || k.Size != dim.Size
			case !k.Known() && k.Param == "" && !strings.HasPrefix(dim.Param, freshPrefix):
				*k = dim
			}
		}
	}
	if conflict {
		f.report.Conflicts = append(f.report.Conflicts, InferConflict{v, d, graph.Type{Elem: known.elem, Shape: known.shape}})
	}
}

// write sets the types of a graph's values and of its subgraphs' from the
// facts found.
func (f *frame) write(g *graph.Graph) {
	set := func(v *graph.Value) {
		if known := f.facts[v]; known != nil && v != nil && v.Type.IsTensor() && !known.other {
			// Facts share shapes, values must not: passes may change them.
			v.Type.Elem, v.Type.Shape = known.elem, slices.Clone(known.shape)
			if known.value != nil {
				f.report.constants[v] = known.value
			}
		}
	}
	for sub := range g.AllGraphs() {
		if sub != g {
			for _, v := range sub.Inputs() {
				set(v)
			}
		}
		for n := range sub.Nodes() {
			for _, v := range n.Outputs() {
				set(v)
			}
		}
	}
}
