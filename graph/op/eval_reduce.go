package op

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// lines calls f with the offset of the first element of every line of an array
// along axis k; its elements are step apart.
func lines(dims []int64, k int, f func(at, step int64)) {
	step := product(dims[k+1:])
	if product(dims) == 0 {
		return
	}
	outer := product(dims[:k])
	for o := range outer {
		for i := range step {
			f(o*dims[k]*step+i, step)
		}
	}
}

// reduceAxes returns which axes a reduction takes, from input or attribute.
// none says that it is to change nothing.
func reduceAxes(c *opCall, axes []int64, rank int) (set []bool, none bool, err error) {
	if len(axes) == 0 {
		if c.int("noop_with_empty_axes", 0) != 0 {
			return nil, true, nil
		}
		return slices.Repeat([]bool{true}, rank), false, nil
	}
	set, err = axisSet(axes, rank)
	return set, false, err
}

// reducer folds elements one by one from start, and finishes with their
// number.
type reducer[T number] struct {
	start  T
	fold   func(acc, x T) T
	finish func(acc T, n int64) T
}

func reducerOf[T number](op string, lowest, highest T) (r reducer[T], ok bool) {
	r.finish = func(acc T, _ int64) T { return acc }
	switch op {
	case "ReduceSum", "ReduceMean":
		r.fold = func(acc, x T) T { return acc + x }
		if op == "ReduceMean" {
			r.finish = func(acc T, n int64) T { return acc / T(n) }
		}
	case "ReduceProd":
		r.start = 1
		r.fold = func(acc, x T) T { return acc * x }
	case "ReduceMax":
		r.start = lowest
		r.fold = func(acc, x T) T { return max(acc, x) }
	case "ReduceMin":
		r.start = highest
		r.fold = func(acc, x T) T { return min(acc, x) }
	case "ReduceSumSquare":
		r.fold = func(acc, x T) T { return acc + x*x }
	case "ReduceL1":
		r.fold = func(acc, x T) T { return acc + max(x, -x) }
	case "ReduceL2":
		r.fold = func(acc, x T) T { return acc + x*x }
		r.finish = func(acc T, _ int64) T { return fromFloat[T](math.Sqrt(float64(acc))) }
	default:
		return r, false
	}
	return r, true
}

func evalReduce(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	axes, err := c.intsInput(1, "axes")
	if err != nil {
		return nil, err
	}
	set, none, err := reduceAxes(&c.opCall, axes, x.rank())
	if err != nil {
		return nil, err
	}
	if none {
		set = make([]bool, x.rank())
	}
	keep := c.int("keepdims", 1) != 0
	full, kept := make([]int64, x.rank()), []int64{}
	for k, d := range x.dims {
		switch {
		case !set[k]:
			full[k], kept = d, append(kept, d)
		case keep:
			full[k], kept = 1, append(kept, 1)
		default:
			full[k] = 1
		}
	}
	dst, err := c.make(x.dtype, full)
	if err == nil {
		err = c.spend(dst.n())
	}
	if err != nil {
		return nil, err
	}
	ok := false
	switch domainOf(x.dtype) {
	case intDomain:
		lo, hi := intLimits(x.dtype)
		ok = reduceInto(dst, x, c.n.OpType, lo, hi)
	case uintDomain:
		ok = reduceInto[uint64](dst, x, c.n.OpType, 0, math.MaxUint64)
	case floatDomain:
		ok = reduceInto(dst, x, c.n.OpType, math.Inf(-1), math.Inf(1))
	}
	if !ok {
		return nil, fmt.Errorf("afc does not compute %s of %s tensors of this size", c.n.OpType, x.dtype)
	}
	return []*arr{dst.view(kept...)}, nil
}

// intLimits returns the least and greatest value of an integer type.
func intLimits(d graph.DataType) (lo, hi int64) {
	bits := 8 * d.Size()
	switch d {
	case graph.Bool:
		return 0, 1
	case graph.Uint8, graph.Uint16, graph.Uint32:
		return 0, 1<<bits - 1
	}
	return math.MinInt64 >> (64 - bits), math.MaxInt64 >> (64 - bits)
}

