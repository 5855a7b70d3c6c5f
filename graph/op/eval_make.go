package op

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

func evalConstant(c *evalCall) ([]*arr, error) {
	for _, name := range []string{"value", "value_int", "value_ints", "value_float", "value_floats"} {
		a := c.n.Attr(name)
		if a != nil && a.RefName != "" {
			a = c.bind[a.RefName]
		}
		if a == nil {
			continue
		}
		b := *a
		b.Name, b.RefName = name, ""
		if t := b.ConstantTensor(); t != nil {
			return one(newArr(t))
		}
	}
	return nil, errors.New("has no value that is a tensor of numbers")
}

func evalConstantOfShape(c *evalCall) ([]*arr, error) {
	dims, err := c.intsInput(0, "")
	if err != nil {
		return nil, err
	}
	value := &arr{graph.Float32, nil, make([]byte, 4)}
	if a := c.attr("value", graph.AttrTensor); a != nil {
		if value, err = newArr(a.Tensor); err != nil {
			return nil, err
		}
		if value.n() != 1 {
			return nil, fmt.Errorf("value has %d elements, expected one", value.n())
		}
	}
	dst, err := c.make(value.dtype, dims)
	if err != nil {
		return nil, err
	}
	if !allZero(value.b) {
		repeat(dst.b, value.b)
	}
	return []*arr{dst}, nil
}

func int64Arr(dims []int64, v []int64) *arr {
	a := &arr{graph.Int64, dims, make([]byte, 8*len(v))}
	store(a, v)
	return a
}

func evalShape(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	from, to := shapeRange(&c.opCall, x.rank())
	return []*arr{int64Arr([]int64{int64(to - from)}, x.dims[from:to])}, nil
}

// shapeRange resolves the start and end of Shape, which clamp to the rank.
func shapeRange(c *opCall, rank int) (from, to int) {
	r := int64(rank)
	clamp := func(i int64) int {
		if i < 0 {
			i = max(i, -r) + r
		}
		return int(min(i, r))
	}
	from = clamp(c.int("start", 0))
	return from, max(from, clamp(c.int("end", r)))
}

func evalSize(c *evalCall) ([]*arr, error) {
	return []*arr{int64Arr([]int64{}, []int64{c.in[0].n()})}, nil
}

func evalRange(c *evalCall) ([]*arr, error) {
	dtype := c.in[0].dtype
	for i, x := range c.in {
		if x.dtype != dtype || x.n() != 1 {
			return nil, fmt.Errorf("input %d is %s%v, expected one %s", i, x.dtype, x.dims, dtype)
		}
	}
	count, err := rangeCount(c.in[0], c.in[1], c.in[2])
	if err != nil {
		return nil, err
	}
	dst, err := c.make(dtype, []int64{count})
	if err == nil {
		err = c.spend(count)
	}
	if err != nil {
		return nil, err
	}
	if domainOf(dtype) == floatDomain {
		rangeInto[float64](dst, c.in[0], c.in[2])
	} else {
		rangeInto[int64](dst, c.in[0], c.in[2])
	}
	return []*arr{dst}, nil
}

// rangeCount is the number of elements of a Range.
func rangeCount(start, limit, delta *arr) (int64, error) {
	switch domainOf(start.dtype) {
	case intDomain:
		s, l, d := load[int64](start)[0], load[int64](limit)[0], load[int64](delta)[0]
		switch {
		case d == 0:
			return 0, errors.New("has a step of 0")
		case d > 0 && l > s:
			return int64((uint64(l)-uint64(s)-1)/uint64(d)&math.MaxInt64) + 1, nil
		case d < 0 && l < s:
			return int64((uint64(s)-uint64(l)-1)/(-uint64(d))&math.MaxInt64) + 1, nil
		}
		return 0, nil
	case floatDomain:
		n := math.Ceil((load[float64](limit)[0] - load[float64](start)[0]) / load[float64](delta)[0])
		if n != n {
			return 0, errors.New("has a step of 0 or bounds that are not numbers")
		}
		return fromFloat[int64](max(n, 0)), nil
	}
	return 0, fmt.Errorf("afc does not compute with %s tensors", start.dtype)
}

func rangeInto[T number](dst, start, delta *arr) {
	v, s, d := make([]T, dst.n()), load[T](start)[0], load[T](delta)[0]
	for i := range v {
		v[i] = s + T(i)*d
	}
	store(dst, v)
}

