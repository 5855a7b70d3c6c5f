package passes

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// optimized is the tolerance of an optimised model against its source:
// convolutions summed in two parts, normalisation folded, over fifty layers.
var optimized = verify.Tolerance{Name: "optimized", Scale: 2e-5}

// open loads a model into ONNX Runtime; a warning is a failure.
func open(t *testing.T, m *graph.Model) *ort.Session {
	t.Helper()
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func compute(t *testing.T, s *ort.Session, in *graph.Tensor) *graph.Tensor {
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
				r, err := Optimize(m, Options{Check: true, Seed: seed, Convert: Convert{Recognize: recognize.Options{Frames: tc.frames}}})
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
		{name: "gather", edit: func(s *testmodels.Spec) { s.Shift = testmodels.ShiftGather }},
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

// TestOptimizeExports: real exports of today's exporters keep their outputs,
// those that are refused as video ResNets too.
func TestOptimizeExports(t *testing.T) {
	files, err := filepath.Glob("../testmodels/exports/*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no exports: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".onnx"), func(t *testing.T) {
			source := read(t, file)
			r, err := Optimize(source.Clone(), Options{Check: true, Seed: 3})
			if strings.HasSuffix(file, "bad_wrong_bias.onnx") { // the exporter's fault, seen once the bias is folded
				if broken := (*BrokenError)(nil); !errors.As(err, &broken) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			after := r.After()
			t.Logf("nodes %d → %d, bytes %d → %d, recognised %v, %d notes", r.Before.Nodes, after.Nodes, r.Before.Bytes, after.Bytes, r.Network != nil, len(r.Notes))
			recorded := strings.TrimSuffix(file, ".onnx") + ".npz"
			if _, err := os.Stat(recorded); err != nil {
				return // weights stripped, or refused: nothing was recorded
			}
			var in []*graph.Tensor
			arrays := testutil.NPZ(t, recorded)
			for _, v := range source.Graph.Inputs() {
				if x := arrays[v.Name()]; x != nil {
					in = append(in, x)
				}
			}
			if len(in) != 1 {
				t.Fatalf("inputs recorded: %d", len(in))
			}
			tol := optimized
			if source.Graph.Inputs()[0].Type.Elem == graph.Float16 {
				tol = verify.Device // the source rounds to half precision
			}
			got := compute(t, open(t, r.Model), in[0])
			if strings.Contains(file, "_training_") { // the source normalises by the batch at hand
				compare(t, "optimised against PyTorch's eval()", got, arrays["logits"], verify.Folded)
				return
			}
			compare(t, "optimised against source", got, compute(t, open(t, source), in[0]), tol)
		})
	}
}

// TestOptimizedIsNoSource: converting what optimize wrote is refused with what
// to do instead, and optimising it again changes nothing in the output.
func TestOptimizedIsNoSource(t *testing.T) {
	spec := testmodels.Spec{Blocks: []int{2, 2}, Width: 16, Frames: 4, Size: 32, Classes: 5, Shift: testmodels.ShiftConcat}
	once, err := Optimize(spec.Build(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var refused *recognize.Error
	if _, err := Run(ToConvert, Input{Model: once.Model.Clone()}, Options{}); !errors.As(err, &refused) || !strings.Contains(refused.Hint, "afc optimize wrote") {
		t.Errorf("converting: %v", err)
	}
	twice, err := Optimize(once.Model.Clone(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := random(t, rand.New(rand.NewPCG(5, 5)), once.Model.Graph.Inputs()[0].Type)
	compare(t, "optimised twice", compute(t, open(t, twice.Model), in), compute(t, open(t, once.Model), in), optimized)
}
