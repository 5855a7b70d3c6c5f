package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// function returns the model's function that the node calls, nil if none.
func (c *inferCall) function() *graph.Function {
	return c.functions[functionKey{graph.CanonicalDomain(c.n.Domain), c.n.OpType, c.n.Overload}]
}

// call follows a function's body with the facts of the call. Types in the body
// are not written: they differ from call to call.
func (c *inferCall) call(fn *graph.Function) error {
	if c.depth++; c.depth > maxInferDepth {
		c.depth--
		return errors.New("functions call each other without end")
	}
	defer func() { c.depth-- }()
	bind := map[string]*graph.Attribute{}
	for _, a := range fn.AttributeDefaults {
		bind[a.Name] = a
	}
	for _, a := range c.n.Attrs() {
		if a.RefName != "" {
			if a = c.bind[a.RefName]; a == nil {
				continue
			}
		}
		bind[a.Name] = a
	}
	body := &frame{inferer: c.inferer, facts: map[*graph.Value]*fact{}, given: bind, speaks: fn.Opset("")}
	for i, v := range fn.Body.Inputs() {
		if i < len(c.in) && c.in[i] != nil {
			body.facts[v] = c.in[i]
		}
	}
	err := body.graph(fn.Body)
	for i := range c.out {
		if i >= len(fn.Body.Outputs()) {
			return fmt.Errorf("has %d outputs, the function %d", len(c.out), len(fn.Body.Outputs()))
		}
		c.out[i] = *body.fact(fn.Body.Outputs()[i])
		if c.out[i].shape != nil || c.out[i].other {
			continue
		}
		if err == nil {
			err = fmt.Errorf("the shape of its output %q is not known", fn.Body.Outputs()[i])
		}
		return err
	}
	return nil // what failed inside did not matter
}

// body infers a subgraph whose inputs have the given facts and returns those
// of its outputs.
func (c *inferCall) body(g *graph.Graph, in []*fact) ([]*fact, error) {
	if c.depth++; c.depth > maxInferDepth {
		c.depth--
		return nil, errors.New("subgraphs are nested too deep")
	}
	defer func() { c.depth-- }()
	if len(in) != len(g.Inputs()) {
		return nil, fmt.Errorf("subgraph has %d inputs, expected %d", len(g.Inputs()), len(in))
	}
	for i, v := range g.Inputs() {
		c.facts[v] = in[i]
	}
	err := c.frame.graph(g)
	out := make([]*fact, len(g.Outputs()))
	for i, v := range g.Outputs() {
		out[i] = c.fact(v)
	}
	if err != nil {
		for _, o := range out {
			if o.shape == nil && !o.other {
				return out, err
			}
		}
	}
	return out, nil
}

// join is what holds of a value that is one of two.
func join(a, b *fact) *fact {
	out := &fact{}
	if a.elem == b.elem {
		out.elem = a.elem
	}
	out.other = a.other || b.other
	if a.shape != nil && b.shape != nil && len(a.shape) == len(b.shape) {
		out.shape = slices.Clone(a.shape)
		for i, d := range b.shape {
			if !sym.SameDim(out.shape[i], d) {
				out.shape[i] = graph.Sym("")
			}
		}
	}
	return out
}

func (c *inferCall) subgraph(name string) *graph.Graph {
	if a := c.attr(name, graph.AttrGraph); a != nil {
		return a.Graph
	}
	c.fail(fmt.Errorf("has no subgraph %s", name))
	return nil
}

func inferIf(c *inferCall) error {
	yes := c.subgraph("then_branch")
	no := c.subgraph("else_branch")
	if c.err != nil {
		return c.err
	}
	if len(yes.Outputs()) != len(c.out) || len(no.Outputs()) != len(c.out) {
		return fmt.Errorf("has %d outputs, its branches %d and %d", len(c.out), len(yes.Outputs()), len(no.Outputs()))
	}
	if cond, known := c.truth(0); known {
		taken, dead := yes, no
		if !cond {
			taken, dead = no, yes
		}
		mark := c.mark()
		c.body(dead, nil)
		c.forget(mark) // what never runs need not make sense
		out, err := c.body(taken, nil)
		for i := range out {
			c.out[i] = *out[i]
		}
		return err
	}
	a, err := c.body(yes, nil)
	if err != nil {
		return err
	}
	b, err := c.body(no, nil)
	if err != nil {
		return err
	}
	for i := range c.out {
		c.out[i] = *join(a[i], b[i])
		if c.out[i].shape == nil && !c.out[i].other {
			return fmt.Errorf("its branches give output %d different or unknown ranks", i)
		}
	}
	return nil
}

// truth returns the value of a bool input if it is known.
func (c *inferCall) truth(i int) (value, known bool) {
	if c.has(i) {
		if e := c.in[i].exprs(); len(e) == 1 {
			v, known := e[0].Const()
			return v != 0, known
		}
	}
	return false, false
}

// mark and forget bracket inference whose findings do not count.
func (f *frame) mark() int {
	if f.report == nil {
		return 0
	}
	return len(f.report.Failed)
}

func (f *frame) forget(mark int) {
	if f.report != nil {
		f.report.Failed = f.report.Failed[:mark]
	}
}

