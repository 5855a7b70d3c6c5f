package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
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
	stride := graph.Strides(src.dims)
	var walk func(k int, from, to int64)
	out := graph.Strides(dims)
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
	from := graph.Strides(x.dims)
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
	n, err := graph.NumElements(dims)
	if err == nil {
		rest, err = graph.NumElements(out)
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
	rows, err := graph.NumElements(x.dims[:k])
	if err != nil {
		return nil, err
	}
	cols, err := graph.NumElements(x.dims[k:])
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