func evalEyeLike(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if x.rank() != 2 {
		return nil, fmt.Errorf("input has rank %d, expected 2", x.rank())
	}
	dst, err := c.make(graph.DataType(c.int("dtype", int64(x.dtype))), x.dims)
	if err != nil {
		return nil, err
	}
	if domainOf(dst.dtype) == noDomain {
		return nil, fmt.Errorf("afc does not compute with %s tensors", dst.dtype)
	}
	if err := c.spend(dst.n()); err != nil {
		return nil, err
	}
	v, k := make([]int64, dst.n()), c.int("k", 0)
	for i := range x.dims[0] {
		if j := i + k; k < x.dims[1] && j >= 0 && j < x.dims[1] {
			v[i*x.dims[1]+j] = 1
		}
	}
	store(dst, v)
	return []*arr{dst}, nil
}

func evalOneHot(c *evalCall) ([]*arr, error) {
	idx, values := c.in[0], c.in[2]
	if values.n() != 2 || domainOf(idx.dtype) == noDomain || domainOf(c.in[1].dtype) == noDomain || c.in[1].n() != 1 {
		return nil, errors.New("expected numeric indices, one depth and two values")
	}
	depth := load[int64](c.in[1])[0]
	k, err := axis(c.int("axis", -1), idx.rank()+1)
	if err != nil {
		return nil, err
	}
	if depth < 1 || depth > DefaultEvalBytes {
		return nil, fmt.Errorf("depth is %d", depth)
	}
	dims := slices.Insert(slices.Clone(idx.dims), k, depth)
	dst, err := c.make(values.dtype, dims)
	if err == nil {
		err = c.spend(idx.n())
	}
	if err != nil {
		return nil, err
	}
	size := dst.size()
	repeat(dst.b, values.b[:size])
	inner := product(idx.dims[k:])
	for i, j := range load[int64](idx) {
		if j < 0 {
			j += depth
		}
		if j < 0 || j >= depth {
			continue
		}
		at := ((int64(i)/inner*depth+j)*inner + int64(i)%inner) * int64(size)
		copy(dst.b[at:], values.b[size:])
	}
	return []*arr{dst}, nil
}

func evalNonZero(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if domainOf(x.dtype) == noDomain {
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	var hits []int64
	size := int64(x.size())
	for i := range x.n() {
		if e := x.b[i*size : (i+1)*size]; !allZero(e) && !negativeZero(x.dtype, e) {
			hits = append(hits, i)
		}
	}
	rank, dims := x.rank(), x.dims
	if rank == 0 { // a scalar counts as one element of one dimension
		rank, dims = 1, []int64{1}
	}
	stride := graph.Strides(dims)
	dst, err := c.make(graph.Int64, []int64{int64(rank), int64(len(hits))})
	if err != nil {
		return nil, err
	}
	v := make([]int64, len(hits))
	for k, s := range stride {
		for i, h := range hits {
			v[i] = h / s % dims[k]
		}
		store(dst.part(int64(k*len(hits)), int64((k+1)*len(hits))), v)
	}
	return []*arr{dst}, nil
}

// negativeZero reports whether an element is −0, whose bytes are not all zero.
func negativeZero(d graph.DataType, e []byte) bool {
	k := len(e) - 1
	return domainOf(d) == floatDomain && e[k] == 0x80 && allZero(e[:k])
}

func evalTrilu(c *evalCall) ([]*arr, error) {
	x, k := c.in[0], int64(0)
	if a := c.at(1); a != nil {
		var err error
		if k, err = a.scalarInt(); err != nil {
			return nil, fmt.Errorf("input 1 %w", err)
		}
	}
	if x.rank() < 2 {
		return nil, fmt.Errorf("input has rank %d, expected 2 or more", x.rank())
	}
	dst, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	upper := c.int("upper", 1) != 0
	rows, cols, size := x.dims[x.rank()-2], x.dims[x.rank()-1], int64(x.size())
	k = min(max(k, -rows-1), cols+1)
	for at := int64(0); at < x.n(); at++ {
		i, j := at/cols%rows, at%cols
		if upper && j-i >= k || !upper && j-i <= k {
			copy(dst.b[at*size:(at+1)*size], x.b[at*size:])
		}
	}
	return []*arr{dst}, nil
}
