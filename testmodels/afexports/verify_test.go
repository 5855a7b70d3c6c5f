package afexports

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestVerify proves compiled exports equal to the exports themselves, and finds
// faults planted in them: another choice, another weight.
func TestVerify(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	names := []string{"noisy_ts17", "threshold_dynamo_open", "zero_ts17", "bernoulli_ts17", "uniform_dynamo", "straight_ts13_bn"}
	if testing.Short() {
		names = names[:2]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			af := filepath.Join(t.TempDir(), "af.onnx")
			if _, err := afc.Convert(context.Background(), afc.ConvertOptions{Model: name + ".onnx", Output: af}); err != nil {
				t.Fatal(err)
			}
			held(t, name, af, verify.Pass, verify.Pass)
			held(t, name, planted(t, af, "layer1.list_gen.0.conv_gs.", exchangeLogits), verify.Fail, verify.Fail)
			held(t, name, planted(t, af, "layer1.base_transform.0.weight", func(x []float32) { x[0] += 0.5 }), verify.Fail, verify.Fail)
		})
	}
}

// held runs the checks that hold a file to its export.
func held(t *testing.T, name, af string, source, export verify.Status) {
	t.Helper()
	r, err := afc.Verify(context.Background(), afc.VerifyOptions{Model: af, Source: name + ".onnx", Only: []string{"source", "export"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if want := map[string]verify.Status{"source": source, "export": export}[c.Name]; c.Status != want {
			t.Errorf("%s: %v, want %v: %s %s", c.Name, c.Status, want, c.Figure, c.Where)
		}
	}
}

// planted writes a compiled model with other numbers in the tensors whose names
// begin with a key.
func planted(t *testing.T, af, key string, change func([]float32)) string {
	t.Helper()
	m, err := graph.ReadFile(af)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	for g := range m.Graph.AllGraphs() {
		for _, v := range g.Initializers() {
			if !strings.HasPrefix(v.Name(), key) || v.Initializer().DType != graph.Float32 {
				continue
			}
			x, err := v.Initializer().Float32s()
			if err != nil {
				t.Fatal(err)
			}
			x = slices.Clone(x)
			change(x)
			g.SetInitializer(v, graph.Float32s(v.Initializer().Dims, x...))
			done = true
		}
	}
	if !done {
		t.Fatalf("no tensor %s", key)
	}
	b, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "planted.onnx")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// exchangeLogits exchanges, in navigation's weights or biases for four frames,
// the logits of selecting a frame and of leaving it out: the other frames are
// selected.
func exchangeLogits(x []float32) {
	row := len(x) / 8
	for i := 0; i+2*row <= len(x); i += 2 * row {
		for k := range row {
			x[i+k], x[i+row+k] = x[i+row+k], x[i+k]
		}
	}
}
