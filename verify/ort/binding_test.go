package ort

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
)

// boundRun binds y = relu(2x − 1) to an input and a buffer of NaNs, lets tamper
// change the input, and runs.
func boundRun(t *testing.T, provider Provider, tamper func(x []byte)) []float32 {
	t.Helper()
	s := openSession(t, affine(2, -1), SessionOptions{Provider: provider, Outputs: []string{"y"}})
	x := graph.Float32s([]int64{2, 2}, 1, -3, 5, 0.75)
	first, err := s.Run(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	y := graph.Float32s(first[0].Dims, 9, 9, 9, 9)
	b, err := s.BindIO([]*graph.Tensor{x}, []*graph.Tensor{y})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	tamper(raw)
	out, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out[0] != y {
		t.Error("the outputs are not those that were given")
	}
	return floats(t, y)
}

func zero(x []byte) { clear(x) }

func TestBindIO(t *testing.T) {
	want := []float32{1, 0, 9, 0.5}
	if d := cmp.Diff(want, boundRun(t, Provider{}, func([]byte) {})); d != "" {
		t.Errorf("y (-want +got)\n%s", d)
	}
	s := openSession(t, affine(2, -1), SessionOptions{Outputs: []string{"y"}})
	x := []*graph.Tensor{graph.Float32s([]int64{2, 2}, 1, 2, 3, 4)}
	if _, err := s.BindIO(x, nil); err == nil || !strings.Contains(err.Error(), "0 outputs given, the session computes 1 (y)") {
		t.Errorf("no outputs: %v", err)
	}
	b, err := s.BindIO(x, []*graph.Tensor{graph.Float32s([]int64{1, 2}, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if _, err := b.Run(t.Context()); err == nil {
		t.Error("an output of another shape is taken")
	}
}

// TestWebGPUBindIO: the input is on the device once it is bound, so that a run
// does not see what becomes of it in main memory, and the answer is back in
// main memory when the run ends.
func TestWebGPUBindIO(t *testing.T) {
	provider := Provider{Name: "webgpu"}
	if err := ProbeProvider(provider); err != nil {
		t.Skip(err)
	}
	if d := cmp.Diff([]float32{1, 0, 9, 0.5}, boundRun(t, provider, zero)); d != "" {
		t.Errorf("y (-want +got)\n%s", d)
	}
	// What the test rests on: where there is nothing to move, the change is seen.
	if d := cmp.Diff([]float32{0, 0, 0, 0}, boundRun(t, Provider{}, zero)); d != "" {
		t.Errorf("on the CPU (-want +got)\n%s", d)
	}
}
