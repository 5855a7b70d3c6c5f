package verify

import (
	"encoding/binary"
	"math"

	"github.com/afc-project/afc/graph"
)

// float16s makes a float16 tensor of v, each element rounded to the nearest.
func float16s(dims []int64, v []float32) (*graph.Tensor, error) {
	raw := make([]byte, 0, 2*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint16(raw, float16(x))
	}
	return graph.NewTensor(graph.Float16, dims, raw)
}

// float16 rounds to IEEE 754's binary16, ties to even.
func float16(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	a := math.Abs(float64(x))
	switch {
	case a != a:
		return sign | 0x7e00
	case a >= 65520: // halfway between the largest number and the next power of two
		return sign | 0x7c00
	case a < 0x1p-14: // subnormal: multiples of 2⁻²⁴
		return sign | uint16(math.RoundToEven(a*0x1p24))
	}
	// A mantissa that rounds up to 2 carries into the exponent, as it should.
	frac, exp := math.Frexp(a) // a = frac·2^exp, frac in [½, 1)
	return sign | (uint16(exp+14)<<10 + uint16(math.RoundToEven((2*frac-1)*1024)))
}

// atLeast widens a tolerance to one unit in the last place of outputs of half
// precision: what is equal before that rounding may fall on either side of it.
func (t Tolerance) atLeast(d graph.DataType) Tolerance {
	switch d {
	case graph.Float16:
		t.Scale = max(t.Scale, 0x1p-10)
	case graph.BFloat16:
		t.Scale = max(t.Scale, 0x1p-7)
	}
	return t
}
