package testmodels_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// logits runs a model on ONNX Runtime on a random clip of unit variance.
func logits(t *testing.T, m *graph.Model, seed uint64) []float32 {
	t.Helper()
	m.Path = t.Name()
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	var missing *ort.UnavailableError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(seed, 0))
	d := s.Inputs()[0].Type.Shape.Dims()
	n := int64(1)
	for i := range d {
		if d[i] < 0 {
			d[i] = 1
			if i == 0 && len(d) == 4 && d[1] == 3 {
				d[i] = 4
			}
		}
		n *= d[i]
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	out, err := s.Run(t.Context(), graph.Float32s(d, x...))
	if err != nil {
		t.Fatal(err)
	}
	v, err := out[0].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func distance(a, b []float32) (worst float64) {
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

func largest(a []float32) float64 { return distance(a, make([]float32, len(a))) }

// TestOutputsDependOnInput: logits are of order one, and another clip gives
// others.
func TestOutputsDependOnInput(t *testing.T) {
	for _, depth := range []int{18, 50, 152} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			m := testmodels.Spec{Depth: depth, Width: 8, Frames: 4, Size: 64, Classes: 7}.Build()
			a, b := logits(t, m, 1), logits(t, m, 2)
			size, moved := largest(a), distance(a, b)
			t.Logf("largest logit %.3g, moved by %.3g", size, moved)
			if size < 0.1 || size > 100 || moved < 0.05*size {
				t.Errorf("largest logit %g, which another clip moves by %g", size, moved)
			}
		})
	}
}

// TestSpellingsAgree: whatever the spelling, the network is the same.
func TestSpellingsAgree(t *testing.T) {
	const limit = 1e-4 // of the largest logit
	base := testmodels.Spec{Depth: 50, Width: 8, Frames: 4, Size: 32, Classes: 7, Shift: testmodels.ShiftMMAction, BN: testmodels.BNKept}
	want := logits(t, base.Build(), 1)
	unshifted := base
	unshifted.Shift = testmodels.NoShift
	if d := distance(logits(t, unshifted.Build(), 1), want); d < 100*limit*largest(want) {
		t.Fatalf("leaving out the shift moves the logits by %g: the test would see nothing", d)
	}
	for _, c := range []struct {
		name string
		edit func(*testmodels.Spec)
	}{
		{"scatter", func(s *testmodels.Spec) { s.Shift = testmodels.ShiftScatter }},
		{"concat", func(s *testmodels.Spec) { s.Shift = testmodels.ShiftConcat }},
		{"concat dynamic", func(s *testmodels.Spec) { s.Shift, s.Dynamic = testmodels.ShiftConcat, true }},
		{"pad", func(s *testmodels.Spec) { s.Shift = testmodels.ShiftPad }},
		{"pad opset 9", func(s *testmodels.Spec) { s.Shift, s.Opset = testmodels.ShiftPad, 9 }},
		{"conv1d", func(s *testmodels.Spec) { s.Shift = testmodels.ShiftConv1D }},
		{"gather", func(s *testmodels.Spec) { s.Shift = testmodels.ShiftGather }},
		{"folded", func(s *testmodels.Spec) { s.BN = testmodels.BNFolded }},
		{"frames in batch", func(s *testmodels.Spec) { s.Input = testmodels.FramesInBatch }},
		{"frames in batch, dynamic", func(s *testmodels.Spec) { s.Input, s.Dynamic = testmodels.FramesInBatch, true }},
		{"frames own axis", func(s *testmodels.Spec) { s.Input = testmodels.FramesOwnAxis }},
		{"keepdims", func(s *testmodels.Spec) { s.Head = testmodels.MeanKeepDims }},
		{"mean before fc", func(s *testmodels.Spec) { s.Head = testmodels.MeanBeforeFC }},
		{"sum and div", func(s *testmodels.Spec) { s.Head = testmodels.SumDiv }},
		{"pool consensus", func(s *testmodels.Spec) { s.Head = testmodels.PoolConsensus }},
		{"matmul", func(s *testmodels.Spec) { s.Head = testmodels.MatMulFC }},
		{"inputs", func(s *testmodels.Spec) { s.InitializersAsInputs = true }},
		{"constants", func(s *testmodels.Spec) { s.ConstantWeights = true }},
		{"unnamed", func(s *testmodels.Spec) { s.Unnamed = true }},
		{"identities", func(s *testmodels.Spec) { s.Identities = true }},
		{"opset 18", func(s *testmodels.Spec) { s.Opset = 18 }},
		{"opset 23", func(s *testmodels.Spec) { s.Opset = 23 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base
			c.edit(&s)
			m := s.Build()
			if d := distance(logits(t, m, 1), want); d > limit*largest(want) {
				t.Errorf("logits differ by %g, limit %g", d, limit*largest(want))
			}
		})
	}
}
