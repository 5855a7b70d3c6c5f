package half

import (
	"encoding/binary"
	"math"

	"github.com/afc-project/afc/graph"
)

// Unit is the unit roundoff of half precision: rounding changes a number by at
// most this part of it, between Smallest and Largest.
const Unit = 0x1p-11

const (
	Largest  = 65504   // the largest finite number
	Smallest = 0x1p-14 // the smallest that has all digits; below, numbers lie 2⁻²⁴ apart
)

// Loss is what rounding costs the elements of tensors.
type Loss struct {
	Elements int64
	Blurred  int64 // not zero, below Smallest, and changed
	Zeroed   int64 // of those, turned to zero
	Beyond   int64 // finite, and beyond Largest once rounded
}

// Add counts another tensor's loss in.
func (l *Loss) Add(m Loss) {
	l.Elements += m.Elements
	l.Blurred += m.Blurred
	l.Zeroed += m.Zeroed
	l.Beyond += m.Beyond
}

// Tensor rounds a float32 tensor to float16.
func Tensor(t *graph.Tensor) (*graph.Tensor, Loss, error) {
	v, err := t.Float32s()
	if err != nil {
		return nil, Loss{}, err
	}
	l := Loss{Elements: int64(len(v))}
	raw := make([]byte, 2*len(v))
	for i, x := range v {
		h := graph.FloatToHalf(x)
		binary.LittleEndian.PutUint16(raw[2*i:], h)
		l.count(x, h)
	}
	rounded, err := graph.NewTensor(graph.Float16, t.Dims, raw)
	return rounded, l, err
}

func (l *Loss) count(x float32, h uint16) {
	switch {
	case h&0x7fff == 0x7c00 && !math.IsInf(float64(x), 0):
		l.Beyond++
	case x != 0 && math.Abs(float64(x)) < Smallest && graph.HalfToFloat(h) != x:
		l.Blurred++
		if h&0x7fff == 0 {
			l.Zeroed++
		}
	}
}

// Widened is a tensor of half precision, or bfloat16, as float32.
func Widened(t *graph.Tensor) (*graph.Tensor, error) {
	f, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	return graph.Float32s(t.Dims, f...), nil
}

// HoldsVariance reports whether rounding variances v changes no channel's scale,
// 1/√(v+eps), by more than rounding its results does. A variance below Smallest,
// of a channel that is nearly always the same, may not survive.
func HoldsVariance(v *graph.Tensor, eps float32) (bool, error) {
	f, err := v.Float32s()
	if err != nil {
		return false, err
	}
	for _, x := range f {
		rounded := float64(graph.HalfToFloat(graph.FloatToHalf(x)))
		if !(math.Abs(rounded-float64(x)) <= 2*Unit*math.Abs(float64(x)+float64(eps))) {
			return false, nil
		}
	}
	return true, nil
}