func reduceInto[T number](dst, x *arr, op string, lowest, highest T) bool {
	r, ok := reducerOf(op, lowest, highest)
	if !ok {
		return false
	}
	acc := make([]T, dst.n())
	for i := range acc {
		acc[i] = r.start
	}
	if len(acc) > 0 {
		n := x.n() / dst.n()
		if n == 0 && domainOf(dst.dtype) != floatDomain && op == "ReduceMean" {
			return false // 0/0
		}
		stride := broadcastStrides(dst.dims, x.rank())
		at, to := make([]int64, x.rank()), int64(0)
		parts(x.n(), func(lo, hi int64) {
			for _, v := range load[T](x.part(lo, hi)) {
				acc[to] = r.fold(acc[to], v)
				for k := len(at) - 1; k >= 0; k-- {
					at[k]++
					to += stride[k]
					if at[k] < x.dims[k] {
						break
					}
					to -= at[k] * stride[k]
					at[k] = 0
				}
			}
		})
		for i := range acc {
			acc[i] = r.finish(acc[i], n)
		}
	}
	store(dst, acc)
	return true
}

// order compares elements with NaN above everything.
func order[T number](a, b T) int {
	if a != a || b != b {
		return cmp.Compare(b, a) // cmp puts NaN first
	}
	return cmp.Compare(a, b)
}

func bestInto[T number](out []int64, x *arr, k int, smallest, last bool) {
	v, i := load[T](x), 0
	lines(x.dims, k, func(at, step int64) {
		best := int64(0)
		for j := range x.dims[k] {
			o := order(v[at+j*step], v[at+best*step])
			if smallest {
				o = -o
			}
			if o > 0 || o == 0 && last {
				best = j
			}
		}
		out[i] = best
		i++
	})
}

