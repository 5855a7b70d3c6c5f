package compiled

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// origin returns where a tensor of the given dimensions, named n, starts in
// the whole tensor, and how far along each axis it is known to be cut (0: that
// axis is whole).
func origin(n names.Weight, dims []int64) (start, cut []int64, err error) {
	start, cut = make([]int64, len(dims)), make([]int64, len(dims))
	length := slices.Repeat([]int64{math.MaxInt64}, len(dims))
	for _, p := range n.Slices {
		if p.Axis >= len(dims) {
			return nil, nil, fmt.Errorf("%s: axis %d of a tensor %v", n.Key, p.Axis, dims)
		}
		if int64(p.Hi) > length[p.Axis] {
			return nil, nil, fmt.Errorf("%s: slice to %d of %d elements along axis %d", n.Key, p.Hi, length[p.Axis], p.Axis)
		}
		start[p.Axis] += int64(p.Lo)
		length[p.Axis] = int64(p.Hi - p.Lo)
		cut[p.Axis] = 1
	}
	for i, l := range length {
		if cut[i] != 0 && l != dims[i] {
			return nil, nil, fmt.Errorf("%s: slice of %d elements along axis %d is stored with %d", n.Key, l, i, dims[i])
		}
	}
	return start, cut, nil
}

// NamedTensor is a tensor under the name it has in a file.
type NamedTensor struct {
	Name   string
	Tensor *graph.Tensor
}

// Reassemble makes the whole tensor of what an afc model stores of it, under
// names that begin with one key: the tensor, or slices. It fails where slices
// leave a gap or contradict each other.
func Reassemble(pieces []NamedTensor) (*graph.Tensor, error) {
	if i := slices.IndexFunc(pieces, func(p NamedTensor) bool { return !strings.Contains(p.Name, "[") }); i >= 0 {
		return pieces[i].Tensor, nil
	}
	var asm assembler
	for _, p := range pieces {
		n, err := names.Parse(p.Name)
		if err != nil {
			return nil, err
		}
		t, err := unpadded(n, p.Tensor)
		if err != nil {
			return nil, err
		}
		if err := asm.add(n, t); err != nil {
			return nil, err
		}
		asm.key = n.Key
	}
	return asm.whole()
}

// unpadded returns t without the zeros that its name says stand in front.
func unpadded(n names.Weight, t *graph.Tensor) (*graph.Tensor, error) {
	if n.Zeros == 0 {
		return t, nil
	}
	axis, zeros := n.Slices[len(n.Slices)-1].Axis, int64(n.Zeros)
	if axis >= len(t.Dims) || t.Dims[axis] <= zeros {
		return nil, fmt.Errorf("%s: %d zeros along axis %d of a tensor %v", n.Key, zeros, axis, t.Dims)
	}
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	inner := int64(t.DType.Size())
	for _, d := range t.Dims[axis+1:] {
		inner *= d
	}
	var kept []byte
	for row := range slices.Chunk(raw, int(max(1, t.Dims[axis]*inner))) {
		if slices.ContainsFunc(row[:zeros*inner], func(b byte) bool { return b != 0 }) {
			return nil, fmt.Errorf("%s: the %d elements in front of a slice are not zero", n.Key, zeros)
		}
		kept = append(kept, row[zeros*inner:]...)
	}
	dims := slices.Clone(t.Dims)
	dims[axis] -= zeros
	return graph.NewTensor(t.DType, dims, kept)
}

// assembler puts slices of one tensor together.
type assembler struct {
	key    string
	dtype  graph.DataType
	dims   []int64 // of the whole, as far as the slices seen reach
	pieces []placed
}

type placed struct {
	start, dims []int64
	raw         []byte
}

func (a *assembler) add(n names.Weight, t *graph.Tensor) error {
	start, cut, err := origin(n, t.Dims)
	if err != nil {
		return err
	}
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	if a.pieces == nil {
		a.dtype, a.dims = t.DType, make([]int64, len(t.Dims))
	}
	if t.DType != a.dtype || len(t.Dims) != len(a.dims) {
		return fmt.Errorf("%s: slices of different type or rank", n.Key)
	}
	for i, d := range t.Dims {
		if cut[i] == 0 && len(a.pieces) > 0 && a.dims[i] != d {
			return fmt.Errorf("%s: slices disagree about axis %d: %d and %d", n.Key, i, a.dims[i], d)
		}
		a.dims[i] = max(a.dims[i], start[i]+d)
	}
	a.pieces = append(a.pieces, placed{start, t.Dims, raw})
	return nil
}

// whole returns the tensor, once every element of it was added.
func (a *assembler) whole() (*graph.Tensor, error) {
	var stored int64
	for _, p := range a.pieces {
		stored += int64(len(p.raw))
	}
	size := int64(a.dtype.Size())
	shape := graph.Tensor{DType: a.dtype, Dims: a.dims}
	bytes, err := shape.NumBytes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.key, err)
	}
	if bytes > stored { // also keeps lying slice bounds from asking for memory
		return nil, fmt.Errorf("%s: slices cover %d of %d bytes", a.key, stored, bytes)
	}
	raw, seen := make([]byte, bytes), make([]bool, bytes/size)
	for _, p := range a.pieces {
		if err := a.place(p, raw, seen, size); err != nil {
			return nil, fmt.Errorf("%s: %w", a.key, err)
		}
	}
	if gap := slices.Index(seen, false); gap >= 0 {
		return nil, fmt.Errorf("%s: no slice covers element %d of %v", a.key, gap, a.dims)
	}
	return graph.NewTensor(a.dtype, a.dims, raw)
}

// place copies a slice, row by row of its last axis.
func (a *assembler) place(p placed, raw []byte, seen []bool, size int64) error {
	rank := len(a.dims)
	row := p.dims[rank-1]
	at := make([]int64, rank)
	for done := int64(0); done < int64(len(p.raw)); done += row * size {
		var to int64
		for i, x := range at {
			to = to*a.dims[i] + p.start[i] + x
		}
		src := p.raw[done : done+row*size]
		dst := raw[to*size : (to+row)*size]
		for i := range row {
			old, now := dst[i*size:(i+1)*size], src[i*size:(i+1)*size]
			if seen[to+i] && !slices.Equal(old, now) {
				return fmt.Errorf("slices contradict each other at element %d", to+i)
			}
			copy(old, now)
			seen[to+i] = true
		}
		for i := rank - 2; i >= 0; i-- {
			if at[i]++; at[i] < p.dims[i] {
				break
			}
			at[i] = 0
		}
	}
	return nil
}
