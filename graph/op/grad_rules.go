package op

import (
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Gradients of operators on elements, of data movement, and along axes.

// gradReshaped is the rule of operators that keep the elements in order.
func gradReshaped(c *gradCall) { c.dx[0] = c.reshape(c.dy[0], c.dims(c.n.Input(0))...) }

func gradCast(c *gradCall) {
	from := c.n.Input(0).Type.Elem
	if !from.IsFloat() || !c.elem().IsFloat() {
		return
	}
	v := c.add("Cast", c.dims(c.dy[0]), []*graph.Value{c.dy[0]}, graph.Int("to", int64(from)))
	v.Type.Elem = from
	c.dx[0] = v
}

func gradTranspose(c *gradCall) {
	perm, err := permutation(c.opCall.ints("perm"), len(c.dims(c.dy[0])))
	if err != nil {
		c.fail("%v", err)
		return
	}
	back := make([]int64, len(perm))
	for i, p := range perm {
		back[p] = int64(i)
	}
	c.dx[0] = c.transpose(c.dy[0], back...)
}

func gradConcat(c *gradCall) {
	k, err := axis(c.int("axis", 0), len(c.dims(c.dy[0])))
	if err != nil {
		c.fail("%v", err)
		return
	}
	at := int64(0)
	for i, v := range c.n.Inputs() {
		d := c.dims(v)
		if c.wants(i) {
			c.dx[i] = c.add("Slice", d, []*graph.Value{c.dy[0], c.ints(at), c.ints(at + d[k]), c.ints(int64(k))})
		}
		at += d[k]
	}
}

func gradSplit(c *gradCall) {
	k, err := axis(c.int("axis", 0), len(c.dims(c.n.Input(0))))
	if err != nil {
		c.fail("%v", err)
		return
	}
	var parts []*graph.Value
	for i, v := range c.n.Outputs() {
		d := c.dy[i]
		if d == nil {
			d = c.numbers(c.dims(v), make([]float64, product(c.dims(v)))...)
		}
		parts = append(parts, d)
	}
	c.dx[0] = c.add("Concat", c.dims(c.n.Input(0)), parts, graph.Int("axis", int64(k)))
}

// gradSlice puts the gradient back among zeros. With a step above 1 zeros come
// between the elements first.
func gradSlice(c *gradCall) {
	d := c.dims(c.n.Input(0))
	starts := c.constants(1, "")
	which, steps, err := sliceAxes(starts, c.constants(2, ""), c.constants(3, ""), c.constants(4, ""), len(d))
	if err != nil || c.err != nil {
		c.fail("%v", err)
		return
	}
	x := c.dy[0]
	before, after := make([]int64, len(d)), make([]int64, len(d))
	for i, k := range which {
		if steps[i] < 1 {
			c.fail("a step of %d", steps[i])
			return
		}
		before[k], _ = sliceSpan(d[k], starts[i], math.MaxInt64, steps[i])
		x = c.stuffed(x, k, steps[i])
		after[k] = d[k] - before[k] - c.dims(x)[k]
	}
	c.dx[0] = c.pad(x, before, after)
}

// stuffed puts step−1 zeros behind each element along an axis.
func (c *gradCall) stuffed(x *graph.Value, k int, step int64) *graph.Value {
	if step == 1 {
		return x
	}
	d := c.dims(x)
	apart := slices.Insert(slices.Clone(d), k+1, 1)
	after := make([]int64, len(apart))
	after[k+1] = step - 1
	wide := slices.Clone(d)
	wide[k] *= step
	return c.reshape(c.pad(c.reshape(x, apart...), make([]int64, len(apart)), after), wide...)
}

func gradPad(c *gradCall) {
	if c.str("mode", "constant") != "constant" {
		c.fail("mode %q", c.str("mode", ""))
		return
	}
	rank := len(c.dims(c.n.Input(0)))
	pads, err := padAmounts(&c.opCall, func(i int, name string) ([]int64, error) { return c.constants(i, name), c.err }, rank)
	if err != nil {
		c.fail("%v", err)
		return
	}
	for i := range pads {
		pads[i] = -pads[i]
	}
	c.dx[0] = c.pad(c.dy[0], pads[:rank], pads[rank:])
}

func gradExpand(c *gradCall) { c.dx[0] = c.like(c.dy[0], c.dims(c.n.Input(0))) }

// gradGather multiplies by the matrix that says which element each output took:
// equal indices add up.
func gradGather(c *gradCall) {
	d, t := c.dims(c.n.Input(0)), c.n.Input(1).Const()
	k, err := axis(c.int("axis", 0), len(d))
	if t == nil || err != nil {
		c.fail("indices that are not constant, or no axis: %v", err)
		return
	}
	idx, err := t.Int64s()
	picks := int64(len(idx))
	taken := make([]float64, d[k]*picks)
	for i, j := range idx {
		var from int64
		if from, err = wrapIndex(j, d[k]); err != nil {
			break
		}
		taken[from*picks+int64(i)] = 1
	}
	if err != nil {
		c.fail("%v", err)
		return
	}
	outer, inner := product(d[:k]), product(d[k+1:])
	rows := c.reshape(c.dy[0], outer, picks, inner)
	c.dx[0] = c.reshape(c.matmul(c.numbers([]int64{d[k], picks}, taken...), rows), d...)
}

func gradWhere(c *gradCall) {
	zero := c.number(0)
	cond := c.n.Input(0)
	pick := func(a, b *graph.Value) *graph.Value {
		return c.add("Where", c.dims(c.dy[0]), []*graph.Value{cond, a, b})
	}
	if c.wants(1) {
		c.dx[1] = c.like(pick(c.dy[0], zero), c.dims(c.n.Input(1)))
	}
	if c.wants(2) {
		c.dx[2] = c.like(pick(zero, c.dy[0]), c.dims(c.n.Input(2)))
	}
}

// gradArithmetic is the rule of Add, Sub, Mul and Div.
func gradArithmetic(c *gradCall) {
	a, b, dy := c.n.Input(0), c.n.Input(1), c.dy[0]
	da, db := dy, dy
	switch c.n.OpType {
	case "Sub":
		if c.wants(1) {
			db = c.unary("Neg", dy)
		}
	case "Mul":
		if c.wants(0) {
			c.dx[0] = c.mulLike(dy, b, c.dims(a))
		}
		if c.wants(1) {
			c.dx[1] = c.mulLike(dy, a, c.dims(b))
		}
		return
	case "Div":
		if c.wants(0) {
			da = c.binary("Div", dy, b)
		}
		if c.wants(1) { // −y/b
			db = c.unary("Neg", c.binary("Div", c.mul(dy, c.n.Output(0)), b))
		}
	}
	if c.wants(0) {
		c.dx[0] = c.like(da, c.dims(a))
	}
	if c.wants(1) {
		c.dx[1] = c.like(db, c.dims(b))
	}
}

// mulLike is the product of two values, one of which has the sizes of both
// together, added up to the given sizes. Where sums run over the last axes, it is
// a product of rows.
func (c *gradCall) mulLike(x, y *graph.Value, dims []int64) *graph.Value {
	d := c.dims(x)
	k := 0
	for k < len(dims) && len(dims) == len(d) && dims[k] == d[k] {
		k++
	}
	inner := product(d[k:])
	if slices.Equal(c.dims(y), d) && len(dims) == len(d) && product(dims[k:]) == 1 && inner >= smallPlane {
		return c.reshape(c.dots(x, y, product(d[:k]), inner), dims...)
	}
	return c.like(c.mul(x, y), dims)
}

// gradUnary is the rule of functions of each element.
func gradUnary(c *gradCall) {
	x, y, dy := c.n.Input(0), c.n.Output(0), c.dy[0]
	one := func() *graph.Value { return c.number(1) }
	less := func(v *graph.Value) *graph.Value { // 1 − v
		return c.add("Sub", c.dims(v), []*graph.Value{one(), v})
	}
	switch c.n.OpType {
	case "Neg":
		c.dx[0] = c.unary("Neg", dy)
	case "Abs":
		c.dx[0] = c.mul(dy, c.unary("Sign", x))
	case "Relu":
		// 1 where y is above 0, in one pass and without the branches of Sign.
		c.dx[0] = c.mul(dy, c.add("HardSigmoid", c.dims(y), []*graph.Value{y}, graph.Float("alpha", 1e38), graph.Float("beta", 0)))
	case "Sigmoid":
		c.dx[0] = c.mul(dy, c.mul(y, less(y)))
	case "Tanh":
		c.dx[0] = c.mul(dy, less(c.mul(y, y)))
	case "Exp":
		c.dx[0] = c.mul(dy, y)
	case "Log":
		c.dx[0] = c.binary("Div", dy, x)
	case "Sqrt":
		c.dx[0] = c.binary("Div", dy, c.mul(y, c.number(2)))
	case "Reciprocal":
		c.dx[0] = c.unary("Neg", c.mul(dy, c.mul(y, y)))
	default:
		c.fail("afc does not differentiate this operator")
	}
}

// gradClip lets through what was not cut.
func gradClip(c *gradCall) {
	same := c.g.NewNode("Equal", "grad/"+c.n.Name+"/Equal", []*graph.Value{c.n.Input(0), c.n.Output(0)}, 1).Output(0)
	same.Type = graph.TensorType(graph.Bool, graph.ShapeOf(c.dims(c.dy[0])...))
	c.dx[0] = c.add("Where", c.dims(c.dy[0]), []*graph.Value{same, c.dy[0], c.number(0)})
}

// gradSoftmax is the rule of Softmax and LogSoftmax, from opset 13 on along one
// axis.
func gradSoftmax(c *gradCall) {
	y, dy := c.n.Output(0), c.dy[0]
	k, err := axis(c.int("axis", -1), len(c.dims(y)))
	if err != nil {
		c.fail("%v", err)
		return
	}
	if c.n.OpType == "LogSoftmax" { // dy − softmax·Σdy
		c.dx[0] = c.binary("Sub", dy, c.mul(c.unary("Exp", y), c.sum(dy, true, int64(k))))
		return
	}
	c.dx[0] = c.mul(y, c.binary("Sub", dy, c.sum(c.mul(dy, y), true, int64(k))))
}

// gradReduce is the rule of ReduceSum and ReduceMean.
func gradReduce(c *gradCall) {
	d := c.dims(c.n.Input(0))
	axes := c.constants(1, "axes")
	if len(axes) == 0 {
		if c.int("noop_with_empty_axes", 0) != 0 {
			c.dx[0] = c.dy[0]
			return
		}
		axes = span(0, 1, int64(len(d)))
	}
	set, err := axisSet(axes, len(d))
	if err != nil || c.err != nil {
		c.fail("%v", err)
		return
	}
	kept, count := slices.Clone(d), int64(1)
	for i, s := range set {
		if s {
			kept[i] = 1
			count *= d[i]
		}
	}
	x := c.reshape(c.dy[0], kept...)
	if c.n.OpType == "ReduceMean" {
		x = c.mul(x, c.number(1/float64(count)))
	}
	c.dx[0] = c.expand(x, d)
}

func gradMatMul(c *gradCall) {
	a, b, dy := c.n.Input(0), c.n.Input(1), c.dy[0]
	if len(c.dims(a)) < 2 || len(c.dims(b)) < 2 {
		c.fail("a vector as operand")
		return
	}
	if c.wants(0) {
		c.dx[0] = c.like(c.matmul(dy, c.swapped(b)), c.dims(a))
	}
	if c.wants(1) {
		c.dx[1] = c.like(c.matmul(c.swapped(a), dy), c.dims(b))
	}
}

func gradGemm(c *gradCall) {
	dy := c.dy[0]
	a, b := c.n.Input(0), c.n.Input(1)
	alpha, beta := float64(c.float("alpha", 1)), float64(c.float("beta", 1))
	transA, transB := c.int("transA", 0) != 0, c.int("transB", 0) != 0
	turn := func(v *graph.Value, t bool) *graph.Value {
		if t {
			return c.swapped(v)
		}
		return v
	}
	scaled := dy
	if alpha != 1 {
		scaled = c.mul(dy, c.number(alpha))
	}
	if c.wants(0) { // of op(A): dy·op(B)ᵀ
		c.dx[0] = turn(c.matmul(scaled, turn(b, !transB)), transA)
	}
	if c.wants(1) {
		c.dx[1] = turn(c.matmul(turn(a, !transA), scaled), transB)
	}
	if c.wants(2) {
		if beta != 1 {
			dy = c.mul(dy, c.number(beta))
		}
		c.dx[2] = c.like(dy, c.dims(c.n.Input(2)))
	}
}
