package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// ports names a model's inputs that callers give, and its outputs.
func ports(t *testing.T, path string) (in, out []string) {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, v := range m.DataInputs() {
		in = append(in, v.Name())
	}
	for _, v := range m.Graph.Outputs() {
		out = append(out, v.Name())
	}
	return in, out
}

// TestConvertAgainKeepsPorts: lowering an AFNet anew keeps its noise input and
// its output of masks, until told otherwise.
func TestConvertAgainKeepsPorts(t *testing.T) {
	source := modelFile(t, small)
	dir := t.TempDir()
	af, again := filepath.Join(dir, "af.onnx"), filepath.Join(dir, "again.onnx")
	mustRun(t, "convert", source, "-o", af, "--lowering", "mask", "--outputs", "masks", "--sampling", "gumbel")
	wantIn, wantOut := ports(t, af)
	if len(wantIn) != 2 || !slices.Contains(wantOut, "masks") {
		t.Fatalf("inputs %v, outputs %v", wantIn, wantOut)
	}
	mustRun(t, "convert", af, "-o", again, "--lowering", "gather")
	in, out := ports(t, again)
	if !cmp.Equal(in, wantIn) || !cmp.Equal(out, wantOut) {
		t.Errorf("inputs %v, outputs %v; want %v, %v", in, out, wantIn, wantOut)
	}
	mustRun(t, "convert", af, "-o", again, "--lowering", "gather", "--outputs", "", "--sampling", "argmax")
	if in, out := ports(t, again); len(in) != 1 || len(out) != 1 {
		t.Errorf("told to leave them out: inputs %v, outputs %v", in, out)
	}
}

// TestConvertPlainWeights: weights of a plain ResNet are rewritten into an AFNet
// as a model's are, whether they come with a model or alone.
func TestConvertPlainWeights(t *testing.T) {
	net, err := recognize.Network(small.Build(), recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sd, err := weights.Export(net)
	if err != nil {
		t.Fatal(err)
	}
	weights := weightsFile(t, sd)
	source := modelFile(t, small)
	dir := t.TempDir()
	with, without, alone := filepath.Join(dir, "with.onnx"), filepath.Join(dir, "without.onnx"), filepath.Join(dir, "alone.onnx")
	mustRun(t, "convert", source, "-o", without)
	for _, args := range [][]string{
		{"convert", source, "--weights", weights, "-o", with},
		{"convert", "--weights", weights, "--frames", "4", "--size", "24", "-o", alone},
	} {
		if o := mustRun(t, args...); !strings.Contains(o.stdout, "AFNet of 4 frames, lowering branch") || !strings.Contains(o.stderr, "fine-tune") {
			t.Errorf("afc %s\n%s%s", strings.Join(args, " "), o.stdout, o.stderr)
		}
	}
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	mustRun(t, "verify", "--same", without, with, "--threads", "1")
	mustRun(t, "verify", alone, "--only", "reference,masks,mixed", "--threads", "1")
}

// TestConvertToOneFrame: a clip of one frame has the layout of a batch of
// frames too.
func TestConvertToOneFrame(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	source := modelFile(t, small)
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", source, "-o", af, "--frames", "1")
	if o := mustRun(t, "inspect", af); !strings.Contains(o.stdout, "float32 [1,3,24,24]") {
		t.Errorf("inspect:\n%s", o.stdout)
	}
	mustRun(t, "verify", source, af, "--skip", "latency", "--threads", "1")
}

// TestOptimizedIsExplained: every command that does not recognise what optimize
// wrote says what to do.
func TestOptimizedIsExplained(t *testing.T) {
	spec := small
	spec.Shift = testmodels.ShiftConcat
	optimized := filepath.Join(t.TempDir(), "optimized.onnx")
	mustRun(t, "optimize", modelFile(t, spec), "-o", optimized)
	for _, command := range []string{"inspect", "convert"} {
		args := []string{command, optimized}
		if command == "convert" {
			args = append(args, "-o", filepath.Join(t.TempDir(), "af.onnx"))
		}
		if o := tryRun(t, args...); o.code != exitNotRecognized || !strings.Contains(o.stderr, "use the model that it was made from") {
			t.Errorf("afc %s: exit %d, %q", command, o.code, o.stderr)
		}
	}
}

func TestBudgetTooLarge(t *testing.T) {
	spec := small
	spec.Blocks = []int{3, 2} // two focal blocks
	source := modelFile(t, spec)
	for budget, want := range map[string]string{
		"99":   "a budget of 99 frames: want 1 to 4",
		"1,99": "a budget of 99 frames for focal block 1: want 1 to 4",
	} {
		o := tryRun(t, "convert", source, "--lowering", "topk", "--budget", budget, "-o", filepath.Join(t.TempDir(), "af.onnx"))
		if o.code != exitInvalid || !strings.Contains(o.stderr, want) {
			t.Errorf("--budget %s: exit %d, %q; want %q", budget, o.code, o.stderr, want)
		}
	}
}
