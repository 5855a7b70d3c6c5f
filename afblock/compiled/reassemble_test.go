package compiled

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

func TestReassemble(t *testing.T) {
	whole := graph.Float32s([]int64{4, 3}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	cut := func(rows, cols []int) *graph.Tensor {
		var v []float32
		for _, r := range rows {
			for _, c := range cols {
				v = append(v, float32(3*r+c))
			}
		}
		return graph.Float32s([]int64{int64(len(rows)), int64(len(cols))}, v...)
	}
	all := []int{0, 1, 2}
	top, low := cut([]int{0, 1}, all), cut([]int{2, 3}, all)
	for _, tc := range []struct {
		name   string
		stored []NamedTensor
		fails  string
	}{
		{"whole", []NamedTensor{{"k[0:2]@0", top}, {"k", whole}}, ""},
		{"rows", []NamedTensor{{"k[2:4]@0", low}, {"k[0:2]@0", top}}, ""},
		{"columns of rows", []NamedTensor{
			{"k[0:2]@0[0:1]@1", cut([]int{0, 1}, []int{0})}, {"k[0:2]@0[1:3]@1", cut([]int{0, 1}, []int{1, 2})},
			{"k[2:4]@0", low}}, ""},
		{"slice of a slice", []NamedTensor{{"k[0:3]@0", cut([]int{0, 1, 2}, all)}, {"k[2:4]@0[1:2]@0", cut([]int{3}, all)}}, ""},
		{"overlap that agrees", []NamedTensor{{"k[0:3]@0", cut([]int{0, 1, 2}, all)}, {"k[2:4]@0", low}}, ""},
		{"overlap that does not", []NamedTensor{{"k[0:2]@0", top}, {"k[1:4]@0", cut([]int{1, 2, 2}, all)}, {"k[3:4]@0", cut([]int{3}, all)}}, "contradict"},
		{"gap at the start", []NamedTensor{{"k[2:4]@0", low}}, "cover"},
		{"gap inside", []NamedTensor{{"k[0:2]@0", top}, {"k[0:2]@0", top}, {"k[3:4]@0", cut([]int{3}, all)}}, "no slice covers element 6"},
		{"size other than named", []NamedTensor{{"k[0:3]@0", top}}, "stored with 2"},
		{"axis out of range", []NamedTensor{{"k[0:2]@7", top}}, "axis 7"},
	} {
		got, err := Reassemble(tc.stored)
		if tc.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("%s: got %v, want an error about %q", tc.name, err, tc.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		a, _ := got.Float32s()
		b, _ := whole.Float32s()
		if !slices.Equal(got.Dims, whole.Dims) || !slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x)<<1 == math.Float32bits(y)<<1 && (x == y) }) {
			t.Errorf("%s: got %v %v", tc.name, got.Dims, a)
		}
	}
}

// TestPadded: zeros stored in front of a slice are left out, and nothing but zeros.
func TestPadded(t *testing.T) {
	low := graph.Float32s([]int64{2, 1, 1, 1}, 1, 2)
	high := graph.Float32s([]int64{2, 3, 1, 1}, 0, 3, 4, 0, 5, 6)
	stored := []NamedTensor{{names.Slice("k", 0, 1, 1), low}, {names.Padded(names.Slice("k", 1, 3, 1), 1), high}}
	whole, err := Reassemble(stored)
	if err != nil {
		t.Fatal(err)
	}
	got, err := whole.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]float32{1, 3, 4, 2, 5, 6}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for name, bad := range map[string]*graph.Tensor{
		"not zero":  graph.Float32s([]int64{2, 3, 1, 1}, 0, 3, 4, 1e-30, 5, 6),
		"no slice":  graph.Float32s([]int64{2, 1, 1, 1}, 0, 0),
		"low rank":  graph.Float32s([]int64{6}, 0, 3, 4, 0, 5, 6),
		"too short": graph.Float32s([]int64{2, 2, 1, 1}, 0, 3, 0, 5),
	} {
		stored[1].Tensor = bad
		if _, err := Reassemble(stored); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
