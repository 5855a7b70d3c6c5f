package verify

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
)

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	vec := func(v ...float32) *graph.Tensor { return graph.Float32s([]int64{int64(len(v))}, v...) }
	tests := []struct {
		name      string
		got, want *graph.Tensor
		tol       Tolerance
		ok        bool
		index     []int64
		needed    float64
	}{
		{"equal", vec(1, 2, -4), vec(1, 2, -4), Exact, true, []int64{0}, 0},
		{"one off", vec(1, 2, -4.5), vec(1, 2, -4), Exact, false, []int64{2}, 0.125},
		{"inside the scale", vec(0.25, 2, -4), vec(0, 2, -4), Tolerance{Scale: 0.0625}, true, []int64{0}, 0.0625},
		{"beyond the scale", vec(0.5, 2, -4), vec(0, 2, -4), Tolerance{Scale: 0.0625}, false, []int64{0}, 0.125},
		{"inside abs and rel", vec(1.5, 2, -6), vec(1, 2, -4), Tolerance{Abs: 0.5, Rel: 0.375}, true, []int64{2}, 0.5},
		{"worst beyond rel, not worst absolute", vec(1.5, 2, -5), vec(1, 2, -4), Tolerance{Rel: 0.25}, false, []int64{0}, 0.25},
		{"NaN in the same place", vec(nan, 2), vec(nan, 2), Exact, true, []int64{1}, 0},
		{"NaN alone", vec(1, nan), vec(1, 2), Reordered, false, []int64{1}, 0},
		{"infinities", vec(inf, 2), vec(inf, 2), Exact, true, []int64{1}, 0},
		{"infinity of the wrong sign", vec(-inf, 2), vec(inf, 2), Reordered, false, []int64{0}, 0},
		{"integers", graph.Vec(1, 2), graph.Vec(1, 3), Exact, false, []int64{1}, 1.0 / 3},
		{"two dimensions", graph.Float32s([]int64{2, 2}, 1, 1, 0, 1), graph.Float32s([]int64{2, 2}, 1, 1, 1, 1), Exact, false, []int64{1, 0}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Compare("y", tt.got, tt.want, tt.tol)
			if err != nil {
				t.Fatal(err)
			}
			if d.OK() != tt.ok || d.Needed != tt.needed || !cmp.Equal(d.Index, tt.index) {
				t.Errorf("ok %v, needed %g at %v; want %v, %g at %v", d.OK(), d.Needed, d.Index, tt.ok, tt.needed, tt.index)
			}
		})
	}
}

func TestCompareCounts(t *testing.T) {
	got := graph.Float32s([]int64{4}, 3, 0, 1, float32(math.NaN()))
	want := graph.Float32s([]int64{4}, 4, 0, 1, 1)
	d, err := Compare("y", got, want, Tolerance{Abs: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if d.Bad != 2 || d.NonFinite != 1 || d.Count != 4 {
		t.Errorf("%d bad, %d not finite of %d; want 2, 1, 4", d.Bad, d.NonFinite, d.Count)
	}
	if d.MaxAbs != 1 || d.MaxRel != 0.25 || d.Mean != 0.25 || d.NeededAbs != 1 {
		t.Errorf("max abs %g, max rel %g, mean %g, abs needed %g; want 1, 0.25, 0.25, 1", d.MaxAbs, d.MaxRel, d.Mean, d.NeededAbs)
	}
}

func TestCompareRefusesOtherShapes(t *testing.T) {
	a, b := graph.Float32s([]int64{2}, 1, 2), graph.Float32s([]int64{1, 2}, 1, 2)
	if _, err := Compare("y", a, b, Exact); err == nil {
		t.Error("shapes [2] and [1 2] compared without error")
	}
	if _, err := Compare("y", a, graph.Vec(1, 2), Exact); err == nil {
		t.Error("float32 and int64 compared without error")
	}
}

func TestCosine(t *testing.T) {
	for _, tt := range []struct{ got, want, cosine float64 }{{1, 2, 1}, {-1, 2, -1}, {0, 0, 1}, {0, 1, 0}} {
		d := Difference{Dims: []int64{1}}
		d.compare([]float64{tt.got}, []float64{tt.want}, Exact)
		if d.Cosine != tt.cosine {
			t.Errorf("cosine of %g and %g is %g, want %g", tt.got, tt.want, d.Cosine, tt.cosine)
		}
	}
}
