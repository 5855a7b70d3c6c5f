package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Operators that cut tensors, join them, and repeat or pad them.

func evalConcat(c *evalCall) ([]*arr, error) {
	first := c.in[0]
	// The axis had a default of 1 in opsets 1 to 3.
	k, err := axis(c.int("axis", 1), first.rank())
	if err != nil {
		return nil, err
	}
	dims := slices.Clone(first.dims)
	dims[k] = 0
	for i, x := range c.in {
		if x == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
		if x.dtype != first.dtype || x.rank() != first.rank() {
			return nil, fmt.Errorf("input %d is %s of rank %d, expected %s of rank %d", i, x.dtype, x.rank(), first.dtype, first.rank())
		}
		for a := range dims {
			if a != k && x.dims[a] != dims[a] {
				return nil, fmt.Errorf("input %d is %v, which does not fit %v along axis %d", i, x.dims, first.dims, k)
			}
		}
		dims[k] += x.dims[k]
	}
	dst, err := c.make(first.dtype, dims)
	if err != nil {
		return nil, err
	}
	inner := product(dims[k+1:]) * int64(dst.size())
	row, at := dims[k]*inner, int64(0)
	for _, x := range c.in {
		chunk := x.dims[k] * inner
		if chunk == 0 {
			continue
		}
		for from, to := int64(0), at; from < int64(len(x.b)); from, to = from+chunk, to+row {
			copy(dst.b[to:], x.b[from:from+chunk])
		}
		at += chunk
	}
	return []*arr{dst}, nil
}

func evalSplit(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	k, err := axis(c.int("axis", 0), x.rank())
	if err != nil {
		return nil, err
	}
	parts, err := c.intsInput(1, "split")
	if err != nil {
		return nil, err
	}
	if parts, err = splitSizes(&c.opCall, x.dims[k], parts); err != nil {
		return nil, err
	}
	out := make([]*arr, len(parts))
	index, at := make([][]int64, x.rank()), int64(0)
	for i, p := range parts {
		index[k] = span(at, 1, p)
		if out[i], err = c.grid(x, index, nil); err != nil {
			return nil, err
		}
		at += p
	}
	return out, nil
}

// splitSizes returns the sizes of the parts that Split cuts n into. Without
// sizes the parts are equal; only from opset 18 may the last one be smaller.
func splitSizes(c *opCall, n int64, sizes []int64) ([]int64, error) {
	if sizes != nil {
		var sum int64
		for _, s := range sizes {
			if s < 0 || s > n {
				return nil, fmt.Errorf("sizes %v do not split %d", sizes, n)
			}
			sum += s
		}
		if sum != n {
			return nil, fmt.Errorf("sizes %v do not split %d", sizes, n)
		}
		return sizes, nil
	}
	count := int64(len(c.n.Outputs()))
	if c.opset >= 18 {
		count = c.int("num_outputs", count)
	}
	if count < 1 || count > max(n, int64(len(c.n.Outputs()))) || c.opset < 18 && n%count != 0 {
		return nil, fmt.Errorf("%d cannot be split into %d parts", n, count)
	}
	out := make([]int64, count)
	each := (n + count - 1) / count
	for i := range out {
		out[i] = min(each, n)
		n -= out[i]
	}
	return out, nil
}

func evalSlice(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	var par [4][]int64 // starts, ends, axes, steps
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if par[i], err = c.intsInput(i+1, name); err != nil {
			return nil, err
		}
	}
	axes, steps, err := sliceAxes(par[0], par[1], par[2], par[3], x.rank())
	if err != nil {
		return nil, err
	}
	index := make([][]int64, x.rank())
	for i, k := range axes {
		from, n := sliceSpan(x.dims[k], par[0][i], par[1][i], steps[i])
		if n > x.dims[k] {
			panic("BUG: slice longer than its axis")
		}
		if from == 0 && steps[i] == 1 && n == x.dims[k] {
			continue
		}
		index[k] = span(from, steps[i], n)
	}
	return one(c.grid(x, index, nil))
}

// sliceAxes checks Slice's parameters and fills in the default axes and steps.
func sliceAxes(starts, ends, axes, steps []int64, rank int) ([]int, []int64, error) {
	if axes == nil {
		axes = span(0, 1, int64(len(starts)))
	}
	if steps == nil {
		steps = slices.Repeat([]int64{1}, len(starts))
	}
	if starts == nil || len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, nil, fmt.Errorf("has %d starts, %d ends, %d axes and %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	if _, err := axisSet(axes, rank); err != nil {
		return nil, nil, err
	}
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i], _ = axis(a, rank)
		if steps[i] == 0 {
			return nil, nil, errors.New("has a step of 0")
		}
	}
	return out, steps, nil
}

// sliceSpan clamps start and end as Slice defines and returns the first index
// taken and how many.
func sliceSpan(dim, start, end, step int64) (from, n int64) {
	lo, hi := int64(0), dim
	if step < 0 {
		lo, hi = -1, dim-1
	}
	if start < 0 {
		start = max(start, -dim-1) + dim
	}
	if end < 0 {
		end = max(end, -dim-1) + dim
	}
	start, end = min(max(start, max(lo, 0)), max(hi, 0)), min(max(end, lo), hi)
	if dim == 0 {
		return 0, 0
	}
	if step > 0 && end > start {
		return start, (end-start-1)/step + 1
	}
	if step < 0 && end < start {
		// Division truncates towards zero, and the most negative step has no
		// negation, so the count is taken with both operands negative.
		return start, (end-start+1)/step + 1
	}
	return start, 0
}

