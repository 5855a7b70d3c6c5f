package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Data movement works on elements as byte strings of their type's size, so
// that every type takes the same path.

// product multiplies sizes that are known not to overflow.
func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// strides returns the row-major strides, in elements.
func strides(dims []int64) []int64 {
	s := make([]int64, len(dims))
	n := int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = n
		n *= dims[i]
	}
	return s
}

// strided makes an array of the given dimensions whose element at an index is
// src's at the index times the strides.
func (c *evalCall) strided(src *arr, dims, stride []int64) (*arr, error) {
	dst, err := c.make(src.dtype, dims)
	if err != nil || len(dst.b) == 0 {
		return dst, err
	}
	size := int64(src.size())
	// The trailing dimensions that lie contiguously in src are one run.
	run, tail := int64(1), len(dims)
	for tail > 0 && (stride[tail-1] == run || dims[tail-1] == 1) {
		tail--
		run *= dims[tail]
	}
	idx := make([]int64, tail)
	var from int64
	for to := int64(0); to < int64(len(dst.b)); to += run * size {
		copy(dst.b[to:to+run*size], src.b[from*size:])
		for k := tail - 1; k >= 0; k-- {
			idx[k]++
			from += stride[k]
			if idx[k] < dims[k] {
				break
			}
			from -= idx[k] * stride[k]
			idx[k] = 0
		}
	}
	return dst, nil
}

// grid makes an array whose element at (i0, i1, …) is src's at
// (index[0][i0], index[1][i1], …), or fill (nil: zero) where an index is
// negative. A nil list takes the whole axis.
func (c *evalCall) grid(src *arr, index [][]int64, fill []byte) (*arr, error) {
	dims := slices.Clone(src.dims)
	for k, list := range index {
		if list != nil {
			dims[k] = int64(len(list))
		}
	}
	dst, err := c.make(src.dtype, dims)
	if err != nil || len(dst.b) == 0 {
		return dst, err
	}
	size := int64(src.size())
	tail := len(dims)
	for tail > 0 && index[tail-1] == nil {
		tail--
	}
	run := product(dims[tail:]) * size
	stride := strides(src.dims)
	var walk func(k int, from, to int64)
	out := strides(dims)
	walk = func(k int, from, to int64) {
		if k == tail {
			copy(dst.b[to*size:to*size+run], src.b[from*size:])
			return
		}
		for i := range dims[k] {
			j := i
			if index[k] != nil {
				j = index[k][i]
			}
			at := to + i*out[k]
			if j < 0 {
				if fill != nil {
					repeat(dst.b[at*size:(at+out[k])*size], fill)
				}
				continue
			}
			walk(k+1, from+j*stride[k], at)
		}
	}
	walk(0, 0, 0)
	return dst, nil
}

// repeat fills dst with copies of an element.
func repeat(dst, elem []byte) {
	for n := copy(dst, elem); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

func span(from, step, n int64) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = from + int64(i)*step
	}
	return list
}

func evalIdentity(c *evalCall) ([]*arr, error) { return []*arr{c.in[0]}, nil }

func evalTranspose(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	perm, err := permutation(c.ints("perm"), x.rank())
	if err != nil {
		return nil, err
	}
	dims, stride := make([]int64, len(perm)), make([]int64, len(perm))
	from := strides(x.dims)
	for i, p := range perm {
		dims[i], stride[i] = x.dims[p], from[p]
	}
	return one(c.strided(x, dims, stride))
}

// permutation checks a perm attribute; nil reverses the axes.
func permutation(perm []int64, rank int) ([]int, error) {
	p := make([]int, rank)
	if perm == nil {
		for i := range p {
			p[i] = rank - 1 - i
		}
		return p, nil
	}
	if _, err := axisSet(perm, rank); err != nil || len(perm) != rank {
		return nil, fmt.Errorf("perm %v does not permute %d axes", perm, rank)
	}
	for i, a := range perm {
		p[i], _ = axis(a, rank)
	}
	return p, nil
}

func evalReshape(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	target, err := c.intsInput(1, "shape")
	if err != nil {
		return nil, err
	}
	dims, err := reshape(x.dims, target, c.int("allowzero", 0) != 0)
	if err != nil {
		return nil, err
	}
	return []*arr{x.view(dims...)}, nil
}

