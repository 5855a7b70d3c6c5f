package dataflow

import (
	"math"

	"github.com/afc-project/afc/graph"
)

// maxExact bounds the integers that float64 holds exactly.
const maxExact = 1 << 53

// arithmetic follows an elementwise operator whose result, element by element,
// is one of its operands or a constant.
func (a *Analysis) arithmetic(n *graph.Node, v *graph.Value, at []int64, out []Cell) bool {
	if len(n.Inputs()) != 2 {
		return false
	}
	var operands [2][]Cell
	for i := range operands {
		var ok bool
		if operands[i], ok = a.Operand(v, i, at); !ok {
			return false
		}
	}
	for i := range at {
		var ok bool
		if out[i], ok = combine(n.OpType, v.Type.Elem, operands[0][i], operands[1][i]); !ok {
			return false
		}
	}
	return true
}

// Place returns the elements of input i of an elementwise operator from which it
// makes the elements of its output v listed; false where the input does not
// broadcast to v.
func (a *Analysis) Place(v *graph.Value, i int, at []int64) ([]int64, bool) {
	d, from := a.Dims(v.Producer().Input(i)), make([]int64, len(at))
	return from, d != nil && a.Dims(v) != nil && broadcastIndex(a.Dims(v), d, at, from)
}

// Operand follows those elements on.
func (a *Analysis) Operand(v *graph.Value, i int, at []int64) ([]Cell, bool) {
	from, ok := a.Place(v, i, at)
	if !ok {
		return nil, false
	}
	return a.Trace(v.Producer().Input(i), from), true
}

// broadcastIndex maps elements of a shape to those of one broadcast to it.
func broadcastIndex(dims, from []int64, at, to []int64) bool {
	if len(from) > len(dims) {
		return false
	}
	st, fst := graph.Strides(dims), graph.Strides(from)
	step := make([]int64, len(dims))
	for i := range from {
		k := i + len(dims) - len(from)
		switch from[i] {
		case dims[k]:
			step[k] = fst[i]
		case 1:
		default:
			return false
		}
	}
	for i, a := range at {
		f := int64(0)
		for k, s := range st {
			f += a / s * step[k]
			a %= s
		}
		to[i] = f
	}
	return true
}

// combine computes kind on two cells of an element type where the result is a
// cell.
func combine(kind string, elem graph.DataType, x, y Cell) (Cell, bool) {
	switch {
	case x.Base == nil && y.Base == nil:
		return constants(kind, elem, x.Val, y.Val)
	case kind == "Sub" && x == y:
		return Cell{}, true // x − x is how mmaction2 spells zeros
	case y.Base == nil:
		switch {
		case (kind == "Add" || kind == "Sub") && y.Val == 0, (kind == "Mul" || kind == "Div") && y.Val == 1:
			return x, true
		case kind == "Mul" && y.Val == 0:
			return Cell{}, true
		}
	case x.Base == nil:
		switch {
		case kind == "Add" && x.Val == 0, kind == "Mul" && x.Val == 1:
			return y, true
		case kind == "Mul" && x.Val == 0:
			return Cell{}, true
		}
	}
	return Cell{}, false
}

// constants computes kind on two numbers of an element type; results that would
// be rounded to it, or wrap, are refused.
func constants(kind string, elem graph.DataType, x, y float64) (Cell, bool) {
	var z float64
	switch kind {
	case "Add":
		z = x + y
	case "Sub":
		z = x - y
	case "Mul":
		z = x * y
	default:
		z = x / y
	}
	switch {
	case elem == graph.Float32:
		z = float64(float32(z))
	case !elem.IsFloat():
		z = math.Trunc(z)
	}
	return Cell{Val: z}, holds(elem, z)
}

// holds reports whether an element type is known to hold a number, of an
// integer type a whole one.
func holds(elem graph.DataType, z float64) bool {
	switch elem {
	case graph.Float32, graph.Float64:
		return true
	case graph.Float16, graph.BFloat16:
		return math.Abs(z) <= 256 && z == math.Trunc(z)
	case graph.Uint8, graph.Uint16, graph.Uint32:
		return z >= 0 && z < math.Ldexp(1, elem.Bits())
	case graph.Int8, graph.Int16, graph.Int32:
		return math.Abs(z) < math.Ldexp(1, elem.Bits()-1)
	}
	return math.Abs(z) < maxExact
}
