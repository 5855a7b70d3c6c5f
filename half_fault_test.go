package afc_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/compiled/seal"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// altered writes a copy of a model of half precision in which change has gone
// over the elements of one weight, in the file's own bits; sealed anew, as a
// compiler's fault would be, or not, as damage.
func altered(t *testing.T, path, weight string, sealed bool, change func(bits uint16, i int) uint16) string {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := m.Graph.Value(weight)
	if v == nil || v.Initializer() == nil || v.Initializer().DType != graph.Float16 {
		t.Fatalf("%s has no half %s", path, weight)
	}
	raw, err := v.Initializer().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	raw = append([]byte(nil), raw...)
	for i := 0; i < len(raw)/2; i++ {
		binary.LittleEndian.PutUint16(raw[2*i:], change(binary.LittleEndian.Uint16(raw[2*i:]), i))
	}
	tensor, err := graph.NewTensor(graph.Float16, v.Initializer().Dims, raw)
	if err != nil {
		t.Fatal(err)
	}
	m.Graph.SetInitializer(v, tensor)
	if sealed {
		if err := seal.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	data, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "altered.onnx")
	if err := os.WriteFile(out, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return out
}

// failing are the checks that a file of half precision does not pass.
func failing(t *testing.T, source, af string) map[string]bool {
	t.Helper()
	r, err := afc.Verify(t.Context(), afc.VerifyOptions{Model: af, Source: source, Only: []string{"seal", "source", "reference", "masks"}, Clips: afc.Clips{Random: clips.Random{Count: 2}}})
	if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, c := range r.Checks {
		if c.Status == verify.Fail {
			failed[c.Name] = true
		}
	}
	return failed
}

// TestHalfFaults: what is wrong in a file of half precision is told in spite of
// its wider limits: damage, numbers that are none, and faults of a compiler.
func TestHalfFaults(t *testing.T) {
	const zero, weight, head = "afc.layer1.refine_module.0.zero", "layer1.refine_module.0.conv1.weight", "new_fc.weight"
	source := written(t, halfSources["TSN"])
	path := converted(t, afc.ConvertOptions{Model: source, Lowering: codegen.Gather, Form: afc.Form{Precision: "fp16"}})
	for _, tc := range []struct {
		name, weight string
		sealed       bool
		change       func(uint16, int) uint16
		want         string // one of the checks that fail
	}{
		{"one bit of one weight", weight, false, func(b uint16, i int) uint16 {
			if i == 5 {
				return b ^ 1
			}
			return b
		}, "seal"},
		{"a weight that is no number", weight, true, func(b uint16, i int) uint16 {
			if i == 5 {
				return 0x7e00
			}
			return b
		}, "masks"},
		{"a weight that is infinite", head, true, func(b uint16, i int) uint16 {
			if i == 5 {
				return 0x7c00
			}
			return b
		}, "source"},
		{"F(0) twice as large", zero, true, func(b uint16, _ int) uint16 {
			if b&0x7c00 == 0 {
				return b
			}
			return b + 0x400
		}, "reference"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failed := failing(t, source, altered(t, path, tc.weight, tc.sealed, tc.change))
			if !failed[tc.want] {
				t.Errorf("fails %v, want %s among them", failed, tc.want)
			}
		})
	}
}

// TestHalfTruncated: of a file of half precision that was cut off, or whose
// weights beside it were, no command makes anything: the error names the file.
func TestHalfTruncated(t *testing.T) {
	source := written(t, halfSources["TSN"])
	path := converted(t, afc.ConvertOptions{Model: source, Lowering: codegen.Gather, Form: afc.Form{Precision: "fp16"}})
	data := fileOf(t, path)
	cut := filepath.Join(t.TempDir(), "cut.onnx")
	refuses := func(name string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out.onnx")
		_, err := afc.Convert(t.Context(), afc.ConvertOptions{Model: cut, Output: out})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want an error that names %s", err, name)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a file was written")
		}
		if _, err := afc.Inspect(t.Context(), afc.InspectOptions{Model: cut}); err == nil {
			t.Error("inspect reads it")
		}
	}
	for i := range 40 {
		if err := os.WriteFile(cut, data[:len(data)*i/40+i], 0o666); err != nil {
			t.Fatal(err)
		}
		refuses("cut.onnx")
	}
	if _, err := afc.Convert(t.Context(), afc.ConvertOptions{Model: path, Output: cut, ExternalData: true}); err != nil {
		t.Fatal(err)
	}
	weights := cut + ".data"
	if err := os.Truncate(weights, int64(len(fileOf(t, weights))-1)); err != nil {
		t.Fatal(err)
	}
	refuses(".data")
}
