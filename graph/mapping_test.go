//go:build unix

package graph_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestCutShort: a mapped file that loses its bytes while they are used is an
// error that names it, whoever finds out: Go code that reads them, or the
// system that is asked to write them.
func TestCutShort(t *testing.T) {
	const elements = 1 << 19 // 2 MB, enough to be mapped
	inline := func(t *testing.T, folder string) (path, weights string) {
		m := graph.NewModel("m", 8, 17)
		w := m.Graph.NewInitializer("w", graph.Float32s([]int64{elements}, make([]float32, elements)...))
		m.Graph.AddOutput(w)
		path = filepath.Join(folder, "model.onnx")
		raw, err := graph.EncodeBytes(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, path
	}
	external := func(t *testing.T, folder string) (path, weights string) {
		weights = filepath.Join(folder, "w.data")
		if err := os.WriteFile(weights, make([]byte, 4*elements), 0o600); err != nil {
			t.Fatal(err)
		}
		return writeModel(t, folder, externalTensor("w", elements, "location", "w.data")), weights
	}
	for name, write := range map[string]func(*testing.T, string) (string, string){"in the model": inline, "external": external} {
		for use, f := range map[string]func(*graph.Model) error{
			"read": func(m *graph.Model) error {
				x, err := m.Graph.Initializers()[0].Initializer().Float32s()
				return errors.Join(err, os.WriteFile(os.DevNull, fmt.Append(nil, slices.Max(x)), 0))
			},
			"copied":  func(m *graph.Model) error { _, err := graph.EncodeBytes(m); return err },
			"written": func(m *graph.Model) error { return toTemp(t, m.Encode) },
			"written outside": func(m *graph.Model) error {
				return toTemp(t, func(w io.Writer) error { return m.EncodeExternal(io.Discard, w, "x.data") })
			},
		} {
			t.Run(name+", "+use, func(t *testing.T) {
				path, weights := write(t, t.TempDir())
				m, err := graph.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if _, err := m.Graph.Initializers()[0].Initializer().Bytes(); err != nil { // maps it
					t.Fatal(err)
				}
				if err := os.Truncate(weights, 100); err != nil {
					t.Fatal(err)
				}
				err = graph.Guard(func() error { return f(m) })
				var ge *graph.Error
				if !errors.As(err, &ge) || ge.File != weights || !strings.Contains(ge.Reason, "cut short") {
					t.Errorf("got %v, want an error that says that %s was cut short", err, weights)
				}
			})
		}
	}
}

// toTemp has write fill a file, whose bytes the system takes from memory itself.
func toTemp(t *testing.T, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return write(f)
}

// TestGuardLetsPanicsThrough: a bug is no fault of the file.
func TestGuardLetsPanicsThrough(t *testing.T) {
	for _, bug := range []func(){
		func() { panic("a bug") },
		func() { _ = *(*int)(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = graph.Guard(func() error { bug(); return nil })
		}()
	}
}
