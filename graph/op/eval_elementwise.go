package op

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// broadcastDims merges two shapes as NumPy does.
func broadcastDims(a, b []int64) ([]int64, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		switch o := &out[len(a)-len(b)+i]; {
		case *o == 1:
			*o = d
		case d != 1 && d != *o:
			return nil, fmt.Errorf("shapes %v and %v do not broadcast", a, b)
		}
	}
	return out, nil
}

// broadcastStrides returns the strides that read an array of the dimensions as
// if it had been broadcast to a rank.
func broadcastStrides(dims []int64, rank int) []int64 {
	out := make([]int64, rank)
	for i, s := range graph.Strides(dims) {
		if dims[i] != 1 {
			out[rank-len(dims)+i] = s
		}
	}
	return out
}

// spread returns x under broadcasting to the dimensions; x itself if they are
// its own.
func (c *evalCall) spread(x *arr, dims []int64) (*arr, error) {
	if slices.Equal(x.dims, dims) {
		return x, nil
	}
	if err := c.scratch(x.dtype, dims); err != nil {
		return nil, err
	}
	return c.strided(x, dims, broadcastStrides(x.dims, len(dims)))
}

// legacyBroadcast brings the second operand of an operator of opset 1 to 6 to
// where its attributes put it: nothing is broadcast unless asked for, and then
// it lines up with the axes from "axis" on, or with the last ones.
func (c *opCall) legacyBroadcast(a, b []int64) ([]int64, error) {
	if c.opset >= 7 || slices.Equal(a, b) {
		return b, nil
	}
	if c.int("broadcast", 0) == 0 {
		return nil, fmt.Errorf("shapes %v and %v differ, and attribute broadcast is not set", a, b)
	}
	if len(b) == 0 {
		return b, nil
	}
	k, err := axis(c.int("axis", int64(len(a)-len(b))), len(a))
	if err != nil || k+len(b) > len(a) {
		return nil, fmt.Errorf("shape %v does not broadcast to %v", b, a)
	}
	return slices.Concat(b, slices.Repeat([]int64{1}, len(a)-len(b)-k)), nil
}

// operands checks that two arrays have one type and broadcasts both.
func (c *evalCall) operands(a, b *arr) (x, y *arr, err error) {
	if a.dtype != b.dtype {
		return nil, nil, fmt.Errorf("operands are %s and %s, expected one type", a.dtype, b.dtype)
	}
	return c.pair(a, b)
}

// pair broadcasts two arrays to each other.
func (c *evalCall) pair(a, b *arr) (x, y *arr, err error) {
	bd, err := c.legacyBroadcast(a.dims, b.dims)
	if err != nil {
		return nil, nil, err
	}
	dims, err := broadcastDims(a.dims, bd)
	if err != nil {
		return nil, nil, err
	}
	if x, err = c.spread(a, dims); err != nil {
		return nil, nil, err
	}
	y, err = c.spread(b.view(bd...), dims)
	return x, y, err
}

// arithmetic returns the function of an operator that is the same in every
// domain.
func arithmetic[T number](op string) func(a, b T) T {
	switch op {
	case "Add", "Sum":
		return func(a, b T) T { return a + b }
	case "Sub":
		return func(a, b T) T { return a - b }
	case "Mul":
		return func(a, b T) T { return a * b }
	case "Div":
		return func(a, b T) T { return a / b }
	case "Min":
		return func(a, b T) T { return min(a, b) } // NaN wins, as in NumPy
	case "Max":
		return func(a, b T) T { return max(a, b) }
	}
	panic("BUG: no arithmetic for " + op)
}

func zipInto[T number](dst, a, b *arr, f func(a, b T) T) {
	parts(dst.n(), func(lo, hi int64) {
		x, y := load[T](a.part(lo, hi)), load[T](b.part(lo, hi))
		for i := range x {
			x[i] = f(x[i], y[i])
		}
		store(dst.part(lo, hi), x)
	})
}

