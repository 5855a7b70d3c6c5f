package numpy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
)

// TestWrite: what is written is read as it was, and NumPy reads it too, if it is
// here.
func TestWrite(t *testing.T) {
	arrays := []Array{
		{"inputs/0/video", graph.Float32s([]int64{2, 1, 3}, 1, -2, 3, 4, 5, 6.5)}, {"labels", graph.Int64s([]int64{2}, 7, 8)},
		{"scalar", graph.Float32s(nil, 3)}, {"none", graph.Float32s([]int64{0, 4})},
	}
	var b, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&b, &again} {
		if err := WriteArchive(w, arrays); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("the same arrays are written in other bytes")
	}
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil || len(got) != len(arrays) {
		t.Fatalf("%d arrays, %v", len(got), err)
	}
	for i, want := range arrays {
		a, err := got[i].Tensor.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		w, err := want.Tensor.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if got[i].Name != want.Name || got[i].Tensor.DType != want.Tensor.DType || !bytes.Equal(a, w) || len(a) > 0 && !cmp.Equal(got[i].Tensor.Dims, want.Tensor.Dims) && len(want.Tensor.Dims) > 0 {
			t.Errorf("%s %v came back as %s %v", want.Name, want.Tensor.Dims, got[i].Name, got[i].Tensor.Dims)
		}
	}
	if err := Write(&b, &graph.Tensor{DType: graph.BFloat16}); err == nil {
		t.Error("NumPy has no bfloat16")
	}
	const script = `import sys, numpy as np
z = np.load(sys.argv[1])
print({k: (str(z[k].dtype), z[k].shape, z[k].ravel().tolist()) for k in z.files})`
	out, err := exec.Command("python3", "-c", script, path).Output()
	if err != nil {
		t.Skip("no Python with NumPy here")
	}
	want := "{'inputs/0/video': ('float32', (2, 1, 3), [1.0, -2.0, 3.0, 4.0, 5.0, 6.5]), 'labels': ('int64', (2,), [7, 8]), 'scalar': ('float32', (), [3.0]), 'none': ('float32', (0, 4), [])}\n"
	if string(out) != want {
		t.Errorf("NumPy reads %s, want %s", out, want)
	}
}
