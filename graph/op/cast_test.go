package op_test

import (
	"math"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// TestCastFloat16 holds the rounding to every value of half precision, to what
// lies a little beside it and halfway to the next.
func TestCastFloat16(t *testing.T) {
	var bits []byte
	for b := range uint16(0x7c01) {
		bits = append(bits, byte(b), byte(b>>8))
	}
	values, err := graph.NewTensor(graph.Float16, []int64{0x7c01}, bits)
	if err != nil {
		t.Fatal(err)
	}
	value, err := values.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	var x []float32
	var want []uint16
	for b := range uint16(0x7c00) {
		at, next := float64(value[b]), float64(value[b+1])
		if math.IsInf(next, 1) {
			next = 65536
		}
		gap := next - at
		for i, to := range []uint16{b, b, b + b&1, b + 1} {
			v := float32(at + gap*float64(i)/4)
			x, want = append(x, v, -v), append(want, to, to|0x8000)
		}
	}
	x, want = append(x, 1e30, float32(math.Inf(-1))), append(want, 0x7c00, 0xfc00)
	half, err := op.Cast(graph.Float32s([]int64{int64(len(x))}, x...), graph.Float16)
	if err != nil {
		t.Fatal(err)
	}
	got, err := half.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if g := uint16(got[2*i]) | uint16(got[2*i+1])<<8; g != w {
			t.Fatalf("%g is %#04x, want %#04x", x[i], g, w)
		}
	}
	nan, err := op.Cast(graph.Float32s(nil, float32(math.NaN())), graph.Float16)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := nan.Float32s(); err != nil || v[0] == v[0] {
		t.Errorf("NaN is %v, %v", v, err)
	}
}
