package op

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// Rules of quantised operators.

func inferQuantize(c *inferCall) error {
	elem := graph.DataType(c.int("output_dtype", int64(graph.Undefined)))
	switch {
	case c.has(2):
		elem = c.elem(2)
	case elem == graph.Undefined:
		elem = graph.Uint8
	}
	c.set(0, elem, c.shape(0))
	return c.err
}

func inferDequantize(c *inferCall) error {
	elem := graph.DataType(c.int("output_dtype", int64(graph.Undefined)))
	if elem == graph.Undefined {
		elem = c.elem(1)
	}
	c.set(0, elem, c.shape(0))
	return c.err
}

func inferDynamicQuantize(c *inferCall) error {
	c.set(0, graph.Uint8, c.shape(0))
	c.set(1, graph.Float32, graph.ShapeOf())
	c.set(2, graph.Uint8, graph.ShapeOf())
	return c.err
}

// quantized holds the products of quantised numbers. Their first operand is
// input 0.
var quantized = map[string]struct {
	weight int    // input of the second operand
	like   int    // input of the output's type, -1 for int32
	plain  string // the same product of plain numbers
}{
	"ConvInteger":   {1, -1, "Conv"},
	"MatMulInteger": {1, -1, "MatMul"},
	"QLinearConv":   {3, 7, "Conv"},
	"QLinearMatMul": {3, 7, "MatMul"},
}

// inferQuantizedProduct is the rule of the unquantised operator on the
// operands.
func inferQuantizedProduct(c *inferCall) error {
	q := quantized[c.n.OpType]
	if !c.has(q.weight) {
		return fmt.Errorf("input %d is missing", q.weight)
	}
	inner := *c
	inner.in = []*fact{c.in[0], c.in[q.weight]}
	rule := inferMatMul
	if q.plain == "Conv" {
		rule = inferConv
	}
	err := rule(&inner)
	elem := graph.Int32
	if q.like >= 0 {
		elem = c.elem(q.like)
	}
	c.set(0, elem, c.out[0].shape)
	return err
}
