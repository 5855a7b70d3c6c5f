package ort

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// needRuntime skips a test where there is no ONNX Runtime.
func needRuntime(t testing.TB) {
	t.Helper()
	if _, err := Version(); err != nil {
		t.Skip(err)
	}
}

// affine returns a model y = relu(a·x + b), z = the shape of x, of any batch.
func affine(a, b float32) *graph.Model {
	m := graph.NewModel("affine", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("n"), graph.D(2)}))
	scale := g.AddInitializer("a", graph.Float32s(nil, a))
	shift := g.AddInitializer("b", graph.Float32s(nil, b))
	ax := g.NewNode("Mul", "scaled", []*graph.Value{x, scale}, 1).Output(0)
	axb := g.NewNode("Add", "shifted", []*graph.Value{ax, shift}, 1).Output(0)
	y := g.AddNode("Relu", "", "relu", []*graph.Value{axb}, []string{"y"}).Output(0)
	y.Type = x.Type
	z := g.AddNode("Shape", "", "shape", []*graph.Value{x}, []string{"z"}).Output(0)
	z.Type = graph.TensorType(graph.Int64, graph.ShapeOf(2))
	g.AddOutput(y)
	g.AddOutput(z)
	return m
}

func openSession(t testing.TB, m *graph.Model, opt SessionOptions) *Session {
	t.Helper()
	needRuntime(t)
	if opt.Threads == 0 {
		opt.Threads = 1
	}
	s, err := NewSession(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func floats(t testing.TB, x *graph.Tensor) []float32 {
	t.Helper()
	f, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSessionRunsAnyBatch(t *testing.T) {
	s := openSession(t, affine(2, -1), SessionOptions{})
	for _, n := range []int64{1, 3} {
		x := make([]float32, 2*n)
		want := make([]float32, 2*n)
		for i := range x {
			x[i] = float32(i) - 2
			want[i] = max(0, 2*x[i]-1)
		}
		out, err := s.Run(t.Context(), graph.Float32s([]int64{n, 2}, x...))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, floats(t, out[0])); d != "" {
			t.Errorf("batch %d: y (-want +got)\n%s", n, d)
		}
		dims, err := out[1].Int64s()
		if err != nil || !cmp.Equal(dims, []int64{n, 2}) {
			t.Errorf("batch %d: z = %v, %v", n, dims, err)
		}
	}
}

func TestSessionNames(t *testing.T) {
	s := openSession(t, affine(1, 0), SessionOptions{Outputs: []string{"z"}})
	x := graph.Float32s([]int64{1, 2}, 1, 2)
	out, err := s.RunNamed(t.Context(), map[string]*graph.Tensor{"x": x})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out["z"] == nil {
		t.Errorf("outputs %v, want z alone", out)
	}
	for want, in := range map[string]map[string]*graph.Tensor{
		`input "x" is not given`: {},
		`no input "w"`:           {"x": x, "w": x},
	} {
		if _, err := s.RunNamed(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	needRuntime(t)
	if _, err := NewSession(affine(1, 0), SessionOptions{Outputs: []string{"w"}}); err == nil || !strings.Contains(err.Error(), `no output "w"; it has y, z`) {
		t.Errorf("error %v does not name the outputs", err)
	}
}

func TestSessionRefusesInputs(t *testing.T) {
	s := openSession(t, affine(1, 0), SessionOptions{})
	for want, in := range map[string][]*graph.Tensor{
		"0 inputs given, the model takes 1 (x)":                  {},
		"the model takes float32[n,2], given int64[2 1]":         {graph.Int64s([]int64{2, 1}, 1, 2)},
		"the model takes float32[n,2], given shape [2]":          {graph.Float32s([]int64{2}, 1, 2)},
		"affine: bind input x: the model takes float32[n,2], gi": {graph.Float32s([]int64{2, 1}, 1, 2)},
	} {
		if _, err := s.Run(t.Context(), in...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestSessionWarnings(t *testing.T) {
	if s := openSession(t, affine(1, 0), SessionOptions{}); len(s.Warnings) != 0 {
		t.Errorf("a clean model loads with warnings %q", s.Warnings)
	}
	m := affine(1, 0)
	m.Graph.AddInitializer("unused", graph.Float32s(nil, 1))
	s := openSession(t, m, SessionOptions{})
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "unused") || !strings.HasPrefix(s.Warnings[0], "W: ") {
		t.Errorf("warnings %q, want one about the unused initializer", s.Warnings)
	}
}

func TestSessionLoadError(t *testing.T) {
	needRuntime(t)
	m := affine(1, 0)
	m.Graph.AddNode("NoSuchOperator", "", "odd", []*graph.Value{m.Graph.Value("x")}, []string{"o"})
	_, err := NewSession(m, SessionOptions{})
	var run *RunError
	if !errors.As(err, &run) || run.Model != "affine" || run.Call != "load" || !strings.Contains(run.Text, "NoSuchOperator") {
		t.Errorf("error %v, want a RunError of loading that names the operator", err)
	}
}

func TestSessionCancelled(t *testing.T) {
	s := openSession(t, affine(1, 0), SessionOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, graph.Float32s([]int64{1, 2}, 1, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestSessionClosed(t *testing.T) {
	s := openSession(t, affine(1, 0), SessionOptions{})
	x := graph.Float32s([]int64{1, 2}, 1, 2)
	var runs sync.WaitGroup
	for range 4 {
		runs.Go(func() { s.Run(context.Background(), x) })
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	runs.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := s.Run(t.Context(), x); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("running a closed session: %v", err)
	}
}

func TestOpenSession(t *testing.T) {
	needRuntime(t)
	data, err := graph.EncodeBytes(affine(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "affine.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSession(path, SessionOptions{Threads: 1, OptLevel: OptNone})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(t.Context(), graph.Float32s([]int64{1, 2}, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if got := floats(t, out[0]); !cmp.Equal(got, []float32{3, 6}) {
		t.Errorf("y = %v, want [3 6]", got)
	}
}

// TestSessionTypes passes every element type through Identity.
func TestSessionTypes(t *testing.T) {
	for dt, raw := range map[graph.DataType][]byte{
		graph.Float32: {0, 0, 128, 63}, graph.Float64: {0, 0, 0, 0, 0, 0, 240, 63}, graph.Float16: {0, 60},
		graph.Int64: {1, 2, 3, 4, 5, 6, 7, 8}, graph.Int32: {1, 2, 3, 4}, graph.Int16: {1, 2}, graph.Int8: {255},
		graph.Uint64: {1, 2, 3, 4, 5, 6, 7, 8}, graph.Uint32: {1, 2, 3, 4}, graph.Uint16: {1, 2}, graph.Uint8: {200}, graph.Bool: {1},
	} {
		t.Run(dt.String(), func(t *testing.T) {
			m := graph.NewModel("identity", 8, 17)
			x := m.Graph.AddInput("x", graph.TensorType(dt, graph.ShapeOf(1)))
			y := m.Graph.AddNode("Identity", "", "id", []*graph.Value{x}, []string{"y"}).Output(0)
			y.Type = x.Type
			m.Graph.AddOutput(y)
			in, err := graph.NewTensor(dt, []int64{1}, raw)
			if err != nil {
				t.Fatal(err)
			}
			out, err := openSession(t, m, SessionOptions{}).Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := out[0].Bytes()
			if err != nil || out[0].DType != dt || !cmp.Equal(got, raw) {
				t.Errorf("%s %v came back as %s %v, %v", dt, raw, out[0].DType, got, err)
			}
		})
	}
}

func TestRace(t *testing.T) {
	x := graph.Float32s([]int64{2, 2}, 1, 2, 3, 4)
	opt := SessionOptions{}.ForTiming()
	times, err := Race(t.Context(), []Contender{
		{"a", openSession(t, affine(1, 0), opt), []*graph.Tensor{x}},
		{"b", openSession(t, affine(2, 0), opt), []*graph.Tensor{x}},
	}, RaceOptions{Warmup: 1, Rounds: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "b"} {
		got := times[i]
		if got.Name != name || got.Clips != 2 || len(got.Runs) != 3 || got.First <= 0 || got.Median() <= 0 {
			t.Errorf("contender %s: %+v", name, got)
		}
	}
	if r, err := times[1].RatioTo(times[0]); err != nil || math.IsNaN(r.Median) || r.Median <= 0 {
		t.Errorf("ratio %+v, %v", r, err)
	}
}

// TestOpenHalf: outputs of 16 bits whose size the model leaves open come back
// whole, and from a binding too.
func TestOpenHalf(t *testing.T) {
	m := graph.NewModel("half", 8, 17)
	g := m.Graph
	typ := graph.TensorType(graph.Float16, graph.Shape{graph.Sym("n"), graph.D(2)})
	x := g.AddInput("x", typ)
	y := g.AddNode("Identity", "", "same", []*graph.Value{x}, []string{"y"}).Output(0)
	y.Type = typ
	g.AddOutput(y)
	s := openSession(t, m, SessionOptions{})
	in, err := op.Cast(graph.Float32s([]int64{3, 2}, 1, -2, 0.5, 65504, 1e-7, 3), graph.Float16)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.BindIO([]*graph.Tensor{in}, out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	again, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*graph.Tensor{out[0], again[0]} {
		if got.DType != graph.Float16 || !cmp.Equal(floats(t, got), floats(t, in)) {
			t.Errorf("%s%v %v, want what went in", got.DType, got.Dims, floats(t, got))
		}
	}
	if o := s.Outputs()[0]; o.Type.Elem != graph.Float16 {
		t.Errorf("output %s, want float16", o.Type)
	}
}