// reshape resolves the 0s and the -1 of a Reshape target.
func reshape(dims, target []int64, allowZero bool) ([]int64, error) {
	out, free, rest := slices.Clone(target), -1, int64(1)
	for i, d := range target {
		switch {
		case d == 0 && !allowZero:
			if i >= len(dims) {
				return nil, fmt.Errorf("shape %v takes dimension %d from %v", target, i, dims)
			}
			out[i] = dims[i]
		case d == -1:
			if free >= 0 {
				return nil, fmt.Errorf("shape %v has more than one -1", target)
			}
			free = i
			out[i] = 1
		case d < 0:
			return nil, fmt.Errorf("shape %v has a negative dimension", target)
		}
	}
	n, err := numElements(dims)
	if err == nil {
		rest, err = numElements(out)
	}
	if err != nil {
		return nil, err
	}
	if free >= 0 {
		if rest == 0 || n%rest != 0 {
			return nil, fmt.Errorf("%v cannot be reshaped to %v", dims, target)
		}
		out[free] = n / rest
		rest = n
	}
	if n != rest {
		return nil, fmt.Errorf("%v cannot be reshaped to %v", dims, target)
	}
	return out, nil
}

// intsInput returns the integers of an input that was an attribute of that
// name in earlier opsets, whichever of the two the node has; nil if neither.
func (c *evalCall) intsInput(i int, name string) ([]int64, error) {
	if a := c.at(i); a != nil {
		v, err := a.ints()
		if err != nil {
			return nil, fmt.Errorf("input %d %w", i, err)
		}
		if a.rank() > 1 {
			return nil, fmt.Errorf("input %d has rank %d, expected a list", i, a.rank())
		}
		return v, nil
	}
	return c.ints(name), nil
}

func evalFlatten(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	k, err := flattenAxis(c.int("axis", 1), x.rank())
	if err != nil {
		return nil, err
	}
	rows, err := numElements(x.dims[:k])
	if err != nil {
		return nil, err
	}
	cols, err := numElements(x.dims[k:])
	if err != nil {
		return nil, err
	}
	return []*arr{x.view(rows, cols)}, nil
}

// flattenAxis resolves Flatten's axis, which may also be the rank itself.
func flattenAxis(a int64, rank int) (int, error) {
	if a == int64(rank) {
		return rank, nil
	}
	return axis(a, rank)
}

func evalSqueeze(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	axes, err := c.intsInput(1, "axes")
	if err != nil {
		return nil, err
	}
	set, err := axisSet(axes, x.rank())
	if err != nil {
		return nil, err
	}
	dims := []int64{}
	for i, d := range x.dims {
		switch {
		case axes == nil && d == 1:
		case set[i] && d != 1:
			return nil, fmt.Errorf("axis %d of %v is not 1", i, x.dims)
		case !set[i]:
			dims = append(dims, d)
		}
	}
	return []*arr{x.view(dims...)}, nil
}

func evalUnsqueeze(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	axes, err := c.intsInput(1, "axes")
	if err != nil {
		return nil, err
	}
	dims, err := unsqueeze(x.dims, axes, 1)
	if err != nil {
		return nil, err
	}
	return []*arr{x.view(dims...)}, nil
}

// unsqueeze inserts one at the axes of the result.
func unsqueeze[D any](dims []D, axes []int64, one D) ([]D, error) {
	if axes == nil {
		return nil, errors.New("has no axes")
	}
	if len(axes) > maxRank {
		return nil, fmt.Errorf("has %d axes, expected at most %d", len(axes), maxRank)
	}
	set, err := axisSet(axes, len(dims)+len(axes))
	if err != nil {
		return nil, err
	}
	out := make([]D, 0, len(set))
	for _, s := range set {
		if s {
			out = append(out, one)
		} else {
			out, dims = append(out, dims[0]), dims[1:]
		}
	}
	return out, nil
}

// maxRank bounds ranks that a node asks for outright.
const maxRank = 64

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
	count := int64(len(c.n.outputs))
	if c.opset >= 18 {
		count = c.int("num_outputs", count)
	}
	if count < 1 || count > max(n, int64(len(c.n.outputs))) || c.opset < 18 && n%count != 0 {
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
	n, err := numElements(dims)
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
	if n, err := numElements(dims); err != nil {
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
