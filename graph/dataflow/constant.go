package dataflow

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// constantBytes adds up the initializers of a graph and its Constant nodes'
// values.
func constantBytes(g *graph.Graph) int64 {
	var sum int64
	count := func(t *graph.Tensor) {
		if n, err := t.NumBytes(); err == nil {
			sum += n
		}
	}
	for _, v := range g.Initializers() {
		count(v.Initializer())
	}
	for n := range g.Nodes() {
		if c := n.Output(0).Const(); n.Is("Constant") && c != nil {
			count(c)
		}
	}
	return sum
}

// Dims returns a value's sizes, nil if not all are known.
func (a *Analysis) Dims(v *graph.Value) []int64 {
	if v == nil {
		return nil
	}
	if t := v.Initializer(); t != nil {
		return shapeDims(t.Dims)
	}
	if v.Type.Shape.Static() {
		return shapeDims(v.Type.Shape.Dims())
	}
	if t, ok := a.constants[v]; ok && t != nil {
		return shapeDims(t.Dims)
	}
	return nil
}

// shapeDims makes a scalar's dimensions distinct from unknown ones.
func shapeDims(d []int64) []int64 {
	if d == nil {
		return []int64{}
	}
	return d
}

// Constant returns what v holds if it does not depend on the model's inputs'
// elements (their shapes it may depend on), else nil. Initializers that are
// also inputs count as constants: their default is what the network is.
func (a *Analysis) Constant(v *graph.Value) *graph.Tensor {
	if v == nil {
		return nil
	}
	if t := v.Initializer(); t != nil {
		return t
	}
	if t := v.Const(); t != nil {
		return t
	}
	if t, done := a.constants[v]; done {
		return t
	}
	a.constants[v] = nil // an answer for a cycle, which Check would refuse
	if a.depth >= maxDepth {
		return nil
	}
	a.depth++
	defer func() { a.depth-- }()
	t := a.compute(v)
	a.constants[v] = t
	return t
}

// compute evaluates the node behind v if its inputs are constants and its
// result is small enough.
func (a *Analysis) compute(v *graph.Value) *graph.Tensor {
	n := v.Producer()
	if n == nil {
		return nil
	}
	switch {
	case n.Is("Identity"):
		return a.Constant(n.Input(0))
	case n.Is("Shape"):
		return a.shapeOf(n)
	case n.Is("Size"):
		if d := a.Dims(n.Input(0)); d != nil {
			return graph.Int64s(nil, Elements(d))
		}
		return nil
	}
	if !op.CanEval(n) || n.Is("Conv", "ConvTranspose") { // no exporter leaves these on constants; they cost most
		return nil
	}
	if d := a.Dims(v); d != nil && Elements(d) > maxConstant {
		return nil
	}
	in := make([]*graph.Tensor, len(n.Inputs()))
	for i, iv := range n.Inputs() {
		if iv == nil {
			continue
		}
		if in[i] = a.Constant(iv); in[i] == nil && n.Is("CastLike") && i == 1 {
			in[i] = zeroOf(iv.Type.Elem) // only its type counts
		}
		if in[i] == nil {
			return nil
		}
	}
	out, err := op.Eval(n, in)
	if err != nil || v.ProducerIndex() >= len(out) {
		return nil
	}
	return out[v.ProducerIndex()]
}

// zeroOf is a scalar zero of a type, nil where the type has no whole bytes.
func zeroOf(elem graph.DataType) *graph.Tensor {
	t, err := graph.NewTensor(elem, nil, make([]byte, elem.Size()))
	if err != nil {
		return nil
	}
	return t
}

// shapeOf is operator Shape on a value whose sizes are known.
func (a *Analysis) shapeOf(n *graph.Node) *graph.Tensor {
	d := a.Dims(n.Input(0))
	if d == nil {
		return nil
	}
	rank := int64(len(d))
	clamp := func(i int64) int64 {
		if i < 0 {
			i += rank
		}
		return min(max(i, 0), rank)
	}
	from, to := clamp(n.AttrInt("start", 0)), clamp(n.AttrInt("end", rank))
	return graph.Vec(d[from:max(from, to)]...)
}

// Ints returns the elements of a constant integer value.
func (a *Analysis) Ints(v *graph.Value) ([]int64, bool) {
	t := a.Constant(v)
	if t == nil {
		return nil, false
	}
	x, err := t.Int64s()
	return x, err == nil
}

// Zero reports whether v is a floating-point constant of zeros.
func (a *Analysis) Zero(v *graph.Value) bool {
	t := a.Constant(v)
	if t == nil {
		return false
	}
	x, err := t.Float32s()
	return err == nil && !slices.ContainsFunc(x, func(f float32) bool { return f != 0 })
}

// Run evaluates v from the values given, Dropout as at inference. What is
// computed on the way is added to given.
func (a *Analysis) Run(v *graph.Value, given map[*graph.Value]*graph.Tensor) (*graph.Tensor, error) {
	if t, ok := given[v]; ok {
		return t, nil
	}
	if t := a.Constant(v); t != nil {
		return t, nil
	}
	n := v.Producer()
	if n == nil {
		return nil, fmt.Errorf("%q does not come from there", v.Name())
	}
	if a.depth >= maxDepth {
		return nil, fmt.Errorf("more than %d nodes one behind the other", maxDepth)
	}
	a.depth++
	defer func() { a.depth-- }()
	in := make([]*graph.Tensor, len(n.Inputs()))
	for i, iv := range n.Inputs() {
		if iv == nil {
			continue
		}
		t, err := a.Run(iv, given)
		if err != nil {
			return nil, err
		}
		in[i] = t
	}
	if n.Is("Dropout") && in[0] != nil {
		given[v] = in[0]
		return in[0], nil
	}
	out, err := op.Eval(n, in)
	if err != nil {
		return nil, err
	}
	if v.ProducerIndex() >= len(out) || out[v.ProducerIndex()] == nil {
		return nil, fmt.Errorf("%s does not make %q", n, v.Name())
	}
	given[v] = out[v.ProducerIndex()]
	return given[v], nil
}
