package op

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// wrapIndex resolves an index that may count from the end.
func wrapIndex(i, n int64) (int64, error) {
	if i < -n || i >= n {
		return 0, fmt.Errorf("index %d is outside an axis of size %d", i, n)
	}
	if i < 0 {
		i += n
	}
	return i, nil
}

func evalGather(c *evalCall) ([]*arr, error) {
	x, idx := c.in[0], c.in[1]
	k, err := axis(c.int("axis", 0), x.rank())
	if err != nil {
		return nil, err
	}
	list, err := idx.ints()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i], err = wrapIndex(list[i], x.dims[k]); err != nil {
			return nil, err
		}
	}
	index := make([][]int64, x.rank())
	index[k] = list
	y, err := c.grid(x, index, nil)
	if err != nil {
		return nil, err
	}
	return []*arr{y.view(slices.Concat(x.dims[:k], idx.dims, x.dims[k+1:])...)}, nil
}

// elementOffsets returns, for every element of an index array of
// GatherElements or ScatterElements, the offset in x it names, in elements.
func elementOffsets(x, idx *arr, k int) ([]int64, error) {
	if idx.rank() != x.rank() {
		return nil, fmt.Errorf("indices have rank %d, expected %d", idx.rank(), x.rank())
	}
	for a, d := range idx.dims {
		if a != k && d > x.dims[a] {
			return nil, fmt.Errorf("indices %v exceed data %v", idx.dims, x.dims)
		}
	}
	list, err := idx.ints()
	if err != nil {
		return nil, err
	}
	stride, at := graph.Strides(x.dims), make([]int64, x.rank())
	for i := range list {
		j, err := wrapIndex(list[i], x.dims[k])
		if err != nil {
			return nil, err
		}
		list[i] = j * stride[k]
		for a := range at {
			if a != k {
				list[i] += at[a] * stride[a]
			}
		}
		next(at, idx.dims)
	}
	return list, nil
}

// next steps an index to the following position in row-major order.
func next(at, dims []int64) {
	for k := len(at) - 1; k >= 0; k-- {
		if at[k]++; at[k] < dims[k] {
			return
		}
		at[k] = 0
	}
}

// pick makes an array of runs of elements of x at the given offsets.
func (c *evalCall) pick(x *arr, offsets []int64, run int64, dims []int64) (*arr, error) {
	y, err := c.make(x.dtype, dims)
	if err != nil {
		return nil, err
	}
	size := int64(x.size())
	for i, o := range offsets {
		copy(y.b[int64(i)*run*size:], x.b[o*size:(o+run)*size])
	}
	return y, nil
}

func evalGatherElements(c *evalCall) ([]*arr, error) {
	x, idx := c.in[0], c.in[1]
	k, err := axis(c.int("axis", 0), x.rank())
	if err != nil {
		return nil, err
	}
	offsets, err := elementOffsets(x, idx, k)
	if err != nil {
		return nil, err
	}
	return one(c.pick(x, offsets, 1, idx.dims))
}

// tupleOffsets returns the offset in x of every index tuple of GatherND or
// ScatterND, whose leading batch axes are shared with x, and how many elements
// lie behind each.
func tupleOffsets(x, idx *arr, batch int) (offsets []int64, run int64, err error) {
	if idx.rank() == 0 || batch < 0 || batch >= idx.rank() || batch > x.rank() {
		return nil, 0, fmt.Errorf("indices %v do not index %v", idx.dims, x.dims)
	}
	depth := int(min(idx.dims[idx.rank()-1], maxRank))
	if batch+depth > x.rank() || !slices.Equal(x.dims[:batch], idx.dims[:batch]) {
		return nil, 0, fmt.Errorf("indices %v do not index %v", idx.dims, x.dims)
	}
	list, err := idx.ints()
	if err != nil {
		return nil, 0, err
	}
	stride := graph.Strides(x.dims)
	tuples, err := graph.NumElements(idx.dims[:idx.rank()-1])
	if err == nil {
		run, err = graph.NumElements(x.dims[batch+depth:])
	}
	if err != nil || depth == 0 && tuples > DefaultEvalBytes {
		return nil, 0, fmt.Errorf("%w: %d empty indices", ErrTooLarge, tuples)
	}
	slab := product(x.dims[batch:])
	perBatch := product(idx.dims[batch : idx.rank()-1])
	offsets = make([]int64, tuples)
	for i := range offsets {
		offsets[i] = int64(i) / perBatch * slab
		for d := range depth {
			j, err := wrapIndex(list[i*depth+d], x.dims[batch+d])
			if err != nil {
				return nil, 0, err
			}
			offsets[i] += j * stride[batch+d]
		}
	}
	return offsets, run, nil
}

