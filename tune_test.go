package afc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/train"
	"github.com/afc-project/afc/verify/ort"
)

// toTune writes a small TSM, its AFNet and clips of noise, and
// returns options that train the one on the other.
func toTune(t *testing.T) afc.TuneOptions {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	model, af, clips := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "af.onnx"), filepath.Join(dir, "clips.npy")
	spec := testmodels.Spec{Blocks: []int{2, 2}, Width: 8, Frames: 4, Size: 24, Classes: 3, Shift: testmodels.ShiftConcat}
	var b bytes.Buffer
	if err := spec.Build().Encode(&b); err != nil {
		t.Fatal(err)
	}
	writeFile(t, model, b.Bytes())
	if _, err := afc.Convert(t.Context(), afc.ConvertOptions{Model: model, Output: af}); err != nil {
		t.Fatal(err)
	}
	const n, per = 12, 4 * 3 * 24 * 24
	raw := numpyHeader(n, 12, 24, 24)
	for i := range n * per {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32((i*7919+i/per*104729)%1000)/500-1))
	}
	writeFile(t, clips, raw)
	return afc.TuneOptions{
		Model: af, Source: model, Output: filepath.Join(dir, "tuned.onnx"), Clips: afc.Clips{Input: clips}, Val: afc.Clips{Input: clips},
		Epochs: 3, Batch: 4, Threads: 1, SaveEvery: 1,
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// numpyHeader begins a .npy file of float32.
func numpyHeader(dims ...int) []byte {
	shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(dims), " ", ", "), "[]")
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape)
	text += strings.Repeat(" ", 127-10-len(text)) + "\n"
	return append([]byte("\x93NUMPY\x01\x00\x76\x00"), text...)
}

