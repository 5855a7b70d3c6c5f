package afc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/half"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// written writes a model of testmodels and returns its path.
func written(t *testing.T, spec testmodels.Spec) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.onnx")
	data, err := graph.EncodeBytes(spec.Build())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// converted converts and returns the path.
func converted(t *testing.T, opt afc.ConvertOptions) string {
	t.Helper()
	opt.Output = filepath.Join(t.TempDir(), "af.onnx")
	if _, err := afc.Convert(context.Background(), opt); err != nil {
		t.Fatal(err)
	}
	return opt.Output
}

func fileOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// proved verifies an AFNet against its source and fails on a row that fails.
func proved(t *testing.T, source, af string, skip ...string) *verify.Report {
	t.Helper()
	r, err := afc.Verify(context.Background(), afc.VerifyOptions{
		Model: af, Source: source, Skip: append(skip, "latency"), Clips: afc.Clips{Random: clips.Random{Count: 2}},
	})
	if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.Status == verify.Fail {
			t.Errorf("%s: %s, limit %s: %s", c.Name, c.Figure, c.Limit, c.Where)
		}
	}
	return r
}

// halfSources are a TSN and a TSM with an open batch whose stages take each way
// of branch.
var halfSources = map[string]testmodels.Spec{
	"TSN": {Blocks: []int{2, 2, 2}, Width: 8, Frames: 4, Size: 64, Classes: 5, Dynamic: true, BN: testmodels.BNKept},
	"TSM": {Blocks: []int{2, 2, 2}, Width: 16, Frames: 4, Size: 96, Classes: 5, Shift: testmodels.ShiftPad, BN: testmodels.BNKept},
}

// TestHalf: an AFNet of half precision is proved against its source in every
// lowering, is an AFNet again for all who read it, and converts to the same file.
func TestHalf(t *testing.T) {
	for family, spec := range halfSources {
		source := written(t, spec)
		for _, lowering := range codegen.Lowerings {
			for _, io := range []string{"", "fp16"} {
				if io != "" && lowering != codegen.Gather || testing.Short() && lowering != codegen.Gather {
					continue
				}
				t.Run(fmt.Sprintf("%s %s io %s", family, lowering, io), func(t *testing.T) {
					opt := afc.ConvertOptions{Model: source, Lowering: lowering, Outputs: []string{"masks"}, Form: afc.Form{Precision: "fp16", IOPrecision: io}}
					if lowering == codegen.TopK {
						opt.Budget = []int{3}
					}
					path := converted(t, opt)
					holdsHalf(t, path, io)
					again := converted(t, afc.ConvertOptions{Model: path, Lowering: lowering, Budget: opt.Budget})
					holdsHalf(t, again, io)
					third := converted(t, afc.ConvertOptions{Model: again, Lowering: lowering, Budget: opt.Budget})
					if a, b := fileOf(t, again), fileOf(t, third); !bytes.Equal(a, b) {
						t.Errorf("converted again it is another file: %d bytes, then %d", len(a), len(b))
					}
					for _, c := range proved(t, source, path).Checks {
						if c.Name == "reference" || c.Name == "compiler" || c.Name == "masks" {
							t.Logf("%s: %s, limit %s", c.Name, c.Figure, c.Limit)
						}
					}
				})
			}
		}
	}
}

// holdsHalf looks at what a file holds: weights of half precision but for
// navigation's, and ports as asked for.
func holdsHalf(t *testing.T, path, io string) {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for g := range m.Graph.AllGraphs() {
		for _, v := range g.Initializers() {
			want := graph.Float16
			if strings.Contains(v.Name(), "list_gen") {
				want = graph.Float32
			}
			if d := v.Initializer().DType; strings.HasSuffix(v.Name(), ".weight") && d != want {
				t.Errorf("%s is %s, want %s", v.Name(), d, want)
			}
		}
	}
	want := graph.Float32
	if io == "fp16" {
		want = graph.Float16
	}
	for _, v := range append(m.DataInputs(), m.Graph.Outputs()...) {
		if v.Type.Elem != want {
			t.Errorf("%s is %s, want %s", v.Name(), v.Type.Elem, want)
		}
	}
	d, err := afc.Inspect(context.Background(), afc.InspectOptions{Model: path})
	if err != nil {
		t.Fatal(err)
	}
	if d.AF == nil || d.AF.Precision != compiled.FP16 {
		t.Errorf("inspect says %+v", d.AF)
	}
	if _, err := afc.Estimate(context.Background(), afc.EstimateOptions{Model: path}); err != nil {
		t.Error(err)
	}
	if _, err := afc.Export(context.Background(), afc.ExportOptions{Model: path}); err != nil {
		t.Error(err)
	}
}