// iterate infers a body whose first inputs are carried from one round to the
// next, weakening their facts until they hold in every round. at numbers the
// output that feeds the first carried input.
func (c *inferCall) iterate(g *graph.Graph, in []*fact, first, carried, at int) ([]*fact, error) {
	for i := range in[first : first+carried] {
		x := in[first+i]
		in[first+i] = &fact{elem: x.elem, shape: x.shape, other: x.other}
	}
	for round := 0; ; round++ {
		mark := c.mark()
		out, err := c.body(g, in)
		if out == nil {
			return nil, err
		}
		if len(out) < at+carried {
			return nil, fmt.Errorf("subgraph has %d outputs, expected %d or more", len(out), at+carried)
		}
		changed := false
		for i := range carried {
			a := in[first+i]
			b := join(a, out[at+i])
			if b.elem == graph.Undefined || round > maxRank {
				b.shape = nil
			}
			if b.elem != a.elem || !slices.Equal(a.shape, b.shape) || (a.shape == nil) != (b.shape == nil) {
				in[first+i], changed = b, true
			}
		}
		if !changed || err != nil && round > 2*maxRank {
			return out, err
		}
		c.forget(mark)
	}
}

func inferLoop(c *inferCall) error {
	g := c.subgraph("body")
	if c.err != nil {
		return c.err
	}
	carried := len(c.in) - 2
	if carried < 0 {
		return fmt.Errorf("has %d inputs, expected 2 or more", len(c.in))
	}
	// In the body the condition is true, or it would not run.
	in := []*fact{{elem: graph.Int64, shape: graph.ShapeOf()}, constFact(graph.MustTensor(graph.Bool, nil, []byte{1}))}
	for i := range carried {
		x := c.in[2+i]
		if x == nil {
			return fmt.Errorf("input %d is missing", 2+i)
		}
		in = append(in, x)
	}
	out, err := c.iterate(g, in, 2, carried, 1)
	if err != nil {
		return err
	}
	if len(c.out) > len(out)-1 {
		return fmt.Errorf("has %d outputs, its body %d", len(c.out), len(out)-1)
	}
	trips := c.trips(out[0])
	for i := range c.out {
		if i < carried {
			// After no round at all the value is the initial one.
			c.out[i] = *join(in[2+i], c.in[2+i])
		} else if o := out[1+i]; o.shape != nil {
			c.set(i, o.elem, slices.Concat(graph.Shape{trips}, o.shape))
		}
		if c.out[i].shape == nil && !c.out[i].other {
			return fmt.Errorf("the shape of output %d changes from round to round", i)
		}
	}
	return nil
}

// trips is how often a Loop runs: as often as its first input says, if there
// is one and the condition is true at first and stays so.
func (c *inferCall) trips(cond *fact) graph.Dim {
	start, known := c.truth(1)
	stays := cond.exprs()
	if c.has(1) && !(start && known) || !c.has(0) || len(stays) != 1 || !stays[0].Equal(sym.Const(1)) {
		return graph.Sym("")
	}
	if m := c.in[0].exprs(); len(m) == 1 && m[0].AtLeast(0) {
		return m[0].Dim()
	}
	return graph.Sym("")
}

// inferScan is the rule of Scan from opset 9 on.
func inferScan(c *inferCall) error {
	g := c.subgraph("body")
	if c.err != nil {
		return c.err
	}
	scans := c.int("num_scan_inputs", 0)
	states := len(c.in) - int(min(max(scans, 0), int64(len(c.in))))
	if scans < 1 || scans > int64(len(c.in)) {
		return fmt.Errorf("has %d inputs, %d of them scanned", len(c.in), scans)
	}
	in, trips := slices.Clone(c.in), graph.Sym("")
	for i, x := range in {
		if x == nil {
			return fmt.Errorf("input %d is missing", i)
		}
		if i < states {
			continue
		}
		s := c.shape(i)
		k := c.axis(entry(c.ints("scan_input_axes"), i-states), len(s))
		if c.err != nil {
			return c.err
		}
		switch n := s[k]; {
		case n.Known() && trips.Known() && n.Size != trips.Size:
			return fmt.Errorf("scans axes of %d and %d", trips.Size, n.Size)
		case !trips.Known() && (n.Known() || trips.Param == ""):
			trips = n
		}
		in[i] = &fact{elem: x.elem, shape: slices.Delete(slices.Clone(s), k, k+1)}
	}
	out, err := c.iterate(g, in, 0, states, 0)
	if err != nil {
		return err
	}
	if len(c.out) > len(out) {
		return fmt.Errorf("has %d outputs, its body %d", len(c.out), len(out))
	}
	for i := range c.out {
		if i < states {
			c.out[i] = *join(in[i], c.in[i])
		} else if o := out[i]; o.shape != nil {
			k := c.axis(entry(c.ints("scan_output_axes"), i-states), len(o.shape)+1)
			if c.err != nil {
				return c.err
			}
			c.set(i, o.elem, slices.Insert(slices.Clone(o.shape), k, trips))
		}
		if c.out[i].shape == nil {
			return fmt.Errorf("the shape of output %d is not known", i)
		}
	}
	return nil
}

// entry is list[i], 0 where the list has no such entry.
func entry(list []int64, i int) int64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}