func hasZero(a *arr) bool {
	size := a.size()
	for i := 0; i < len(a.b); i += size {
		if allZero(a.b[i : i+size]) {
			return true
		}
	}
	return false
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// evalArithmetic does Add, Sub, Mul, Div and the variadic Sum, Min, Max.
func evalArithmetic(c *evalCall) ([]*arr, error) { return evalVariadic(c, c.n.OpType) }

func evalVariadic(c *evalCall, op string) ([]*arr, error) {
	acc := c.in[0]
	if domainOf(acc.dtype) == noDomain || acc.dtype == graph.Bool {
		return nil, fmt.Errorf("afc does not compute with %s tensors", acc.dtype)
	}
	for i := 1; i < len(c.in); i++ {
		if c.in[i] == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
		x, y, err := c.operands(acc, c.in[i])
		if err != nil {
			return nil, err
		}
		if i < len(c.in)-1 {
			if err := c.scratch(x.dtype, x.dims); err != nil {
				return nil, err
			}
		}
		if acc, err = c.make(x.dtype, x.dims); err != nil {
			return nil, err
		}
		switch domainOf(x.dtype) {
		case intDomain, uintDomain:
			if op == "Div" && hasZero(y) {
				return nil, errors.New("divides an integer by zero")
			}
			if domainOf(x.dtype) == uintDomain {
				zipInto(acc, x, y, arithmetic[uint64](op))
			} else {
				zipInto(acc, x, y, arithmetic[int64](op))
			}
		default:
			zipInto(acc, x, y, arithmetic[float64](op))
		}
	}
	return []*arr{acc}, nil
}

func evalMod(c *evalCall) ([]*arr, error) {
	x, y, err := c.operands(c.in[0], c.in[1])
	if err != nil {
		return nil, err
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	fmod := c.int("fmod", 0) != 0
	d := domainOf(x.dtype)
	if (d == intDomain || d == uintDomain) && hasZero(y) {
		return nil, errors.New("divides an integer by zero")
	}
	switch {
	case d == intDomain:
		zipInto(dst, x, y, func(a, b int64) int64 {
			r := a % b
			if !fmod && r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r
		})
	case d == uintDomain:
		zipInto(dst, x, y, func(a, b uint64) uint64 { return a % b })
	case d == floatDomain && fmod:
		zipInto(dst, x, y, math.Mod)
	case d == floatDomain && c.opset >= 28:
		zipInto(dst, x, y, floorMod)
	default:
		return nil, fmt.Errorf("takes no remainder of %s without attribute fmod before opset 28", x.dtype)
	}
	return []*arr{dst}, nil
}

// floorMod is a − ⌊a/b⌋·b, with the sign of b.
func floorMod(a, b float64) float64 {
	r := math.Mod(a, b)
	switch {
	case r == 0:
		return math.Copysign(0, b)
	case (r < 0) != (b < 0):
		return r + b
	}
	return r
}

func evalPow(c *evalCall) ([]*arr, error) {
	if c.opset < 12 && c.in[0].dtype != c.in[1].dtype {
		return nil, fmt.Errorf("operands are %s and %s, expected one type", c.in[0].dtype, c.in[1].dtype)
	}
	x, y, err := c.pair(c.in[0], c.in[1])
	if err != nil {
		return nil, err
	}
	dx, dy := domainOf(x.dtype), domainOf(y.dtype)
	if dx == noDomain || dy == noDomain {
		return nil, fmt.Errorf("afc does not compute %s to the power of %s", x.dtype, y.dtype)
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	if dx == floatDomain || dy == floatDomain {
		zipInto(dst, x, y, math.Pow)
		return []*arr{dst}, nil
	}
	if dy == intDomain && anyNegative(y) {
		return nil, errors.New("raises an integer to a negative power")
	}
	// Two's complement products wrap alike for signed and unsigned elements.
	zipInto(dst, x, y, func(a, e uint64) uint64 {
		p := uint64(1)
		for ; e > 0; e >>= 1 {
			if e&1 != 0 {
				p *= a
			}
			a *= a
		}
		return p
	})
	return []*arr{dst}, nil
}

func anyNegative(a *arr) (found bool) {
	parts(a.n(), func(lo, hi int64) {
		found = found || slices.ContainsFunc(load[int64](a.part(lo, hi)), func(x int64) bool { return x < 0 })
	})
	return found
}

func compareElements[T number](op string, a, b, dst *arr) {
	holds := map[string]func(x, y T) bool{
		"Equal":          func(x, y T) bool { return x == y },
		"Greater":        func(x, y T) bool { return x > y },
		"GreaterOrEqual": func(x, y T) bool { return x >= y },
		"Less":           func(x, y T) bool { return x < y },
		"LessOrEqual":    func(x, y T) bool { return x <= y },
	}[op]
	parts(dst.n(), func(lo, hi int64) {
		y := load[T](b.part(lo, hi))
		for i, x := range load[T](a.part(lo, hi)) {
			if holds(x, y[i]) {
				dst.b[lo+int64(i)] = 1
			}
		}
	})
}

func evalCompare(c *evalCall) ([]*arr, error) {
	x, y, err := c.operands(c.in[0], c.in[1])
	if err != nil {
		return nil, err
	}
	dst, err := c.make(graph.Bool, x.dims)
	if err != nil {
		return nil, err
	}
	switch domainOf(x.dtype) {
	case intDomain:
		compareElements[int64](c.n.OpType, x, y, dst)
	case uintDomain:
		compareElements[uint64](c.n.OpType, x, y, dst)
	case floatDomain:
		compareElements[float64](c.n.OpType, x, y, dst)
	default:
		return nil, fmt.Errorf("afc does not compare %s tensors", x.dtype)
	}
	return []*arr{dst}, nil
}

// evalLogic does And, Or, Xor and the bitwise operators of the same names.
func evalLogic(c *evalCall) ([]*arr, error) {
	x, y, err := c.operands(c.in[0], c.in[1])
	if err != nil {
		return nil, err
	}
	d := domainOf(x.dtype)
	switch c.n.OpType {
	case "And", "Or", "Xor":
		if x.dtype != graph.Bool {
			return nil, fmt.Errorf("operands are %s, expected bool", x.dtype)
		}
	default:
		if d != intDomain && d != uintDomain || x.dtype == graph.Bool {
			return nil, fmt.Errorf("operands are %s, expected an integer type", x.dtype)
		}
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	for i := range dst.b {
		switch c.n.OpType {
		case "And", "BitwiseAnd":
			dst.b[i] = x.b[i] & y.b[i]
		case "Or", "BitwiseOr":
			dst.b[i] = x.b[i] | y.b[i]
		default:
			dst.b[i] = x.b[i] ^ y.b[i]
		}
	}
	return []*arr{dst}, nil
}

func evalNot(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if x.dtype != graph.Bool {
		return nil, fmt.Errorf("operand is %s, expected bool", x.dtype)
	}
	dst, err := c.make(graph.Bool, x.dims)
	if err != nil {
		return nil, err
	}
	for i, b := range x.b {
		if b == 0 {
			dst.b[i] = 1
		}
	}
	return []*arr{dst}, nil
}

func evalWhere(c *evalCall) ([]*arr, error) {
	cond, a, b := c.in[0], c.in[1], c.in[2]
	if cond.dtype != graph.Bool {
		return nil, fmt.Errorf("condition is %s, expected bool", cond.dtype)
	}
	if a.dtype != b.dtype {
		return nil, fmt.Errorf("operands are %s and %s, expected one type", a.dtype, b.dtype)
	}
	dims, err := broadcastDims(a.dims, b.dims)
	if err == nil {
		dims, err = broadcastDims(dims, cond.dims)
	}
	if err != nil {
		return nil, err
	}
	for _, p := range []**arr{&cond, &a, &b} {
		if *p, err = c.spread(*p, dims); err != nil {
			return nil, err
		}
	}
	dst, err := c.make(a.dtype, dims)
	if err != nil {
		return nil, err
	}
	size := a.size()
	for i, t := range cond.b {
		from := b.b
		if t != 0 {
			from = a.b
		}
		copy(dst.b[i*size:(i+1)*size], from[i*size:])
	}
	return []*arr{dst}, nil
}

// intUnary are the functions of one operand that integers have too.
var intUnary = map[string]func(int64) int64{
	"Neg":  func(x int64) int64 { return -x },
	"Abs":  func(x int64) int64 { return max(x, -x) },
	"Relu": func(x int64) int64 { return max(x, 0) },
	"Sign": func(x int64) int64 { return int64(cmp.Compare(x, 0)) },
}

var floatUnary = map[string]func(float64) float64{
	"Neg":        func(x float64) float64 { return -x },
	"Abs":        math.Abs,
	"Relu":       func(x float64) float64 { return max(x, 0) },
	"Sign":       sign,
	"Floor":      math.Floor,
	"Ceil":       math.Ceil,
	"Round":      math.RoundToEven,
	"Sqrt":       math.Sqrt,
	"Reciprocal": func(x float64) float64 { return 1 / x },
	"Exp":        math.Exp,
	"Log":        math.Log,
	"Sigmoid":    func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	"Tanh":       math.Tanh,
	"Erf":        math.Erf,
	"Sin":        math.Sin,
	"Cos":        math.Cos,
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func evalUnary(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	op := c.n.OpType
	switch d := domainOf(x.dtype); {
	case d == floatDomain && floatUnary[op] != nil:
		mapInto(dst, x, floatUnary[op])
	case d == intDomain && x.dtype != graph.Bool && intUnary[op] != nil:
		mapInto(dst, x, intUnary[op])
	case d == uintDomain && (op == "Abs" || op == "Relu"):
		return []*arr{x}, nil
	default:
		return nil, fmt.Errorf("afc does not compute %s of %s", op, x.dtype)
	}
	return []*arr{dst}, nil
}

// evalHardSigmoid is min(max(alpha·x + beta, 0), 1).
func evalHardSigmoid(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if domainOf(x.dtype) != floatDomain {
		return nil, fmt.Errorf("afc does not compute HardSigmoid of %s", x.dtype)
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	alpha, beta := float64(c.float("alpha", 0.2)), float64(c.float("beta", 0.5))
	mapInto(dst, x, func(v float64) float64 { return min(max(alpha*v+beta, 0), 1) })
	return []*arr{dst}, nil
}

func mapInto[T number](dst, a *arr, f func(T) T) {
	parts(dst.n(), func(lo, hi int64) {
		v := load[T](a.part(lo, hi))
		for i := range v {
			v[i] = f(v[i])
		}
		store(dst.part(lo, hi), v)
	})
}

func clampInto[T number](dst, a, lo, hi *arr) {
	bound := func(x T) T { return x }
	if lo != nil {
		least := load[T](lo)[0]
		bound = func(x T) T { return max(x, least) }
	}
	if hi != nil {
		lower, most := bound, load[T](hi)[0]
		bound = func(x T) T { return min(lower(x), most) }
	}
	mapInto(dst, a, bound)
}

func evalClip(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	var bound [2]*arr
	for i, name := range []string{"min", "max"} {
		if a := c.at(i + 1); a != nil {
			if a.dtype != x.dtype || a.n() != 1 {
				return nil, fmt.Errorf("input %d is %s%v, expected one %s", i+1, a.dtype, a.dims, x.dtype)
			}
			bound[i] = a
		} else if a := c.attr(name, graph.AttrFloat); a != nil && c.opset < 11 {
			bound[i] = &arr{x.dtype, nil, make([]byte, x.size())}
			if domainOf(x.dtype) != floatDomain {
				return nil, fmt.Errorf("clips %s to a float", x.dtype)
			}
			store(bound[i], []float64{float64(a.F)})
		}
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	switch domainOf(x.dtype) {
	case intDomain:
		clampInto[int64](dst, x, bound[0], bound[1])
	case uintDomain:
		clampInto[uint64](dst, x, bound[0], bound[1])
	case floatDomain:
		clampInto[float64](dst, x, bound[0], bound[1])
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	return []*arr{dst}, nil
}

func evalCast(c *evalCall) ([]*arr, error) {
	return one(c.cast(c.in[0], graph.DataType(c.int("to", 0))))
}

func evalCastLike(c *evalCall) ([]*arr, error) { return one(c.cast(c.in[0], c.in[1].dtype)) }

func (c *evalCall) cast(x *arr, to graph.DataType) (*arr, error) {
	if x.dtype == to {
		return x, nil
	}
	from, into := domainOf(x.dtype), domainOf(to)
	if from == noDomain || into == noDomain {
		return nil, fmt.Errorf("afc does not cast %s to %s", x.dtype, to)
	}
	dst, err := c.make(to, x.dims)
	if err != nil {
		return nil, err
	}
	switch from {
	case intDomain:
		convertInto[int64](dst, x)
	case uintDomain:
		convertInto[uint64](dst, x)
	default:
		convertInto[float64](dst, x)
	}
	return dst, nil
}

func convertInto[T number](dst, a *arr) {
	parts(dst.n(), func(lo, hi int64) { store(dst.part(lo, hi), load[T](a.part(lo, hi))) })
}

// Cast returns a tensor's elements as another type of number, converted as
// ONNX's Cast converts them.
func Cast(t *graph.Tensor, to graph.DataType) (*graph.Tensor, error) {
	x, err := newArr(t)
	if err != nil {
		return nil, err
	}
	c := evalCall{left: math.MaxInt64}
	if x, err = c.cast(x, to); err != nil {
		return nil, err
	}
	return graph.NewTensor(x.dtype, x.dims, x.b)
}