// TestTune: training takes the AFNet nearer to its source on the clips it sees,
// and writes an AFNet like any other.
func TestTune(t *testing.T) {
	opt := toTune(t)
	opt.Epochs = 12
	opt.Log = filepath.Join(filepath.Dir(opt.Output), "log.jsonl")
	r, err := afc.Tune(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if before, best := *r.Tune.Before.Error, *r.Tune.Best.Error; best > 0.8*before {
		t.Errorf("error of scores %.3f, before %.3f", best, before)
	}
	if r.Tune.Steps != 36 {
		t.Errorf("%d steps", r.Tune.Steps)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(opt.Output), "tuned.tune.safetensors")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
	raw, err := os.ReadFile(opt.Log)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for line := range bytes.Lines(raw) {
		var p train.Progress
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if p.Steps > 0 {
			steps++
		}
	}
	if steps != 36 {
		t.Errorf("%d steps in the log", steps)
	}
	in, err := afc.Inspect(t.Context(), afc.InspectOptions{Model: opt.Output})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(in); err != nil || !strings.Contains(text.String(), "tuned") {
		t.Errorf("inspect does not say that it was tuned (%v)", err)
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page, opt.Model, opt.Source); err != nil || strings.Count(page.String(), "<svg") != 7 {
		t.Errorf("a page of %d figures, want 7 (%v)", strings.Count(page.String(), "<svg"), err)
	}
	if _, err := afc.Convert(t.Context(), afc.ConvertOptions{Model: opt.Output, Output: filepath.Join(t.TempDir(), "again.onnx"), Lowering: "gather"}); err != nil {
		t.Error(err)
	}
}

// TestTuneResumed: a training that was interrupted, whenever, and gone on with
// ends in the bytes of one that was not.
func TestTuneResumed(t *testing.T) {
	opt := toTune(t)
	if _, err := afc.Tune(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(opt.Output)
	if err != nil {
		t.Fatal(err)
	}
	opt.Output = filepath.Join(filepath.Dir(opt.Output), "again.onnx")
	for _, stop := range []string{"epoch 1 of 3 [======", "epoch 2 of 3 [=============", "epoch 3 of 3 [======"} {
		ctx, cancel := context.WithCancel(t.Context())
		opt.Progress = func(step string) {
			if strings.HasPrefix(step, stop) {
				cancel()
			}
		}
		if _, err := afc.Tune(ctx, opt); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted at %q: %v", stop, err)
		}
		opt.Resume = true
	}
	opt.Progress = nil
	r, err := afc.Tune(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tune.Resumed == 0 {
		t.Error("it began anew")
	}
	if got, err := os.ReadFile(opt.Output); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want the %d of a training that was not interrupted", len(got), err, len(want))
	}
}

// TestTuneState: a state is neither written over nor gone on from by another
// training.
func TestTuneState(t *testing.T) {
	opt := toTune(t)
	ctx, cancel := context.WithCancel(t.Context())
	opt.Progress = func(step string) {
		if strings.HasPrefix(step, "epoch 2") {
			cancel()
		}
	}
	if _, err := afc.Tune(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	opt.Progress = nil
	_, err := afc.Tune(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a state is ignored: %v", err)
	}
	opt.Resume, opt.Seed = true, 9
	if _, err := afc.Tune(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "another seed") {
		t.Errorf("another training's state: %v", err)
	}
}

// TestTuneDiverges: a rate that is too high ends the training, says what was
// seen, and leaves the weights of before in the state, no output.
func TestTuneDiverges(t *testing.T) {
	opt := toTune(t)
	opt.Lr, opt.Epochs, opt.Optimizer = 1e3, 40, "sgd"
	none := 0.0
	opt.ClipGradient = &none
	_, err := afc.Tune(t.Context(), opt)
	var diverged *train.DivergedError
	if !errors.As(err, &diverged) {
		t.Fatal(err)
	}
	if _, err := os.Stat(diverged.State); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(opt.Output); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an output: %v", err)
	}
}

// TestTuneKinds runs what learns in other ways: choices, several budgets, frozen
// statistics, navigation alone.
func TestTuneKinds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ratio, dropout := 0.5, 0.3
	for name, change := range map[string]func(*afc.TuneOptions){
		"choices":         func(o *afc.TuneOptions) { o.Rt, o.Train = &ratio, "all" },
		"navigation":      func(o *afc.TuneOptions) { o.Rt, o.Train = &ratio, "navigation" },
		"budgets":         func(o *afc.TuneOptions) { o.Budgets = []float64{0.25, 1} },
		"frozen, dropout": func(o *afc.TuneOptions) { o.Bn, o.Dropout = "frozen", &dropout },
		"sgd":             func(o *afc.TuneOptions) { o.Optimizer = "sgd" },
	} {
		t.Run(name, func(t *testing.T) {
			opt := toTune(t)
			change(&opt)
			if _, err := afc.Tune(t.Context(), opt); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTunePrecision: training is float32; what it writes has the precision and
// the opset that are asked for or, if none is, the AFNet's.
func TestTunePrecision(t *testing.T) {
	opt := toTune(t)
	opt.Epochs = 1
	half := opt.Output
	opt.Form = afc.Form{Precision: "fp16", IOPrecision: "fp16", Opset: 17}
	precisionOf := func(weight, input graph.DataType) {
		t.Helper()
		r, err := afc.Tune(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.ReadFile(opt.Output)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		w, in := m.Graph.Value("conv1.weight").Initializer().DType, m.Graph.Inputs()[0].Type.Elem
		if w != weight || in != input || m.Opset("") != 17 {
			t.Errorf("%s: weights of %s, input of %s, opset %d; want %s, %s, 17", r.Output, w, in, m.Opset(""), weight, input)
		}
	}
	precisionOf(graph.Float16, graph.Float16)
	opt.Model, opt.Output, opt.Form = half, filepath.Join(t.TempDir(), "again.onnx"), afc.Form{}
	precisionOf(graph.Float16, graph.Float16)
	opt.Form.Precision = "fp32"
	precisionOf(graph.Float32, graph.Float16)
	opt.Form.Precision = "fp8"
	if _, err := afc.Tune(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "fp8") {
		t.Errorf("precision fp8: %v", err)
	}
}