// evalArgExtreme does ArgMax and ArgMin.
func evalArgExtreme(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	k, err := axis(c.int("axis", 0), x.rank())
	if err != nil {
		return nil, err
	}
	if x.dims[k] == 0 {
		return nil, errors.New("reduces an empty axis")
	}
	dims := slices.Clone(x.dims)
	dims[k] = 1
	dst, err := c.make(graph.Int64, dims)
	if err == nil {
		err = c.spend(x.n())
	}
	if err != nil {
		return nil, err
	}
	out := make([]int64, dst.n())
	smallest, last := c.n.OpType == "ArgMin", c.int("select_last_index", 0) != 0
	switch domainOf(x.dtype) {
	case intDomain:
		bestInto[int64](out, x, k, smallest, last)
	case uintDomain:
		bestInto[uint64](out, x, k, smallest, last)
	case floatDomain:
		bestInto[float64](out, x, k, smallest, last)
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	store(dst, out)
	if c.int("keepdims", 1) == 0 {
		dst.dims = slices.Delete(dst.dims, k, k+1)
	}
	return []*arr{dst}, nil
}

func rank[T number](x *arr, k int, largest bool) [][]int64 {
	v := load[T](x)
	var ranks [][]int64
	lines(x.dims, k, func(at, step int64) {
		idx := span(0, 1, x.dims[k])
		slices.SortStableFunc(idx, func(a, b int64) int {
			o := order(v[at+a*step], v[at+b*step])
			if largest {
				o = -o
			}
			return o
		})
		ranks = append(ranks, idx)
	})
	return ranks
}

func evalTopK(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	a, err := axis(c.int("axis", -1), x.rank())
	if err != nil {
		return nil, err
	}
	count := c.int("k", 0)
	if in := c.at(1); in != nil {
		if count, err = in.scalarInt(); err != nil {
			return nil, fmt.Errorf("input 1 %w", err)
		}
	} else if c.opset >= 10 {
		return nil, errors.New("input 1 is missing")
	}
	if count < 0 || count > x.dims[a] {
		return nil, fmt.Errorf("takes %d of %d elements", count, x.dims[a])
	}
	dims := slices.Clone(x.dims)
	dims[a] = count
	values, err := c.make(x.dtype, dims)
	if err == nil {
		err = c.spend(2*x.n() + values.n())
	}
	if err != nil {
		return nil, err
	}
	var ranks [][]int64
	largest := c.int("largest", 1) != 0
	switch domainOf(x.dtype) {
	case intDomain:
		ranks = rank[int64](x, a, largest)
	case uintDomain:
		ranks = rank[uint64](x, a, largest)
	case floatDomain:
		ranks = rank[float64](x, a, largest)
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	idx, size, line := make([]int64, values.n()), int64(x.size()), 0
	step := product(dims[a+1:])
	if len(idx) > 0 {
		lines(x.dims, a, func(at, _ int64) {
			to := at/(step*x.dims[a])*step*count + at%step
			for j := range count {
				from := at + ranks[line][j]*step
				idx[to+j*step] = ranks[line][j]
				copy(values.b[(to+j*step)*size:], x.b[from*size:(from+1)*size])
			}
			line++
		})
	}
	return []*arr{values, int64Arr(dims, idx)}, nil
}

func cumSumInto[T number](dst, x *arr, k int, exclusive, reverse bool) {
	v := load[T](x)
	lines(x.dims, k, func(at, step int64) {
		var sum T
		for j := range x.dims[k] {
			if reverse {
				j = x.dims[k] - 1 - j
			}
			e := &v[at+j*step]
			sum, *e = sum+*e, map[bool]T{true: sum, false: sum + *e}[exclusive]
		}
	})
	store(dst, v)
}

func evalCumSum(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	a, err := c.in[1].scalarInt()
	if err != nil {
		return nil, fmt.Errorf("input 1 %w", err)
	}
	k, err := axis(a, x.rank())
	if err != nil {
		return nil, err
	}
	dst, err := c.make(x.dtype, x.dims)
	if err == nil {
		err = c.spend(x.n())
	}
	if err != nil {
		return nil, err
	}
	exclusive, reverse := c.int("exclusive", 0) != 0, c.int("reverse", 0) != 0
	switch domainOf(x.dtype) {
	case intDomain:
		cumSumInto[int64](dst, x, k, exclusive, reverse)
	case uintDomain:
		cumSumInto[uint64](dst, x, k, exclusive, reverse)
	case floatDomain:
		cumSumInto[float64](dst, x, k, exclusive, reverse)
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	return []*arr{dst}, nil
}

// evalSoftmax does Softmax and LogSoftmax. Before opset 13 they run over all
// axes from the given one on, seen as one.
func evalSoftmax(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if domainOf(x.dtype) != floatDomain {
		return nil, fmt.Errorf("operand is %s, expected a floating-point type", x.dtype)
	}
	dims, k := x.dims, 1
	if c.opset < 13 {
		a, err := flattenAxis(c.int("axis", 1), x.rank())
		if err != nil {
			return nil, err
		}
		dims = []int64{product(x.dims[:a]), product(x.dims[a:])}
	} else {
		a, err := axis(c.int("axis", -1), x.rank())
		if err != nil {
			return nil, err
		}
		k = a
	}
	dst, err := c.make(x.dtype, x.dims)
	if err == nil {
		err = c.spend(x.n())
	}
	if err != nil {
		return nil, err
	}
	v, logs := load[float64](x), c.n.OpType == "LogSoftmax"
	lines(dims, k, func(at, step int64) {
		top, sum := math.Inf(-1), 0.0
		for j := range dims[k] {
			top = max(top, v[at+j*step])
		}
		for j := range dims[k] {
			sum += math.Exp(v[at+j*step] - top)
		}
		for j := range dims[k] {
			e := &v[at+j*step]
			if logs {
				*e = *e - top - math.Log(sum)
			} else {
				*e = math.Exp(*e-top) / sum
			}
		}
	})
	store(dst, v)
	return []*arr{dst}, nil
}
