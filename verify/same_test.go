package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

func TestSame(t *testing.T) {
	needRuntime(t)
	shapes := map[string][]int64{"": {3, 2}}
	opt := SameOptions{Shapes: shapes, Iterations: 2, Session: ort.SessionOptions{Threads: 1}, Bisect: true}
	r, err := Same(t.Context(), affine(2, 1), affine(2, 1), opt)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() || len(r.Checks) != 2 {
		t.Errorf("a model and itself: %+v", r.Checks)
	}

	r, err = Same(t.Context(), affine(2, 1), affine(2, 1.5), opt)
	if err != nil {
		t.Fatal(err)
	}
	if y := r.Checks[0]; y.Status != Fail || !strings.Contains(y.Where, "it would take atol 4.9") && !strings.Contains(y.Where, "it would take atol 5.0") {
		t.Errorf("y is off by 0.5: %+v", y)
	}
	if z := r.Checks[1]; z.Status != Pass {
		t.Errorf("z, the shape, is the same: %+v", z)
	}
	// scaled agrees, shifted is the first that does not.
	if b := r.Checks[2]; b.Name != "bisect" || !strings.HasPrefix(b.Where, "shifted, made by Add shifted") {
		t.Errorf("bisection: %+v", b)
	}

	opt.Tolerances = map[string]Tolerance{"y": {Abs: 0.6}}
	if r, err = Same(t.Context(), affine(2, 1), affine(2, 1.5), opt); err != nil || r.Failed() {
		t.Errorf("within its own tolerance y fails: %+v, %v", r, err)
	}
}

func TestSameNeedsShapes(t *testing.T) {
	needRuntime(t)
	m := affine(2, 1)
	x := m.Graph.Value("x")
	x.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("n"), graph.Sym("m")})
	m.Graph.Value("y").Type = x.Type
	if _, err := Same(t.Context(), m, m.Clone(), SameOptions{Session: ort.SessionOptions{Threads: 1}}); err == nil || !strings.Contains(err.Error(), "--input-shapes x:") {
		t.Errorf("error %v does not say which shape to give", err)
	}
}

func TestParseTolerances(t *testing.T) {
	got, err := ParseTolerances([]string{"y:1e-2", "1e-3"}, []string{"2e-3"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Tolerance{"": {Name: "same", Abs: 1e-3, Rel: 2e-3}, "y": {Name: "same", Abs: 1e-2, Rel: 2e-3}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tolerances (-want +got)\n%s", d)
	}
	for _, bad := range []string{"x", "y:", "-1", "y:NaN"} {
		if _, err := ParseTolerances([]string{bad}, nil, nil); err == nil {
			t.Errorf("tolerance %q is not refused", bad)
		}
	}
}

// TestPairs matches convolutions by their weights where names differ.
func TestPairs(t *testing.T) {
	model := func(names ...string) *graph.Model {
		m := graph.NewModel("convs", 8, 17)
		x := m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(1, 1, 4, 4)))
		for i, name := range names {
			w := m.Graph.NewInitializer("w", graph.Float32s([]int64{1, 1, 1, 1}, float32(i)))
			x = m.Graph.AddNode("Conv", "", name, []*graph.Value{x, w}, []string{name}).Output(0)
		}
		m.Graph.AddOutput(x)
		return m
	}
	got := pairs(model("a", "b", "c"), model("p", "b", "r"))
	want := []pair{{"a", "p"}, {"b", "b"}, {"c", "r"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(pair{})); d != "" {
		t.Errorf("pairs (-want +got)\n%s", d)
	}
}

// needRuntime skips a test where there is no ONNX Runtime.
func needRuntime(t testing.TB) {
	t.Helper()
	if _, err := ort.Version(); err != nil {
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
