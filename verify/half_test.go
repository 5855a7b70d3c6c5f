package verify

import (
	"math"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestFloat16 holds the rounding to every value of half precision, to what lies
// a little beside it and halfway to the next.
func TestFloat16(t *testing.T) {
	value := func(bits uint16) float64 {
		x, err := graph.NewTensor(graph.Float16, []int64{1}, []byte{byte(bits), byte(bits >> 8)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return float64(v[0])
	}
	for bits := range uint16(0x7c00) {
		x := value(bits)
		next := value(bits + 1)
		if math.IsInf(next, 1) {
			next = 65536
		}
		half := x + (next-x)/2
		even := bits + bits&1
		for _, c := range []struct {
			x    float64
			want uint16
		}{{x, bits}, {x + (next-x)/4, bits}, {half, even}, {x + (next-x)*3/4, bits + 1}} {
			if got := float16(float32(c.x)); got != c.want {
				t.Fatalf("float16(%g) = %#04x, want %#04x", c.x, got, c.want)
			}
			if got := float16(float32(-c.x)); c.x != 0 && got != c.want|0x8000 {
				t.Fatalf("float16(%g) = %#04x, want %#04x", -c.x, got, c.want|0x8000)
			}
		}
	}
	if got := float16(float32(math.NaN())); got&0x7c00 != 0x7c00 || got&0x3ff == 0 {
		t.Errorf("float16(NaN) = %#04x", got)
	}
	if got := float16(float32(math.Inf(-1))); got != 0xfc00 {
		t.Errorf("float16(-Inf) = %#04x", got)
	}
}
