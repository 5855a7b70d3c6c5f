package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/graph"
)

// What WriteTorch writes, the reader of PyTorch's own files reads back, bit by
// bit, scalars and empty tensors included.
func TestWriteTorchRoundTrip(t *testing.T) {
	sd := New()
	sd.Set("conv.weight", graph.Float32s([]int64{2, 3}, 1, 2, 3, 4, 5, 6))
	sd.Set("bn.num_batches_tracked", graph.Int64s([]int64{}, 7))
	sd.Set("empty", graph.Float32s([]int64{0}))
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if err := WriteTorch(w, sd); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("equal state dicts give other bytes")
	}
	path := filepath.Join(t.TempDir(), "w.pth.tar")
	if err := os.WriteFile(path, a.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != sd.Len() {
		t.Fatalf("%d tensors came back of %d: %v", got.Len(), sd.Len(), got.Names())
	}
	for name, want := range sd.All() {
		back := got.Tensor(name)
		if back == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		wantBytes, _ := want.Bytes()
		gotBytes, _ := back.Bytes()
		if !bytes.Equal(wantBytes, gotBytes) {
			t.Errorf("%s came back otherwise", name)
		}
	}
}
