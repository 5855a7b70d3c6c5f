package op

import (
	"errors"
	"fmt"
	"math"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// Cost is what running something once takes.
type Cost struct {
	// MACs are the multiply–accumulates of convolutions and matrix products.
	MACs int64
	// Elementwise are the other operations: one for each element that a
	// pointwise operator makes, a reduction reads, or a pool's window covers;
	// two for a normalisation's scale and shift; one for each bias added.
	// Moving data counts nothing.
	Elementwise int64
	// Params are the elements of the constants read as weights: by operators
	// that compute, not those that only move data.
	Params int64
	// ActivationBytes are the bytes of the outputs. Outputs that are views of
	// an input, such as Reshape's, count nothing.
	ActivationBytes int64
	// Kernels are the operators that run and are no views: on a GPU each is a
	// launch at least, but for those that the runtime joins to one or computes
	// when it loads the model.
	Kernels int64
}

// FLOPs counts a multiply–accumulate as two operations.
func (c Cost) FLOPs() int64 { return 2*c.MACs + c.Elementwise }

// Plus returns the sum of two costs.
func (c Cost) Plus(d Cost) Cost {
	return Cost{c.MACs + d.MACs, c.Elementwise + d.Elementwise, c.Params + d.Params, c.ActivationBytes + d.ActivationBytes, c.Kernels + d.Kernels}
}

// times is the cost of running n times; weights are there once.
func (c Cost) times(n float64) Cost {
	scale := func(v int64) int64 { return int64(math.Round(float64(v) * n)) }
	return Cost{scale(c.MACs), scale(c.Elementwise), c.Params, scale(c.ActivationBytes), scale(c.Kernels)}
}

// CostOptions says what shapes alone do not tell.
type CostOptions struct {
	// Sizes gives the sizes of symbols, such as the batch's.
	Sizes map[string]int64
	// Then returns the share of runs in which an If takes its then branch. If
	// Then is nil, an If costs as much as the branch with more MACs.
	Then func(n *graph.Node) float64
}

// NodeCost returns the cost of one run of a node, that of its subgraphs
// included, from the inferred shapes (see Infer). A Scan counts its body once
// for every element scanned, and an If the branch with more multiply–accumulates.
// A shape that is not known is an error that names the node, never a zero.
func NodeCost(n *graph.Node, opt CostOptions) (Cost, error) {
	c := costCall{n: n, opt: opt}
	cost, err := c.run()
	if err != nil {
		return Cost{}, fmt.Errorf("%s: %w", n, err)
	}
	return cost, nil
}

// GraphCost returns the cost of one run of a graph. Weights that several nodes
// share count once.
func GraphCost(g *graph.Graph, opt CostOptions) (Cost, error) {
	return graphCost(g, costCall{opt: opt, seen: map[*graph.Value]bool{}, fixed: map[*graph.Value]bool{}})
}

// graphCost costs the nodes of a graph as c would.
func graphCost(g *graph.Graph, c costCall) (Cost, error) {
	var sum Cost
	for n := range g.Nodes() {
		c.n = n
		cost, err := c.run()
		if err != nil {
			return Cost{}, fmt.Errorf("%s: %w", n, err)
		}
		sum = sum.Plus(cost)
	}
	return sum, nil
}

// costCall is the costing of one node.
type costCall struct {
	n    *graph.Node
	opt  CostOptions
	seen map[*graph.Value]bool // weights that were counted

	fixed map[*graph.Value]bool // what is computed when the model is loaded
}

// costKind says how an operator's elementwise operations are counted.
type costKind int

const (
	costFree     costKind = iota // shapes and moved data
	costView                     // as costFree, and the output is its input's memory
	costPoint                    // one for each output element
	costFold                     // one for each input element
	costNorm                     // two for each output element
	costSoft                     // three for each output element: exponential, sum, quotient
	costWindow                   // the window's size for each output element
	costProduct                  // multiply–accumulates
	costBody                     // subgraphs
	costSequence                 // as costView: what it makes is no tensor
)

func (c *costCall) run() (Cost, error) {
	op := operators[c.n.OpType]
	if op == nil || graph.CanonicalDomain(c.n.Domain) != "" {
		return Cost{}, errors.New("afc does not know what this operator costs; if it is a function of the model, inline it first")
	}
	kind := op.cost
	switch kind {
	case costBody:
		return c.body()
	case costSequence:
		return Cost{}, nil
	}
	cost, err := c.outputs(kind)
	if err != nil {
		return cost, err
	}
	if !c.atLoad() && kind != costView {
		cost.Kernels = 1
	}
	if kind != costFree && kind != costView {
		cost.Params = c.params()
	}
	var per, elems int64 = 1, 0
	switch kind {
	case costFree, costView:
		return cost, nil
	case costProduct:
		cost.MACs, cost.Elementwise, err = c.products()
		return cost, err
	case costFold:
		elems, err = c.elements(c.n.Input(0))
	case costWindow:
		for _, k := range c.n.AttrInts("kernel_shape") {
			if per *= k; k < 1 || per > 1<<40 {
				return cost, errors.New("kernel_shape is not positive")
			}
		}
		elems, err = c.elements(c.n.Output(0))
	default:
		per = map[costKind]int64{costPoint: 1, costNorm: 2, costSoft: 3}[kind]
		elems, err = c.elements(c.n.Output(0))
	}
	if err != nil {
		return cost, err
	}
	cost.Elementwise, err = times(per, elems)
	return cost, err
}

// outputs are the bytes of the node's outputs.
func (c *costCall) outputs(kind costKind) (cost Cost, err error) {
	for _, v := range c.n.Outputs() {
		if v == nil {
			continue
		}
		n, err := c.elements(v)
		if err != nil {
			return cost, err
		}
		if kind == costView {
			continue
		}
		bits := v.Type.Elem.Bits()
		if bits == 0 {
			return cost, fmt.Errorf("the element type of %q is not known", v)
		}
		n, err = times(n, int64(bits))
		if err != nil {
			return cost, err
		}
		cost.ActivationBytes += (n + 7) / 8
	}
	return cost, nil
}

// atLoad reports whether a runtime computes the node when it loads the model: it
// reads constants alone, or what such nodes before it made of them.
func (c *costCall) atLoad() bool {
	for _, v := range c.n.Inputs() {
		if v != nil && v.Const() == nil && !c.fixed[v] {
			return false
		}
	}
	if len(c.n.Inputs()) == 0 && !c.n.Is("Constant") {
		return false
	}
	if c.fixed != nil {
		for _, v := range c.n.Outputs() {
			c.fixed[v] = true
		}
	}
	return true
}

// params are the elements of the weights that the node reads and that were not
// counted yet.
func (c *costCall) params() int64 {
	var sum int64
	for _, v := range c.n.Inputs() {
		t := v.Const()
		if t == nil || !t.DType.IsFloat() || c.seen[v] {
			continue
		}
		if c.seen != nil {
			c.seen[v] = true
		}
		if n, err := t.NumElements(); err == nil {
			sum += n
		}
	}
	return sum
}

// dims returns the sizes of a value.
func (c *costCall) dims(v *graph.Value) ([]int64, error) {
	if v == nil {
		return nil, errors.New("an input is missing")
	}
	shape := v.Type.Shape
	if t := v.Const(); t != nil {
		shape = t.Shape()
	}
	if shape == nil {
		return nil, fmt.Errorf("the shape of %q is not known", v)
	}
	out := make([]int64, len(shape))
	for i, d := range shape {
		n, err := d.Size, error(nil)
		if !d.Known() {
			if n, err = sym.Of(d).Value(c.opt.Sizes); err != nil {
				return nil, fmt.Errorf("the shape %s of %q: %w", shape, v, err)
			}
		}
		if n < 0 {
			return nil, fmt.Errorf("the shape %s of %q has a negative size", shape, v)
		}
		out[i] = n
	}
	return out, nil
}

func (c *costCall) elements(v *graph.Value) (int64, error) {
	dims, err := c.dims(v)
	if err != nil {
		return 0, err
	}
	return graph.NumElements(dims)
}

// times multiplies counts.
func times(counts ...int64) (int64, error) {
	n, err := graph.NumElements(counts)
	if err != nil {
		return 0, errors.New("the cost is too large to count")
	}
	return n, nil
}

// products returns multiply–accumulates and the additions of biases.
func (c *costCall) products() (macs, adds int64, err error) {
	out, err := c.dims(c.n.Output(0))
	if err != nil {
		return 0, 0, err
	}
	outputs, err := times(out...)
	if err != nil {
		return 0, 0, err
	}
	op, weight, bias := c.n.OpType, 1, 2
	if op == "Einsum" {
		macs, err = c.einsum()
		return macs, 0, err
	}
	if q, ok := quantized[op]; ok {
		op, weight, bias = q.plain, q.weight, 8
	}
	a, err := c.dims(c.n.Input(0))
	if err != nil {
		return 0, 0, err
	}
	b, err := c.dims(c.n.Input(weight))
	if err != nil {
		return 0, 0, err
	}
	if len(a) == 0 || len(b) == 0 || op == "Gemm" && len(a) != 2 {
		return 0, 0, fmt.Errorf("operands have shapes %v and %v", a, b)
	}
	switch op {
	case "Conv": // every output takes a window of its group's channels
		macs, err = times(append(b[1:], outputs)...)
	case "ConvTranspose": // every input spreads over a window of its group's channels
		macs, err = times(append(b[1:], a...)...)
	case "Gemm":
		k := a[1]
		if c.n.AttrInt("transA", 0) != 0 {
			k = a[0]
		}
		macs, err = times(outputs, k)
	default:
		macs, err = times(outputs, a[len(a)-1])
	}
	if c.n.Input(bias) != nil {
		adds = outputs
	}
	return macs, adds, err
}

// einsum counts one multiply–accumulate for every combination of indices, times
// the products that each takes; with one operand nothing is multiplied.
func (c *costCall) einsum() (int64, error) {
	var shapes []graph.Shape
	for _, v := range c.n.Inputs() {
		dims, err := c.dims(v)
		if err != nil {
			return 0, err
		}
		shapes = append(shapes, graph.ShapeOf(dims...))
	}
	e, err := parseEinsum(c.n.AttrString("equation", ""), shapes)
	if err != nil {
		return 0, err
	}
	counts := []int64{int64(len(shapes) - 1)}
	for _, l := range e.order {
		counts = append(counts, e.sizes[l].Size)
	}
	return times(counts...)
}

// body costs a node with subgraphs.
func (c *costCall) body() (Cost, error) {
	if c.seen == nil {
		c.seen, c.fixed = map[*graph.Value]bool{}, map[*graph.Value]bool{}
	}
	sub := func(name string) (Cost, error) {
		a := c.n.Attr(name)
		if a == nil || a.Graph == nil {
			return Cost{}, fmt.Errorf("has no subgraph %s", name)
		}
		return graphCost(a.Graph, *c)
	}
	if c.n.OpType == "If" {
		then, err := sub("then_branch")
		if err != nil {
			return then, err
		}
		other, err := sub("else_branch")
		if err != nil {
			return other, err
		}
		switch {
		case c.opt.Then != nil:
			share := c.opt.Then(c.n)
			return then.times(share).Plus(other.times(1 - share)), nil
		case then.MACs >= other.MACs:
			then.Params += other.Params
			return then, nil
		}
		other.Params += then.Params
		return other, nil
	}
	cost, err := sub("body")
	if err != nil {
		return cost, err
	}
	trips, err := c.trips()
	if err != nil {
		return cost, err
	}
	if _, err := times(cost.MACs, trips); err != nil {
		return cost, err
	}
	return cost.times(float64(trips)), nil
}

// trips is how often the body of a Scan or Loop runs. That of a Loop is known
// only if it is a constant.
func (c *costCall) trips() (int64, error) {
	if c.n.OpType == "Loop" {
		if t := c.n.Input(0).Const(); t != nil && c.n.Input(1) == nil {
			if v, err := t.Int64s(); err == nil && len(v) == 1 {
				return max(v[0], 0), nil
			}
		}
		return 0, errors.New("how often it runs is not known")
	}
	scans := c.n.AttrInt("num_scan_inputs", 0)
	first := int64(len(c.n.Inputs())) - scans
	if scans < 1 || first < 0 {
		return 0, errors.New("has no scanned input")
	}
	dims, err := c.dims(c.n.Inputs()[first])
	if err != nil {
		return 0, err
	}
	k, err := axis(entry(c.n.AttrInts("scan_input_axes"), 0), len(dims))
	if err != nil {
		return 0, err
	}
	return dims[k], nil
}
