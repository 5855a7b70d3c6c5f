package dataflow

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Cell says where one element of a value comes from: from an element of a
// computed value or graph input, or it is a constant.
type Cell struct {
	Base *graph.Value // nil: a constant
	At   int64        // which element of Base, row-major
	Val  float64      // the constant
}

// Trace follows elements of v back through data movement, whatever operators
// spell it, to the values that were computed. A value that no movement explains
// is its own base. Arithmetic counts as movement where it moves: a sum with
// zero, a product with one or zero, x − x.
func (a *Analysis) Trace(v *graph.Value, at []int64) []Cell {
	out := make([]Cell, len(at))
	a.trace(v, at, out)
	return out
}

func (a *Analysis) trace(v *graph.Value, at []int64, out []Cell) {
	a.Left -= int64(len(at))
	if len(at) == 0 {
		return
	}
	a.depth++
	defer func() { a.depth-- }()
	if a.Left < 0 || a.depth > maxDepth || a.opaque[v] || !a.node(v, at, out) {
		a.opaque[v] = true
		for i, k := range at {
			out[i] = Cell{Base: v, At: k}
		}
	}
}

// node follows elements of v one or more nodes back. It reports false where v
// is computed, not moved.
func (a *Analysis) node(v *graph.Value, at []int64, out []Cell) bool {
	n := v.Producer()
	if n == nil || n.Is("Constant") || (a.smallConstant(v) && a.Constant(v) != nil) {
		t := a.Constant(v)
		return t != nil && a.readConstant(t, at, out)
	}
	// Where inputs contradict the operator, as in a broken file, what reads v
	// may ask for elements that it does not have.
	if d := a.Dims(v); d == nil || slices.Max(at) >= Elements(d) || slices.Min(at) < 0 {
		return false
	}
	switch {
	case n.Is("Add", "Sub", "Mul", "Div"):
		return a.arithmetic(n, v, at, out)
	case n.Is("Dropout") && v == n.Output(0) && n.Input(0) != nil: // training mode or not: looked at as at inference
		a.trace(n.Input(0), at, out)
		return true
	}
	move := a.movement(n, v)
	if move == nil {
		return false
	}
	pieces, ok := move(at)
	if !ok {
		return false
	}
	for _, p := range pieces {
		a.piece(n, p, out)
	}
	return true
}

// movement is how n moves elements into its output v, nil if it does not.
func (a *Analysis) movement(n *graph.Node, v *graph.Value) op.Movement {
	m, known := a.moves[v]
	if !known {
		m = op.Moves(n, v.ProducerIndex(), operands{a})
		a.moves[v] = m
	}
	return m
}

// operands lets movements look at the values around a node.
type operands struct{ *Analysis }

// Elements returns elements of v if all of them are constant.
func (o operands) Elements(v *graph.Value, at []int64) ([]float64, bool) {
	out := make([]float64, len(at))
	for i, c := range o.Trace(v, at) {
		if c.Base != nil {
			return nil, false
		}
		out[i] = c.Val
	}
	return out, true
}

// piece follows a piece of n's output on, to where its input has it from.
func (a *Analysis) piece(n *graph.Node, p op.Piece, out []Cell) {
	switch {
	case p.Input == op.Filled && p.Which == nil:
		for i := range out {
			out[i] = Cell{Val: p.Value}
		}
	case p.Input == op.Filled:
		for _, i := range p.Which {
			out[i] = Cell{Val: p.Value}
		}
	case p.Which == nil:
		a.trace(n.Input(p.Input), p.At, out)
	default:
		for k, c := range a.Trace(n.Input(p.Input), p.At) {
			out[p.Which[k]] = c
		}
	}
}

// smallConstant reports whether computing v outright is cheaper than following
// its elements.
func (a *Analysis) smallConstant(v *graph.Value) bool {
	d := a.Dims(v)
	return d == nil || Elements(d) <= 1<<12
}

// readConstant reads elements of a constant. Float32, which feature maps of
// zeros come in, is read where it lies: decoding would copy it.
func (a *Analysis) readConstant(t *graph.Tensor, at []int64, out []Cell) bool {
	if t.DType == graph.Float32 {
		raw, err := t.Bytes()
		if err != nil {
			return false
		}
		for i, k := range at {
			if k < 0 || 4*k+4 > int64(len(raw)) {
				return false
			}
			out[i] = Cell{Val: float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:])))}
		}
		return true
	}
	x, ok := a.cells[t]
	if !ok {
		x = decode(t)
		a.cells[t] = x
	}
	for i, k := range at {
		if k < 0 || k >= int64(len(x)) {
			return false
		}
		out[i] = Cell{Val: x[k]}
	}
	return true
}

// decode returns a tensor's elements, nil if they cannot be read, or not
// without rounding.
func decode(t *graph.Tensor) []float64 {
	if t.DType.IsFloat() {
		wide, err := op.Cast(t, graph.Float64)
		if err != nil {
			return nil
		}
		raw, err := wide.Bytes()
		if err != nil {
			return nil
		}
		x := make([]float64, len(raw)/8)
		for i := range x {
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		return x
	}
	ints, err := t.Int64s()
	if err != nil {
		return nil
	}
	x := make([]float64, len(ints))
	for i, k := range ints {
		if x[i] = float64(k); k < -maxExact || k > maxExact {
			return nil
		}
	}
	return x
}
