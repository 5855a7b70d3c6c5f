package ort

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
)

// TestLargeModel: what is too large to give to the runtime whole runs with its
// weights left in their file, beside constants that are new since.
func TestLargeModel(t *testing.T) {
	needRuntime(t)
	defer func(old int64) { maxInMemory = old }(maxInMemory)
	m := graph.NewModel("large", 8, 17)
	x := m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(1000)))
	weights := make([]float32, 1000)
	for i := range weights {
		weights[i] = float32(i)
	}
	w := m.Graph.AddInitializer("w", graph.Float32s([]int64{1000}, weights...))
	y := m.Graph.AddNode("Mul", "", "mul", []*graph.Value{x, w}, []string{"y"}).Output(0)
	y.Type = x.Type
	m.Graph.AddOutput(y)
	path := filepath.Join(t.TempDir(), "model.onnx")
	var model, data bytes.Buffer
	if err := m.EncodeExternal(&model, &data, "model.data"); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{path: model.Bytes(), filepath.Join(filepath.Dir(path), "model.data"): data.Bytes()} {
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	bias := m.Graph.AddInitializer("b", graph.Float32s([]int64{1}, 0.5))
	sum := m.Graph.AddNode("Add", "", "add", []*graph.Value{m.Graph.Value("y"), bias}, []string{"z"}).Output(0)
	sum.Type = graph.TensorType(graph.Float32, graph.ShapeOf(1000))
	m.Graph.SetOutput(0, sum)

	ones := make([]float32, 1000)
	want := make([]float32, 1000)
	for i := range ones {
		ones[i], want[i] = 1, weights[i]+0.5
	}
	for _, maxInMemory = range []int64{graph.MaxFileSize, 100} {
		out, err := openSession(t, m, SessionOptions{}).Run(t.Context(), graph.Float32s([]int64{1000}, ones...))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, floats(t, out[0])); d != "" {
			t.Errorf("at most %d bytes in memory: %s", maxInMemory, d)
		}
	}
	data2, folder, err := m.EncodeReferring()
	if err != nil || folder != filepath.Dir(path) || len(data2) > 1000 {
		t.Errorf("refers to %q in %d bytes, %v", folder, len(data2), err)
	}
}
