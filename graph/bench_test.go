package graph_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// resnetSized writes a model with weights of the number and sizes that a
// ResNet-50's have, 98 MB, and returns its path and size.
func resnetSized(tb testing.TB) (string, int64) {
	tb.Helper()
	m := graph.NewModel("resnet50", 8, 13)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(1, 64, 56, 56)))
	for i := range 53 {
		// 53 convolutions share 23.5 million weights: their sizes do not matter
		// here, their number and sum do.
		w := graph.Float32s([]int64{64, 64, 12, 9}, make([]float32, 64*64*12*9)...)
		x = g.NewNode("Conv", fmt.Sprint("conv", i), []*graph.Value{x, g.NewInitializer(fmt.Sprint("w", i), w)}, 1, graph.Ints("pads", 6, 4, 5, 4)).Output(0)
		x = g.NewNode("Relu", fmt.Sprint("relu", i), []*graph.Value{x}, 1).Output(0)
	}
	g.AddOutput(x)
	x.Type = graph.TensorType(graph.Float32, nil)
	path := filepath.Join(tb.TempDir(), "resnet50.onnx")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Encode(f); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return path, st.Size()
}

// rewrite reads a model and writes it to w.
func rewrite(path string, w io.Writer) error {
	m, err := graph.ReadFile(path)
	if err != nil {
		return err
	}
	if err := graph.Check(m); err != nil {
		return err
	}
	if err := m.Encode(w); err != nil {
		return err
	}
	return m.Close()
}

// TestWeightsAreNotCopied: a model goes through memory as the mapping of its
// file, and next to nothing besides.
func TestWeightsAreNotCopied(t *testing.T) {
	path, size := resnetSized(t)
	var err error
	got := bounds.Allocated(func() { err = rewrite(path, io.Discard) })
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(2 << 20); got > limit {
		t.Errorf("reading and writing %d bytes allocates %d, limit %d", size, got, limit)
	}
}

// BenchmarkRewrite reads and writes a model of a ResNet-50's size;
// BenchmarkCopy, for comparison, copies the file.
func BenchmarkRewrite(b *testing.B) {
	path, size := resnetSized(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		toFile(b, func(w io.Writer) error { return rewrite(path, w) })
	}
}

func BenchmarkCopy(b *testing.B) {
	path, size := resnetSized(b)
	b.SetBytes(size)
	for b.Loop() {
		toFile(b, func(w io.Writer) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	path, _ := resnetSized(b)
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := graph.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	path, size := resnetSized(b)
	m, err := graph.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Encode(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// toFile has f write to a new file.
func toFile(b *testing.B, f func(io.Writer) error) {
	path := filepath.Join(b.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := f(out); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
}