// TestHalfBack: a file of half precision becomes one of float32 whose weights
// are the rounded ones.
func TestHalfBack(t *testing.T) {
	source := written(t, halfSources["TSN"])
	narrow := converted(t, afc.ConvertOptions{Model: source, Lowering: codegen.Mask, Form: afc.Form{Precision: "fp16"}})
	wide := converted(t, afc.ConvertOptions{Model: narrow, Lowering: codegen.Mask, Form: afc.Form{Precision: "fp32"}})
	m, err := graph.ReadFile(wide)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range m.Graph.Initializers() {
		if half.Is(v.Initializer().DType) {
			t.Errorf("%s is %s", v.Name(), v.Initializer().DType)
		}
	}
	net, file, err := compiled.ReadModel(m)
	if err != nil || file.Precision != compiled.FP32 {
		t.Fatalf("%v, %+v", err, file)
	}
	for key, at := range net.Tensors() {
		if strings.Contains(key, "list_gen") || (*at).DType != graph.Float32 {
			continue
		}
		v, _ := (*at).Float32s()
		for _, x := range v {
			if graph.HalfToFloat(graph.FloatToHalf(x)) != x {
				t.Fatalf("%s holds %g, which half precision does not", key, x)
			}
		}
	}
}

// TestHalfOptimized: optimize writes plain models of half precision too.
func TestHalfOptimized(t *testing.T) {
	for family, spec := range halfSources {
		t.Run(family, func(t *testing.T) {
			source := written(t, spec)
			out := filepath.Join(t.TempDir(), "fast.onnx")
			if _, err := afc.Optimize(context.Background(), afc.OptimizeOptions{Model: source, Output: out, Form: afc.Form{Precision: "fp16"}}); err != nil {
				t.Fatal(err)
			}
			m, err := graph.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			r, err := afc.Same(context.Background(), afc.SameOptions{A: source, B: out, Tolerances: map[string]verify.Tolerance{"": {Scale: half.Drift(m.Graph)}}})
			if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
				t.Skip(err)
			}
			if err != nil || r.Failed() {
				t.Errorf("%v, %+v", err, r)
			} else {
				t.Logf("%s of %s", r.Checks[0].Figure, r.Checks[0].Limit)
			}
			if small := float64(len(fileOf(t, out))) / float64(len(fileOf(t, source))); small > 0.6 {
				t.Errorf("the file is %.2f of the source's", small)
			}
		})
	}
}

// TestHalfTellsLoss: weights that half precision does not hold are told, and
// computed in float32.
func TestHalfTellsLoss(t *testing.T) {
	m := testmodels.Spec{Blocks: []int{2, 1}, Width: 8, Frames: 2, Size: 32, Classes: 3, BN: testmodels.BNKept}.Build()
	huge, tiny := 0, 0
	for _, v := range m.Graph.Initializers() {
		x, err := v.Initializer().Float32s()
		switch {
		case err != nil || len(v.Uses()) == 0:
		case v.Uses()[0].Node.Is("Conv") && len(v.Initializer().Dims) == 4 && huge == 0:
			x = append([]float32{1e5}, x[1:]...)
			huge++
			m.Graph.SetInitializer(v, graph.Float32s(v.Initializer().Dims, x...))
		case v.Uses()[0].Node.Is("BatchNormalization") && v.Uses()[0].Index == 4 && tiny == 0:
			x = append([]float32{3e-8}, x[1:]...)
			tiny++
			m.Graph.SetInitializer(v, graph.Float32s(v.Initializer().Dims, x...))
		}
	}
	path := filepath.Join(t.TempDir(), "source.onnx")
	data, err := graph.EncodeBytes(m)
	if err == nil {
		err = os.WriteFile(path, data, 0o666)
	}
	if err != nil || huge+tiny != 2 {
		t.Fatal(err, huge, tiny)
	}
	out := filepath.Join(t.TempDir(), "af.onnx")
	r, err := afc.Convert(context.Background(), afc.ConvertOptions{Model: path, Output: out, Form: afc.Form{Precision: "fp16"}})
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"1 of ", "lie beyond 65504", "variances too small", "computes in float32"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes do not say %q:\n%s", want, notes)
		}
	}
}

// TestOpset: every opset that can be asked for gives an AFNet that ONNX Runtime
// runs alike, on the way up and down, in half precision too.
func TestOpset(t *testing.T) {
	for _, from := range []int64{13, 18} {
		spec := halfSources["TSM"]
		spec.Opset = from
		source := written(t, spec)
		for opset := 13; opset <= 24; opset++ {
			if testing.Short() && opset != 13 && opset != 24 {
				continue
			}
			form := afc.Form{Opset: opset}
			if opset%3 == 0 {
				form.Precision = "fp16"
			}
			t.Run(fmt.Sprintf("from %d to %d %s", from, opset, form.Precision), func(t *testing.T) {
				path := converted(t, afc.ConvertOptions{Model: source, Lowering: codegen.Lowerings[1+opset%2], Form: form})
				m, err := graph.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got := m.Opset(""); got != int64(opset) {
					t.Errorf("it is written in opset %d", got)
				}
				proved(t, source, path, "compiler")
			})
		}
	}
}
