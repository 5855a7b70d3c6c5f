package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// InferReport says what Infer could not do.
type InferReport struct {
	Failed    []InferFailure  // in node order
	Conflicts []InferConflict // in node order

	constants map[*Value]*Tensor
}

// InferFailure is a node whose outputs have no inferred shape, and why. Nodes
// behind it that fail for want of its shape are listed too, after it.
type InferFailure struct {
	Node   *Node
	Reason string
}

// InferConflict is a value whose type in the file contradicts what its
// operator makes. The inferred type stands.
type InferConflict struct {
	Value              *Value
	Declared, Inferred Type
}

// OK reports whether every node's shapes were inferred. Dimensions that only a
// run can tell, such as the number of NonZero's hits, may still be unknown.
func (r *InferReport) OK() bool { return len(r.Failed) == 0 }

// Failure returns why a node could not be inferred, "" if it was.
func (r *InferReport) Failure(n *Node) string {
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
func (r *InferReport) Constant(v *Value) *Tensor { return r.constants[v] }

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
func Infer(m *Model) *InferReport {
	m.own()
	e := &inferer{report: &InferReport{constants: map[*Value]*Tensor{}}, left: maxInferSteps, elements: maxAllFollowed}
	e.used, e.functions = map[string]bool{}, map[functionKey]*Function{}
	for _, fn := range m.Functions {
		e.functions[functionKey{canonicalDomain(fn.Domain), fn.Name, fn.Overload}] = fn
	}
	for _, v := range m.Graph.inputs {
		for _, d := range v.Type.Shape {
			e.used[d.Param] = true
		}
	}
	f := &frame{inferer: e, facts: map[*Value]*fact{}, speaks: m.Opset(""), report: e.report}
	for _, v := range m.Graph.inputs {
		if v.init == nil {
			f.facts[v] = &fact{elem: v.Type.Elem, shape: v.Type.Shape, other: !v.Type.IsTensor()}
		}
	}
	f.graph(m.Graph)
	f.write(m.Graph)
	return e.report
}

// SetInputShape gives graph input v another shape and forgets all shapes of
// the graph that followed from the old one. Call Infer afterwards.
func SetInputShape(m *Model, name string, shape Shape) error {
	v := m.Graph.Value(name)
	if v == nil || !v.input {
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

// ForgetShapes drops the shapes of everything but the graph's inputs and
// initializers: those declared in the file, and those inferred before a change.
func ForgetShapes(m *Model) { forgetShapes(m.Graph) }

// forgetShapes drops the shapes of everything but inputs and initializers.
func forgetShapes(g *Graph) {
	for n := range g.Nodes() {
		for _, v := range n.outputs {
			if v != nil && v.Type.IsTensor() {
				v.Type.Shape = nil
			}
		}
		for _, s := range n.Subgraphs() {
			for _, v := range s.inputs {
				if v.Type.IsTensor() {
					v.Type.Shape = nil
				}
			}
			forgetShapes(s)
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
	elem  DataType
	shape Shape
	value *Tensor // of a constant
	elems []*expr // of an integer tensor of static shape whose elements are partly known
	seq   []*fact // of a sequence: its elements, nil if their number is not known
	other bool    // no tensor: a sequence, map, optional or sparse tensor
}

func constFact(t *Tensor) *fact { return &fact{elem: t.DType, shape: t.Shape(), value: t} }

// inferer is one run of Infer.
type inferer struct {
	report    *InferReport
	functions map[functionKey]*Function
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
func (e *inferer) symbol() Dim {
	for {
		e.fresh++
		if s := fmt.Sprintf("%s%d", freshPrefix, e.fresh); !e.used[s] {
			return Sym(s)
		}
	}
}

// freshPrefix begins the symbols of dimensions that only a run can tell.
const freshPrefix = "dyn_"

// frame is a graph with its subgraphs, or one call of a function.
type frame struct {
	*inferer
	facts  map[*Value]*fact
	given  map[string]*Attribute // in a function: its attributes
	speaks int64                 // ai.onnx version
	report *InferReport          // nil inside functions, whose caller reports
}

// fact returns what is known of a value, never nil.
func (f *frame) fact(v *Value) *fact {
	if known := f.facts[v]; known != nil {
		return known
	}
	var known *fact
	switch {
	case v.init != nil && !v.input:
		known = constFact(v.init)
	case v.init != nil: // a default that a caller may replace by one of the same type
		known = &fact{elem: v.init.DType, shape: v.init.Shape()}
		if v.Type.Shape != nil {
			known.shape = v.Type.Shape
		}
	case v.producer == nil && !v.input: // a sparse initializer
		known = &fact{elem: v.Type.Elem, shape: v.Type.Shape}
	default:
		known = &fact{}
	}
	f.facts[v] = known
	return known
}

// graph infers the nodes of a graph in order. The facts of its inputs are set.
func (f *frame) graph(g *Graph) error {
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

func (f *frame) node(n *Node) error {
	if f.left--; f.left < 0 {
		return errors.New("the model is too large to infer")
	}
	c := &inferCall{opCall: opCall{n: n, opset: f.speaks, bind: f.given}, frame: f}
	c.in = make([]*fact, len(n.inputs))
	for i, v := range n.inputs {
		if v != nil {
			c.in[i] = f.fact(v)
		}
	}
	c.out = make([]fact, len(n.outputs))
	err := c.run()
	for i, v := range n.outputs {
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
func (f *frame) declare(v *Value, known *fact) {
	d := v.Type
	if !d.IsTensor() || known.other {
		return
	}
	conflict := known.elem != Undefined && d.Elem != Undefined && known.elem != d.Elem ||
		known.shape != nil && d.Shape != nil && len(known.shape) != len(d.Shape)
	if known.elem == Undefined {
		known.elem = d.Elem
	}
	if known.shape == nil {
		known.shape = slices.Clone(d.Shape)
		for i, dim := range known.shape {
			if strings.HasPrefix(dim.Param, freshPrefix) {
				known.shape[i] = Sym("")
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
		f.report.Conflicts = append(f.report.Conflicts, InferConflict{v, d, Type{Elem: known.elem, Shape: known.shape}})
	}
}

// write sets the types of a graph's values and of its subgraphs' from the
// facts found.
func (f *frame) write(g *Graph) {
	set := func(v *Value) {
		if known := f.facts[v]; known != nil && v != nil && v.Type.IsTensor() && !known.other {
			// Facts share shapes, values must not: passes may change them.
			v.Type.Elem, v.Type.Shape = known.elem, slices.Clone(known.shape)
			if known.value != nil {
				f.report.constants[v] = known.value
			}
		}
	}
	for n := range g.Nodes() {
		for _, s := range n.Subgraphs() {
			for _, v := range s.inputs {
				set(v)
			}
			f.write(s)
		}
		for _, v := range n.outputs {
			set(v)
		}
	}
}

// inferCall is the inference of one node.
type inferCall struct {
	opCall
	*frame
	in  []*fact
	out []fact
}

// run finds the node's output facts by evaluation if everything is constant
// and small, else by the operator's rule.
func (c *inferCall) run() error {
	if fn := c.function(); fn != nil {
		return c.call(fn)
	}
	op, err := c.check(len(c.in))
	if err != nil {
		return err
	}
	for i := range op.minIn {
		if c.in[i] == nil {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	if c.fold(op) {
		return nil
	}
	if op.infer == nil {
		return errors.New("afc does not infer shapes of this operator")
	}
	if err := op.infer(c); err != nil {
		return err
	}
	if c.err != nil {
		return c.err
	}
	c.move(op)
	c.settle()
	return nil
}

// fold evaluates a node of small constants.
func (c *inferCall) fold(op *operator) bool {
	switch costKinds[c.n.OpType] {
	case costProduct, costWindow:
		return false // no shape depends on them, and they may take long
	}
	if op.eval == nil {
		return false
	}
	in, total := make([]*Tensor, len(c.in)), int64(0)
	for i, x := range c.in {
		if x == nil {
			continue
		}
		if x.value == nil {
			return false
		}
		n, err := x.value.NumElements()
		if total += n; err != nil || total > maxFollowed {
			return false
		}
		in[i] = x.value
	}
	if !c.follow(total) {
		return false
	}
	out, err := evalNode(c.n, in, c.bind, EvalOptions{Opset: c.opset, MaxBytes: 64 * maxFollowed})
	if err != nil {
		return false // the operator's rule may still know the shape, or say what is wrong
	}
	for i, t := range out {
		if t != nil {
			c.out[i] = *constFact(t)
		}
	}
	return true
}

// move follows partly known elements through an operator that only moves them:
// it is evaluated on numbers that stand for the elements.
func (c *inferCall) move(op *operator) {
	if op.eval == nil || len(c.out) == 0 || c.elements < 0 {
		return
	}
	if c.str("reduction", "none") != "none" {
		return // some scattered elements are computed
	}
	pool := []*expr{constExpr(0)} // what the operator itself fills in
	known := false                // whether anything is known of any element
	in := make([]*Tensor, len(c.in))
	for i, x := range c.in {
		switch {
		case x == nil:
		case !op.moved(i):
			if x.value == nil {
				return
			}
			in[i] = x.value
		default:
			elems := x.exprs()
			if elems == nil {
				n, ok := x.count()
				if !ok || domainOf(x.elem) != intDomain {
					return
				}
				elems = make([]*expr, n)
			} else {
				known = true
			}
			if len(pool)+len(elems) > maxFollowed {
				return
			}
			ids := span(int64(len(pool)), 1, int64(len(elems)))
			pool = append(pool, elems...)
			in[i] = Int64s(x.shape.Dims(), ids...)
		}
	}
	if !known || !c.follow(int64(len(pool))) {
		return
	}
	out, err := evalNode(c.n, in, c.bind, EvalOptions{Opset: c.opset, MaxBytes: 64 * maxFollowed})
	if err != nil {
		return
	}
	for i, t := range out {
		if t == nil || c.out[i].elems != nil || c.out[i].value != nil || !c.out[i].shape.Static() || !slices.Equal(c.out[i].shape.Dims(), t.Dims) {
			continue
		}
		ids, err := t.Int64s()
		if err != nil {
			continue
		}
		c.out[i].elems = make([]*expr, len(ids))
		for k, id := range ids {
			c.out[i].elems[k] = pool[id]
		}
	}
}

// settle turns outputs whose elements all came out as numbers into constants.
func (c *inferCall) settle() {
	for i := range c.out {
		o := &c.out[i]
		if o.elems == nil || !o.shape.Static() {
			continue
		}
		v := make([]int64, len(o.elems))
		known := true
		for k, e := range o.elems {
			x, ok := e.isConst()
			v[k], known = x, known && ok
		}
		if known && domainOf(o.elem) == intDomain {
			a := &arr{o.elem, o.shape.Dims(), make([]byte, len(v)*o.elem.Size())}
			store(a, v)
			o.value, o.elems = mustTensor(a.dtype, a.dims, a.b), nil
		} else if !slices.ContainsFunc(o.elems, func(e *expr) bool { return e != nil }) {
			o.elems = nil
		}
	}
}

// count is the number of elements of a tensor of static shape that is small
// enough to be followed.
func (x *fact) count() (int64, bool) {
	if !x.shape.Static() {
		return 0, false
	}
	n, err := numElements(x.shape.Dims())
	return n, err == nil && n <= maxFollowed
}

// exprs returns the elements of an integer tensor as expressions, nil if
// nothing is known of them or they are too many.
func (x *fact) exprs() []*expr {
	if x.elems != nil || x.value == nil || domainOf(x.elem) != intDomain {
		return x.elems
	}
	if _, ok := x.count(); !ok {
		return nil
	}
	v, err := x.value.Int64s()
	if err != nil {
		return nil
	}
	out := make([]*expr, len(v))
	for i, n := range v {
		out[i] = constExpr(n)
	}
	return out
}

// ---- What operators' rules are made of

// shape returns the shape of input i, or an error if its rank is not known.
func (c *inferCall) shape(i int) (Shape, error) {
	if i >= len(c.in) || c.in[i] == nil {
		return nil, fmt.Errorf("input %d is missing", i)
	}
	if c.in[i].shape == nil {
		return nil, fmt.Errorf("the shape of input %q is not known", c.n.inputs[i])
	}
	return c.in[i].shape, nil
}

// has reports whether input i is given.
func (c *inferCall) has(i int) bool { return i < len(c.in) && c.in[i] != nil }

func (c *inferCall) elem(i int) DataType {
	if c.has(i) {
		return c.in[i].elem
	}
	return Undefined
}

// set gives output i its type, if the node has that output.
func (c *inferCall) set(i int, elem DataType, shape Shape) {
	if i < len(c.out) {
		c.out[i].elem, c.out[i].shape = elem, shape
	}
}

// list returns the elements of an integer-list input that was an attribute of
// that name in earlier opsets; nil if the node has neither. Elements may be
// nil; the length is known, or an error says that it is not.
func (c *inferCall) list(i int, name string) ([]*expr, error) {
	if !c.has(i) {
		v := c.ints(name)
		if v == nil {
			return nil, nil
		}
		out := make([]*expr, len(v))
		for k, n := range v {
			out[k] = constExpr(n)
		}
		return out, nil
	}
	if e := c.in[i].exprs(); e != nil {
		return e, nil
	}
	s, err := c.shape(i)
	if err != nil {
		return nil, err
	}
	if len(s) > 1 || !s.Static() || len(s) == 1 && s[0].Size > maxRank {
		return nil, fmt.Errorf("input %q is not a list of known length", c.n.inputs[i])
	}
	return make([]*expr, product(s.Dims())), nil
}

// numbers is list where every element must be a known number.
func (c *inferCall) numbers(i int, name string) ([]int64, error) {
	list, err := c.list(i, name)
	if err != nil || list == nil {
		return nil, err
	}
	out := make([]int64, len(list))
	for k, e := range list {
		v, ok := e.isConst()
		if !ok {
			return nil, fmt.Errorf("the values of input %q are not known", c.n.inputs[i])
		}
		out[k] = v
	}
	return out, nil
}

// constant returns the tensor of a constant input, nil if it is not one.
func (c *inferCall) constant(i int) *Tensor {
	if c.has(i) {
		return c.in[i].value
	}
	return nil
}

// sameElem checks that inputs a and b have one element type, as far as known.
func (c *inferCall) sameElem(a, b int) error {
	x, y := c.elem(a), c.elem(b)
	if x != Undefined && y != Undefined && x != y {
		return fmt.Errorf("inputs %d and %d are %s and %s, expected one type", a, b, x, y)
	}
	return nil
}