func evalExpand(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	shape, err := c.intsInput(1, "")
	if err != nil {
		return nil, err
	}
	dims, err := broadcastDims(x.dims, shape)
	if err != nil {
		return nil, err
	}
	return one(c.strided(x, dims, broadcastStrides(x.dims, len(dims))))
}

func evalTile(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	times, err := c.intsInput(1, "")
	if err != nil {
		return nil, err
	}
	if len(times) != x.rank() {
		return nil, fmt.Errorf("has %d repeats for rank %d", len(times), x.rank())
	}
	dims := slices.Clone(x.dims)
	for k, n := range times {
		if n < 0 || n > 0 && dims[k] > DefaultEvalBytes/n {
			return nil, fmt.Errorf("%w: repeats %v of %v", ErrTooLarge, times, x.dims)
		}
		dims[k] *= n
	}
	n, err := graph.NumElements(dims)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return one(c.make(x.dtype, dims))
	}
	index := make([][]int64, x.rank())
	for k := range index {
		if times[k] == 1 {
			continue
		}
		if err := c.spend(dims[k]); err != nil {
			return nil, err
		}
		list := make([]int64, dims[k])
		for i := range list {
			list[i] = int64(i) % x.dims[k]
		}
		index[k] = list
	}
	return one(c.grid(x, index, nil))
}

func evalPad(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	pads, err := padAmounts(&c.opCall, c.intsInput, x.rank())
	if err != nil {
		return nil, err
	}
	var fill []byte
	if v := c.at(2); v != nil {
		if v.dtype != x.dtype || v.n() != 1 {
			return nil, fmt.Errorf("input 2 is %s%v, expected one %s", v.dtype, v.dims, x.dtype)
		}
		fill = v.b
	} else if v := c.float("value", 0); v != 0 {
		if c.opset >= 11 {
			return nil, errors.New("has attribute value, which Pad lost in opset 11")
		}
		one := &arr{x.dtype, nil, make([]byte, x.size())}
		if domainOf(x.dtype) != floatDomain {
			return nil, fmt.Errorf("pads %s with a float", x.dtype)
		}
		store(one, []float64{float64(v)})
		fill = one.b
	}
	index := make([][]int64, x.rank())
	dims := slices.Clone(x.dims)
	for k := range dims {
		dims[k] += pads[k] + pads[k+len(dims)]
		if dims[k] < 0 {
			return nil, fmt.Errorf("pads %v leave a negative size of %v", pads, x.dims)
		}
	}
	if n, err := graph.NumElements(dims); err != nil {
		return nil, err
	} else if n == 0 {
		return one(c.make(x.dtype, dims))
	}
	for k := range dims {
		if pads[k] != 0 || dims[k] != x.dims[k] {
			if err := c.spend(dims[k]); err != nil {
				return nil, err
			}
			if index[k], err = padIndex(c.str("mode", "constant"), x.dims[k], pads[k], dims[k]); err != nil {
				return nil, err
			}
		}
	}
	return one(c.grid(x, index, fill))
}

// padAmounts returns the 2·rank pads of a Pad node of any opset, with zeros
// for axes it does not list.
func padAmounts(c *opCall, input func(int, string) ([]int64, error), rank int) ([]int64, error) {
	name := "pads"
	if c.opset < 2 {
		name = "paddings"
	}
	pads, err := input(1, name)
	if err != nil {
		return nil, err
	}
	axes, err := input(3, "")
	if err != nil {
		return nil, err
	}
	if axes == nil {
		axes = span(0, 1, int64(rank))
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("has %d pads for %d axes", len(pads), len(axes))
	}
	if _, err := axisSet(axes, rank); err != nil {
		return nil, err
	}
	out := make([]int64, 2*rank)
	for i, a := range axes {
		k, _ := axis(a, rank)
		before, after := pads[i], pads[i+len(axes)]
		const limit = 1 << 40
		if before < -limit || before > limit || after < -limit || after > limit {
			return nil, fmt.Errorf("%w: pads %v", ErrTooLarge, pads)
		}
		out[k], out[k+rank] = before, after
	}
	return out, nil
}

// padIndex lists, for the n positions of a padded axis, the index each is
// taken from, -1 where it takes the constant.
func padIndex(mode string, dim, before, n int64) ([]int64, error) {
	list := make([]int64, n)
	for i := range list {
		j := int64(i) - before
		switch mode {
		case "constant":
			if j >= dim {
				j = -1
			}
			j = max(j, -1)
		case "edge":
			j = min(max(j, 0), dim-1)
		case "reflect":
			if period := 2 * (dim - 1); period > 0 {
				if j = ((j % period) + period) % period; j >= dim {
					j = period - j
				}
			} else {
				j = min(0, dim-1)
			}
		case "wrap":
			if dim > 0 {
				j = ((j % dim) + dim) % dim
			}
		default:
			return nil, fmt.Errorf("mode %q is not known", mode)
		}
		if mode != "constant" && (j < 0 || j >= dim) {
			return nil, fmt.Errorf("mode %q cannot pad an axis of size %d", mode, dim)
		}
		list[i] = j
	}
	return list, nil
}
