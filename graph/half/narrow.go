package half

import (
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Narrow makes a model that computes in float32 compute in half precision, in
// place, its subgraphs too. What only decides stays float32 (a choice must not
// turn by rounding), so do operators that take no half precision and nodes
// whose weights it does not hold: casts stand between. The model's inputs and
// outputs keep their types, unless io is true: then they become half precision
// too.
//
// Afterwards Widen and Bypass give the model that it was, but for rounded
// weights.
func Narrow(m *graph.Model, io bool) (*Change, error) {
	w := &narrower{m: m, io: io, Change: &Change{}, keep: &keeper{
		float: floatsOf(m), decisive: map[*graph.Value]bool{}, misfit: map[*graph.Node]string{},
		constant: map[*graph.Node]bool{},
	}}
	if err := w.keep.findMisfits(m); err != nil {
		return nil, err
	}
	for g := range m.Graph.AllGraphs() {
		for n := range g.Nodes() {
			if w.keep.misfit[n] != "" && !w.keep.makesDecisions(n) {
				w.Kept = append(w.Kept, Kept{n, w.keep.misfit[n]})
			}
		}
	}
	plans := w.plan()
	for _, p := range plans {
		if err := w.carryOut(p); err != nil {
			return nil, err
		}
	}
	Bypass(m)
	return w.Change, nil
}

// narrower is one run of Narrow.
type narrower struct {
	*Change
	m    *graph.Model
	io   bool
	keep *keeper
}

// plan is what becomes of a float32 value.
type plan struct {
	v      *graph.Value
	half   bool        // its type from now on
	uses   []graph.Use // that want the other type
	others int         // uses that want its type, or take any
	outs   []int       // outputs of its graph that want the other type
}

// floatsOf tells which values of a model are float32, by inference on a copy:
// what a file declares stays as it is.
func floatsOf(m *graph.Model) map[*graph.Value]bool {
	c := m.Clone()
	op.Infer(c)
	floats := map[*graph.Value]bool{}
	inferred := valuesOf(c)
	for i, v := range valuesOf(m) {
		floats[v] = inferred[i].Type.Elem == graph.Float32
	}
	return floats
}

// valuesOf lists the values of a model, in an order that is the same for its
// clones.
func valuesOf(m *graph.Model) []*graph.Value {
	var list []*graph.Value
	for g := range m.Graph.AllGraphs() {
		list = append(list, g.Inputs()...)
		for _, v := range g.Initializers() {
			if !v.IsInput() {
				list = append(list, v)
			}
		}
		for n := range g.Nodes() {
			for _, v := range n.Outputs() {
				if v != nil {
					list = append(list, v)
				}
			}
		}
	}
	return list
}

// plan decides on every float32 value before anything changes.
func (w *narrower) plan() []*plan {
	var plans []*plan
	var kept []*graph.Node
	for n := range w.m.Graph.AllNodes() {
		if w.keep.keeps(n) {
			kept = append(kept, n)
		}
	}
	isKept := map[*graph.Node]bool{}
	for _, n := range kept {
		isKept[n] = true
	}
	for _, v := range valuesOf(w.m) {
		if !w.keep.float[v] {
			continue
		}
		p := &plan{v: v, half: w.becomesHalf(v, isKept)}
		for _, u := range v.Uses() {
			if want, any := w.wants(u, isKept); any || want == p.half {
				p.others++
			} else {
				p.uses = append(p.uses, u)
			}
		}
		for i, o := range v.Graph().Outputs() {
			if o == v && w.outputHalf(v.Graph(), i) != p.half {
				p.outs = append(p.outs, i)
			} else if o == v {
				p.others++
			}
		}
		plans = append(plans, p)
	}
	return plans
}

// becomesHalf reports whether a float32 value becomes half precision. Constants
// do, where readers want it.
func (w *narrower) becomesHalf(v *graph.Value, kept map[*graph.Node]bool) bool {
	g := v.Graph()
	switch n := v.Producer(); {
	case n == nil && v.IsInput() && g.Parent() == nil:
		return w.io && v.Initializer() == nil
	case n == nil && v.IsInput():
		in := slices.Index(g.Inputs(), v)
		return bodyInput(g.Parent(), in) == nil || !w.keep.onlyDecides(v)
	case n == nil:
		for _, u := range v.Uses() {
			if want, any := w.wants(u, kept); !any && !want && !w.rounds(u.Node) {
				return false
			}
		}
		return v.NumUses() > 0 && !v.IsOutput()
	case n.Is(controls...):
		return n.Is("Loop") || !outerKept(w.keep, n, v)
	default:
		return !kept[n]
	}
}

// rounds reports whether a node in float32 may read rounded constants: what it
// makes of them is rounded, too.
func (w *narrower) rounds(n *graph.Node) bool {
	return w.keep.computesConstant(n) && w.keep.misfit[n] == "" && !w.keep.makesDecisions(n) && n.Is(takesHalf...)
}

// outerKept reports whether an output of an If or Scan stays float32.
func outerKept(k *keeper, n *graph.Node, v *graph.Value) bool {
	if states, ok := scanStates(n); n.Is("Scan") && (!ok || v.ProducerIndex() < states) {
		return false
	}
	return k.onlyDecides(v)
}

// wants tells whether a use wants half precision; any: it takes what there is.
func (w *narrower) wants(u graph.Use, kept map[*graph.Node]bool) (half, any bool) {
	n := u.Node
	switch {
	case n.Is(controls...):
		in := bodyInput(n, u.Index)
		return in == nil || !w.keep.onlyDecides(in), false
	case n.Is(indifferent...) && !decides(n):
		return false, true
	}
	return !kept[n] && wantsHalf(n, u.Index), false
}

// wantsHalf reports whether a node of half precision reads it as input i: the
// scales of a Resize stay float32, by its definition.
func wantsHalf(n *graph.Node, i int) bool { return !n.Is("Resize") || i == 0 }

// outputHalf reports whether output i of a graph is to be half precision.
func (w *narrower) outputHalf(g *graph.Graph, i int) bool {
	n := g.Parent()
	if n == nil {
		return w.io
	}
	return !w.keep.connectionKept(n, g, i)
}

// carryOut gives a value its type, and those who want the other a cast.
func (w *narrower) carryOut(p *plan) error {
	v := p.v
	if v.Producer() == nil && !v.IsInput() {
		return w.constant(p)
	}
	if p.half {
		v.Type.Elem = graph.Float16
		if v.Producer() != nil {
			if err := w.node(v.Producer()); err != nil {
				return err
			}
		}
	}
	if len(p.uses)+len(p.outs) > 0 {
		w.cast(p)
	}
	return nil
}

// cast gives those who want a value of the other type a cast of it.
func (w *narrower) cast(p *plan) {
	v, g := p.v, p.v.Graph()
	to, suffix := graph.Float16, ".half"
	if p.half {
		to, suffix = graph.Float32, ".float32"
	}
	cast := g.NewNode("Cast", v.Name()+suffix, []*graph.Value{v}, 1, graph.Int("to", int64(to)))
	out := cast.Output(0)
	cast.SetName(out.Name())
	out.Type = graph.TensorType(to, slices.Clone(v.Type.Shape))
	if n := v.Producer(); n != nil {
		g.MoveAfter(cast, n)
	} else if first := firstNode(g); first != cast {
		g.MoveBefore(cast, first)
	}
	w.Casts = append(w.Casts, cast)
	for _, u := range p.uses {
		u.Node.SetInput(u.Index, out)
	}
	for _, i := range p.outs {
		g.SetOutput(i, out)
	}
	w.swapNames(p, out)
}

// swapNames gives what is now the model's output the name that it had.
func (w *narrower) swapNames(p *plan, out *graph.Value) {
	v, g := p.v, p.v.Graph()
	if g.Parent() != nil || len(p.outs) == 0 || v.Producer() == nil || v.IsOutput() {
		return
	}
	name := v.Name()
	out.Type = v.Type
	out.Type.Elem = graph.DataType(out.Producer().AttrInt("to", 0))
	cast := out.Name()
	out.Rename(g.NewName(cast + ".name"))
	v.Rename(cast)
	out.Rename(name)
}

// constant rounds a constant, or, where some readers want float32, gives the
// others a rounded copy.
func (w *narrower) constant(p *plan) error {
	v, g := p.v, p.v.Graph()
	if !p.half && len(p.uses) == 0 {
		return nil
	}
	t, loss, err := Tensor(v.Initializer())
	if err != nil {
		return &graph.Error{File: w.m.Path, Reason: "initializer " + v.Name() + ": " + err.Error()}
	}
	w.Loss.Add(loss)
	w.Tensors++
	if p.half {
		g.SetInitializer(v, t)
		if len(p.uses) > 0 {
			w.cast(p)
		}
		return nil
	}
	copied := g.NewInitializer(v.Name()+".half", t)
	for _, u := range p.uses {
		u.Node.SetInput(u.Index, copied)
	}
	return nil
}

// node has a node make half precision, where it says what it makes.
func (w *narrower) node(n *graph.Node) error {
	switch {
	case n.Is("Cast"):
		n.SetAttr(graph.Int("to", int64(graph.Float16)))
	case n.Is("Constant", "ConstantOfShape"):
		value := graph.Float32s([]int64{1}, 0)
		if a := n.Attr("value"); a != nil && a.Tensor != nil {
			value = a.Tensor
		}
		if value.DType != graph.Float32 {
			return nil
		}
		t, loss, err := Tensor(value)
		if err != nil {
			return &graph.Error{File: w.m.Path, Node: n.String(), Reason: err.Error()}
		}
		w.Loss.Add(loss)
		n.SetAttr(graph.TensorAttr("value", t))
	}
	return nil
}
