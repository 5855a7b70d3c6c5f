package passes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// TestReshift: trunks that afc does not rewrite lose what exporters spell their
// temporal shifts with, and keep their answers, at every number of clips that
// they take. What is no such shift stays as it is.
func TestReshift(t *testing.T) {
	near := func(name string, shift testmodels.Shift, edit func(*testmodels.Spec)) testmodels.Spec {
		for _, m := range testmodels.NearMisses() {
			if m.Name == name {
				m.Spec.Shift, m.Spec.Opset = shift, 13
				if edit != nil {
					edit(&m.Spec)
				}
				return m.Spec
			}
		}
		t.Fatalf("no near-miss %s", name)
		return testmodels.Spec{}
	}
	const blocks = 16 // of a ResNet-50
	for _, tc := range []struct {
		name   string
		spec   testmodels.Spec
		shifts int // that are written anew
		left   int // nodes of another spelling that stay
	}{
		{"attention, assignments", near("non-local", testmodels.ShiftScatter, nil), blocks, 0},
		{"attention, mmaction2's", near("non-local", testmodels.ShiftMMAction, nil), blocks, 0},
		{"attention, by indices", near("non-local", testmodels.ShiftGather, nil), blocks, 0},
		{"attention, convolved", near("non-local", testmodels.ShiftConv1D, nil), blocks, 0},
		{"attention, any number of clips", near("non-local", testmodels.ShiftConcat, func(s *testmodels.Spec) { s.Dynamic = true }), blocks, 0},
		{"attention, frames of their own", near("non-local", testmodels.ShiftPad, func(s *testmodels.Spec) { s.Input, s.Batch = testmodels.FramesOwnAxis, 2 }), blocks, 0},
		{"attention, half of the channels", near("non-local", testmodels.ShiftPad, func(s *testmodels.Spec) { s.FoldDiv = 2 }), blocks, 0},
		{"attention, whole blocks shifted", near("non-local", testmodels.ShiftScatter, func(s *testmodels.Spec) { s.ShiftBlock = true }), blocks, 0},
		{"dense connections", near("dense", testmodels.ShiftScatter, nil), blocks, 0},
		// The first block behind the pool shifts what a Transpose moved.
		{"pooled over time", near("temporal-pool", testmodels.ShiftScatter, nil), blocks - 1, 3},
		{"directions swapped on small maps", near("swapped-shift", testmodels.ShiftScatter, nil), blocks, 0},
		{"circular", near("circular-shift", testmodels.ShiftScatter, nil), 0, 0},
		{"one way", near("one-way-shift", testmodels.ShiftScatter, nil), 0, 0},
		{"two frames", near("two-frame-shift", testmodels.ShiftScatter, nil), 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			source := tc.spec.Build()
			r, err := Optimize(source.Clone(), Options{Check: true, Seed: 11})
			if err != nil {
				t.Fatal(err)
			}
			if r.Network != nil {
				t.Fatal("recognised: this is no trunk that afc does not know")
			}
			after := r.After()
			t.Logf("nodes %d → %d, bytes %d → %d", r.Before.Nodes, after.Nodes, r.Before.Bytes, after.Bytes)
			if tc.shifts > 0 && (after.Count("Pad") != 2*tc.shifts || after.Count("ScatterND")+after.Count("GatherND") != tc.left) {
				t.Errorf("%d Pads, want two for each of %d shifts and no other spelling: %v", after.Count("Pad"), tc.shifts, after.Operators)
			}
			made := slices.ContainsFunc(r.Steps, func(s Ran) bool { return s.Pass == "reshift" && s.Changes > 0 })
			if made != (tc.shifts > 0) {
				t.Errorf("the pass changed something: %v", made)
			}
			batches := []int64{0}
			if tc.spec.Dynamic {
				batches = []int64{1, 3}
			}
			for _, n := range batches {
				in := source.Graph.Inputs()[0].Type
				if n > 0 {
					in.Shape = append(graph.Shape{graph.D(n)}, in.Shape[1:]...)
				}
				x := random(t, rand.New(rand.NewPCG(5, 5)), in)
				compare(t, "optimised against source", compute(t, open(t, r.Model), x), compute(t, open(t, source), x), optimized)
			}
		})
	}
}