func evalGatherND(c *evalCall) ([]*arr, error) {
	x, idx := c.in[0], c.in[1]
	batch := int(min(c.int("batch_dims", 0), maxRank))
	offsets, run, err := tupleOffsets(x, idx, batch)
	if err != nil {
		return nil, err
	}
	depth := int(idx.dims[idx.rank()-1])
	return one(c.pick(x, offsets, run, slices.Concat(idx.dims[:idx.rank()-1], x.dims[batch+depth:])))
}

func evalScatterND(c *evalCall) ([]*arr, error) {
	x, idx, upd := c.in[0], c.in[1], c.in[2]
	offsets, run, err := tupleOffsets(x, idx, 0)
	if err != nil {
		return nil, err
	}
	depth := int(idx.dims[idx.rank()-1])
	if want := slices.Concat(idx.dims[:idx.rank()-1], x.dims[depth:]); !slices.Equal(want, upd.dims) {
		return nil, fmt.Errorf("updates are %v, expected %v", upd.dims, want)
	}
	return one(c.scatter(x, upd, offsets, run))
}

func evalScatterElements(c *evalCall) ([]*arr, error) {
	x, idx, upd := c.in[0], c.in[1], c.in[2]
	k, err := axis(c.int("axis", 0), x.rank())
	if err != nil {
		return nil, err
	}
	if !slices.Equal(idx.dims, upd.dims) {
		return nil, fmt.Errorf("updates are %v, expected %v", upd.dims, idx.dims)
	}
	offsets, err := elementOffsets(x, idx, k)
	if err != nil {
		return nil, err
	}
	return one(c.scatter(x, upd, offsets, 1))
}

// scatter copies x and puts or reduces runs of updates into it at the offsets,
// in order.
func (c *evalCall) scatter(x, upd *arr, offsets []int64, run int64) (*arr, error) {
	if upd.dtype != x.dtype {
		return nil, fmt.Errorf("updates are %s, expected %s", upd.dtype, x.dtype)
	}
	y, err := c.make(x.dtype, x.dims)
	if err != nil {
		return nil, err
	}
	copy(y.b, x.b)
	how := c.str("reduction", "none")
	if how == "none" {
		size := int64(x.size())
		for i, o := range offsets {
			copy(y.b[o*size:(o+run)*size], upd.b[int64(i)*run*size:])
		}
		return y, nil
	}
	if err := c.spend(x.n() + upd.n()); err != nil {
		return nil, err
	}
	op, known := map[string]string{"add": "Add", "mul": "Mul", "min": "Min", "max": "Max"}[how]
	if !known {
		return nil, fmt.Errorf("reduction %q is not known", how)
	}
	switch domainOf(x.dtype) {
	case intDomain:
		scatterReduce[int64](y, upd, offsets, run, op)
	case uintDomain:
		scatterReduce[uint64](y, upd, offsets, run, op)
	case floatDomain:
		scatterReduce[float64](y, upd, offsets, run, op)
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", x.dtype)
	}
	return y, nil
}

func scatterReduce[T number](y, upd *arr, offsets []int64, run int64, op string) {
	f := arithmetic[T](op)
	v, u := load[T](y), load[T](upd)
	for i, o := range offsets {
		for j := range run {
			v[o+j] = f(v[o+j], u[int64(i)*run+j])
		}
	}
	store(y, v)
}
