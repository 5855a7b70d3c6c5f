package passes

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
)

// optimized is the tolerance of an optimised model against its source:
// convolutions summed in two parts, normalisation folded, over fifty layers.
var optimized = verify.Tolerance{Name: "optimized", Scale: 2e-5}

// open loads a model into ONNX Runtime; a warning is a failure.
func open(t *testing.T, m *graph.Model) *verify.Session {
	t.Helper()
	s, err := verify.NewSession(m, verify.SessionOptions{Threads: 1})
	if unavailable := (*verify.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func compute(t *testing.T, s *verify.Session, in *graph.Tensor) *graph.Tensor {
	t.Helper()
	out, err := s.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func compare(t *testing.T, what string, got, want *graph.Tensor, tol verify.Tolerance) {
	t.Helper()
	d, err := verify.Compare(what, got, want, tol)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s %s", what, d.Figure(), d.Where())
	if !d.OK() {
		t.Errorf("%s: %s %s; tolerance %s %v", what, d.Figure(), d.Where(), tol.Name, tol)
	}
}

func read(t *testing.T, path string) *graph.Model {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOptimizeFixtures: real exports keep their outputs, whatever order their
// nodes come in, and lose what an exporter leaves behind.
func TestOptimizeFixtures(t *testing.T) {
	for _, tc := range []struct {
		file   string
		frames int // where the graph does not say
		shift  bool
	}{
		{file: "tsn_r50_op13"},
		{file: "tsn_r50_bn_op11", frames: 4},
		{file: "tsm_r50_zeros_op13", shift: true},
		{file: "tsm_r50_cat_op13_dyn", shift: true},
	} {
		t.Run(tc.file, func(t *testing.T) {
			arrays := testutil.NPZ(t, testutil.Shared(t, "fixtures", "sources", tc.file+".npz"))
			path := testutil.Shared(t, "fixtures", "sources", tc.file+".onnx")
			want := compute(t, open(t, read(t, path)), arrays["video"])
			compare(t, "source against PyTorch", want, arrays["logits"], verify.Folded)
			for seed := range uint64(3) {
				m := read(t, path)
				r, err := Optimize(m, Options{Check: true, Seed: seed, Recognize: afblock.RecognizeOptions{Frames: tc.frames}})
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range r.Notes {
					t.Errorf("note: %v", n)
				}
				if r.Network == nil {
					t.Fatal("not recognised")
				}
				after := r.After()
				t.Logf("seed %d: nodes %d → %d, bytes %d → %d", seed, r.Before.Nodes, after.Nodes, r.Before.Bytes, after.Bytes)
				for _, op := range []string{"BatchNormalization", "Shape", "Constant", "ScatterND", "Identity"} {
					if after.Count(op) != 0 {
						t.Errorf("%d %s left: %v", after.Count(op), op, after.Operators)
					}
				}
				if tc.shift != (after.Count("Pad") > 0) {
					t.Errorf("Pads of a split stream: %d", after.Count("Pad"))
				}
				s := open(t, r.Model)
				for _, w := range s.Warnings {
					t.Errorf("ONNX Runtime warns: %s", w)
				}
				compare(t, "optimised against source", compute(t, s, arrays["video"]), want, optimized)
			}
		})
	}
}

// TestOptimizeSpellings: every spelling of testmodels keeps its outputs and is
// recognised; a shift ends up on a split stream.
func TestOptimizeSpellings(t *testing.T) {
	base := testmodels.Spec{Blocks: []int{2, 2}, Width: 16, Frames: 4, Size: 32, Classes: 5, Shift: testmodels.ShiftMMAction, BN: testmodels.BNKept}
	for _, tc := range []struct {
		name string
		edit func(*testmodels.Spec)
		// unnormalised: the source normalises by the batch's own statistics.
		unnormalised bool
	}{
		{name: "mmaction", edit: func(*testmodels.Spec) {}},
		{name: "scatter", edit: func(s *testmodels.Spec) { s.Shift = testmodels.ShiftScatter }},
		{name: "concat", edit: func(s *testmodels.Spec) { s.Shift = testmodels.ShiftConcat }},
		{name: "concat dynamic", edit: func(s *testmodels.Spec) { s.Shift, s.Dynamic = testmodels.ShiftConcat, true }},
		{name: "pad opset 9", edit: func(s *testmodels.Spec) { s.Shift, s.Opset = testmodels.ShiftPad, 9 }},
		{name: "pad opset 23", edit: func(s *testmodels.Spec) { s.Shift, s.Opset = testmodels.ShiftPad, 23 }},
		{name: "conv1d", edit: func(s *testmodels.Spec) { s.Shift = testmodels.ShiftConv1D }},
		{name: "block placement", edit: func(s *testmodels.Spec) { s.ShiftBlock = true }},
		{name: "every second", edit: func(s *testmodels.Spec) { s.ShiftEverySecond, s.Blocks = true, []int{3, 4} }},
		{name: "basic blocks", edit: func(s *testmodels.Spec) { s.Basic = true }},
		{name: "caffe stride", edit: func(s *testmodels.Spec) { s.CaffeStride = true }},
		{name: "folded", edit: func(s *testmodels.Spec) { s.BN = testmodels.BNFolded }},
		{name: "training 13", edit: func(s *testmodels.Spec) { s.BN = testmodels.BNTraining }, unnormalised: true},
		{name: "training 17", edit: func(s *testmodels.Spec) { s.BN, s.Opset = testmodels.BNTraining, 17 }, unnormalised: true},
		{name: "frames in batch", edit: func(s *testmodels.Spec) { s.Input = testmodels.FramesInBatch }},
		{name: "frames own axis", edit: func(s *testmodels.Spec) { s.Input = testmodels.FramesOwnAxis }},
		{name: "mean before fc", edit: func(s *testmodels.Spec) { s.Head = testmodels.MeanBeforeFC }},
		{name: "matmul", edit: func(s *testmodels.Spec) { s.Head = testmodels.MatMulFC }},
		{name: "softmax", edit: func(s *testmodels.Spec) { s.Softmax = true }},
		{name: "inputs", edit: func(s *testmodels.Spec) { s.InitializersAsInputs = true }},
		{name: "constants", edit: func(s *testmodels.Spec) { s.ConstantWeights = true }},
		{name: "unnamed", edit: func(s *testmodels.Spec) { s.Unnamed = true }},
		{name: "identities", edit: func(s *testmodels.Spec) { s.Identities = true }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := base
			tc.edit(&spec)
			source := spec.Build()
			reference := source
			if tc.unnormalised {
				inference := spec
				inference.BN = testmodels.BNKept
				reference = inference.Build()
			}
			r, err := Optimize(source.Clone(), Options{Check: true, Seed: 7})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range r.Notes {
				t.Errorf("note: %v", n)
			}
			if r.Network == nil {
				t.Fatal("not recognised")
			}
			if after := r.After(); after.Count("Pad") == 0 || after.Count("BatchNormalization") != 0 {
				t.Errorf("not on a split stream, or not folded: %v", after.Operators)
			}
			in := random(t, rand.New(rand.NewPCG(5, 5)), source.Graph.Inputs()[0].Type)
			compare(t, "optimised against source", compute(t, open(t, r.Model), in), compute(t, open(t, reference), in), optimized)
		})
	}
}
