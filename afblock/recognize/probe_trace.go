package recognize

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// cell says where one element of a value comes from: from an element of a
// computed value or graph input, or it is a constant.
type cell struct {
	base *graph.Value // nil: a constant
	at   int64        // which element of base, row-major
	val  float32      // the constant
}

// trace follows elements of v back through data movement, whatever operators
// spell it, to the values that were computed. A value that no movement explains
// is its own base. Arithmetic counts as movement where it moves: a sum with
// zero, a product with one or zero, x − x.
func (p *probe) trace(v *graph.Value, at []int64) []cell {
	out := make([]cell, len(at))
	p.traceInto(v, at, out)
	return out
}

func (p *probe) traceInto(v *graph.Value, at []int64, out []cell) {
	p.budget -= int64(len(at))
	if len(at) == 0 {
		return
	}
	p.depth++
	defer func() { p.depth-- }()
	if p.budget < 0 || p.depth > maxDepth || p.opaque[v] || !p.traceNode(v, at, out) {
		p.opaque[v] = true
		for i, a := range at {
			out[i] = cell{base: v, at: a}
		}
	}
}

// traceNode follows elements of v one or more nodes back. It reports false
// where v is computed, not moved.
func (p *probe) traceNode(v *graph.Value, at []int64, out []cell) bool {
	n := v.Producer()
	if n == nil || n.Is("Constant") || (p.smallConstant(v) && p.constant(v) != nil) {
		t := p.constant(v)
		return t != nil && p.readConstant(t, at, out)
	}
	if n.Is("ConstantOfShape") {
		return p.fill(n, out)
	}
	// Where inputs contradict the operator, as in a broken file, what reads v
	// may ask for elements that it does not have.
	if d := p.dims(v); d == nil || slices.Max(at) >= elements(d) || slices.Min(at) < 0 {
		return false
	}
	if n.Is("Add", "Sub", "Mul", "Div", "Where") {
		return p.traceArithmetic(n, v, at, out)
	}
	if move := movements[n.OpType]; move != nil && n.Is(n.OpType) {
		return move(p, n, v, at, out)
	}
	return false
}

// smallConstant reports whether computing v outright is cheaper than following
// its elements.
func (p *probe) smallConstant(v *graph.Value) bool {
	d := p.dims(v)
	return d == nil || elements(d) <= 1<<12
}

// readConstant reads elements of a constant. Float32, which feature maps of
// zeros come in, is read where it lies: decoding would copy it.
func (p *probe) readConstant(t *graph.Tensor, at []int64, out []cell) bool {
	if t.DType == graph.Float32 {
		raw, err := t.Bytes()
		if err != nil {
			return false
		}
		for i, a := range at {
			if a < 0 || 4*a+4 > int64(len(raw)) {
				return false
			}
			out[i] = cell{val: math.Float32frombits(binary.LittleEndian.Uint32(raw[4*a:]))}
		}
		return true
	}
	x, ok := p.cells[t]
	if !ok {
		x = decode(t)
		p.cells[t] = x
	}
	for i, a := range at {
		if a < 0 || a >= int64(len(x)) {
			return false
		}
		out[i] = cell{val: x[a]}
	}
	return true
}

// decode returns a tensor's elements as float32, nil if they cannot be read.
func decode(t *graph.Tensor) []float32 {
	if t.DType.IsFloat() {
		x, err := t.Float32s()
		if err != nil {
			return nil
		}
		return x
	}
	ints, err := t.Int64s()
	if err != nil {
		return nil
	}
	x := make([]float32, len(ints))
	for i, k := range ints {
		x[i] = float32(k)
	}
	return x
}

// fill is operator ConstantOfShape.
func (p *probe) fill(n *graph.Node, out []cell) bool {
	var val float32
	if a := n.Attr("value"); a != nil {
		one := make([]cell, 1)
		if a.Tensor == nil || !p.readConstant(a.Tensor, []int64{0}, one) {
			return false
		}
		val = one[0].val
	}
	for i := range out {
		out[i] = cell{val: val}
	}
	return true
}

// traceArithmetic follows an elementwise operator whose result, element by
// element, is one of its operands or a constant.
func (p *probe) traceArithmetic(n *graph.Node, v *graph.Value, at []int64, out []cell) bool {
	operands := make([][]cell, len(n.Inputs()))
	for i, in := range n.Inputs() {
		d := p.dims(in)
		from := make([]int64, len(at))
		if d == nil || !broadcastIndex(p.dims(v), d, at, from) {
			return false
		}
		operands[i] = p.trace(in, from)
	}
	want := 2
	if n.OpType == "Where" {
		want = 3
	}
	if len(operands) != want {
		return false
	}
	for i := range at {
		var ok bool
		if n.OpType == "Where" {
			cond := operands[0][i]
			if ok = cond.base == nil; ok {
				out[i] = operands[2][i]
				if cond.val != 0 {
					out[i] = operands[1][i]
				}
			}
		} else {
			out[i], ok = combine(n.OpType, operands[0][i], operands[1][i])
		}
		if !ok {
			return false
		}
	}
	return true
}

// combine computes op on two cells where the result is a cell.
func combine(op string, a, b cell) (cell, bool) {
	constant := func(x float32) (cell, bool) { return cell{val: x}, true }
	switch {
	case a.base == nil && b.base == nil:
		switch op {
		case "Add":
			return constant(a.val + b.val)
		case "Sub":
			return constant(a.val - b.val)
		case "Mul":
			return constant(a.val * b.val)
		default:
			return constant(a.val / b.val)
		}
	case op == "Sub" && a == b:
		return constant(0) // x − x is how mmaction2 spells zeros
	case b.base == nil:
		switch {
		case (op == "Add" || op == "Sub") && b.val == 0, (op == "Mul" || op == "Div") && b.val == 1:
			return a, true
		case op == "Mul" && b.val == 0:
			return constant(0)
		}
	case a.base == nil:
		switch {
		case op == "Add" && a.val == 0, op == "Mul" && a.val == 1:
			return b, true
		case op == "Mul" && a.val == 0:
			return constant(0)
		}
	}
	return cell{}, false
}
