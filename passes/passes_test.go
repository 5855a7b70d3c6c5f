package passes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// builder makes tiny graphs.
type builder struct {
	m *graph.Model
	g *graph.Graph
}

func newBuilder(opset int64) *builder {
	m := graph.NewModel("tiny", 8, opset)
	return &builder{m, m.Graph}
}

func (b *builder) input(name string, dims ...int64) *graph.Value {
	return b.g.AddInput(name, graph.TensorType(graph.Float32, graph.ShapeOf(dims...)))
}

// weight adds a float32 initializer 0.1, 0.2, ….
func (b *builder) weight(name string, dims ...int64) *graph.Value {
	return b.g.AddInitializer(name, ramp(dims...))
}

func ramp(dims ...int64) *graph.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i+1) / 10
	}
	return graph.Float32s(dims, v...)
}

func (b *builder) vec(name string, v ...int64) *graph.Value {
	return b.g.AddInitializer(name, graph.Vec(v...))
}

func (b *builder) scalar(name string, v int64) *graph.Value {
	return b.g.AddInitializer(name, graph.Int64s(nil, v))
}

// node adds a node whose one output bears its name.
func (b *builder) node(op, name string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	return b.g.AddNode(op, "", name, in, []string{name}, attrs...).Output(0)
}

func (b *builder) constant(name string, t *graph.Tensor) *graph.Value {
	return b.node("Constant", name, nil, graph.TensorAttr("value", t))
}

// output declares v a float32 output of that shape.
func (b *builder) output(v *graph.Value, dims ...int64) {
	v.Type = graph.TensorType(graph.Float32, graph.ShapeOf(dims...))
	b.g.AddOutput(v)
}

func (b *builder) norm(name string, x *graph.Value, channels int64, outs ...string) *graph.Value {
	in := []*graph.Value{x}
	for _, p := range []string{"gamma", "beta", "mean", "var"} {
		in = append(in, b.weight(name+"."+p, channels))
	}
	return b.g.AddNode("BatchNormalization", "", name, in, append([]string{name}, outs...)).Output(0)
}

func values(v ...*graph.Value) []*graph.Value { return v }

// passTest runs one pass on a tiny graph. The text before and after is
// compared with testdata/NAME.golden, and ONNX Runtime must give the same
// outputs for both.
type passTest struct {
	name  string
	pass  string
	opset int64
	opt   Options
	build func(b *builder)
	tol   verify.Tolerance
	// noRun names why the graph before cannot run ("" if it can).
	noRun string
}

func TestPasses(t *testing.T) {
	for _, tc := range passTests() {
		t.Run(tc.name, func(t *testing.T) {
			b := newBuilder(tc.opset)
			tc.build(b)
			if err := graph.Check(b.m); err != nil {
				t.Fatalf("the test's own graph: %v", err)
			}
			before := b.m.Clone()
			op.Infer(b.m)
			s := runPassFor(t, b.m, tc.pass, tc.opt)
			after := b.m
			if err := graph.Check(after); err != nil {
				t.Fatalf("after the pass: %v", err)
			}
			var text strings.Builder
			fmt.Fprintf(&text, "%s\n== %s, %d changes\n%s", graph.Text(before), tc.pass, s.changes, graph.Text(after))
			for _, n := range s.notes {
				fmt.Fprintf(&text, "== %v\n", n)
			}
			testutil.Golden(t, tc.name+".golden", text.String())
			if tc.noRun == "" {
				sameOutputs(t, before, after, tc.tol)
			}
		})
	}
}

// TestGoldensHaveTests fails on golden files that no test reads.
func TestGoldensHaveTests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	tests := passTests()
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".golden")
		if !slices.ContainsFunc(tests, func(tc passTest) bool { return tc.name == name }) {
			t.Errorf("%s belongs to no test", f)
		}
	}
}

// runPassFor runs a pass of a run with options.
func runPassFor(t *testing.T, m *graph.Model, name string, opt Options) *State {
	t.Helper()
	s := &State{Model: m, opt: &opt, pass: name}
	if err := find(name).Run(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// sameOutputs runs both models on the same random input.
func sameOutputs(t *testing.T, before, after *graph.Model, tol verify.Tolerance) {
	t.Helper()
	want := outputs(t, before)
	got := outputs(t, after)
	if len(got) != len(want) {
		t.Fatalf("%d outputs, before the pass %d", len(got), len(want))
	}
	for i, o := range before.Graph.Outputs() {
		d, err := verify.Compare(o.Name(), got[i], want[i], tol)
		if err != nil {
			t.Fatal(err)
		}
		if !d.OK() {
			t.Errorf("%s: %s %s; tolerance %s %v", o.Name(), d.Figure(), d.Where(), tol.Name, tol)
		}
	}
}

// outputs runs a model on seeded random input.
func outputs(t *testing.T, m *graph.Model) []*graph.Tensor {
	t.Helper()
	session, err := ort.NewSession(m, ort.SessionOptions{Threads: 1, OptLevel: ort.OptNone})
	if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var in []*graph.Tensor
	for _, io := range session.Inputs() {
		in = append(in, random(t, r, io.Type))
	}
	out, err := session.Run(context.Background(), in...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// random makes an input of a type; sizes not known are 2.
func random(t testing.TB, r *rand.Rand, typ graph.Type) *graph.Tensor {
	t.Helper()
	n := int64(1)
	dims := typ.Shape.Dims()
	for i, d := range dims {
		if d < 0 {
			dims[i] = 2
		}
		n *= dims[i]
	}
	switch typ.Elem {
	case graph.Float32:
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return graph.Float32s(dims, v...)
	case graph.Float16:
		raw := make([]byte, 2*n)
		for i := range n { // 1.0 to 1.5, either sign
			raw[2*i], raw[2*i+1] = byte(r.IntN(256)), byte(0x3c+r.IntN(2)|r.IntN(2)<<7)
		}
		x, err := graph.NewTensor(graph.Float16, dims, raw)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	t.Fatalf("no random %s", typ)
	return nil
}

func TestOrder(t *testing.T) {
	at := func(name string) int {
		i := slices.IndexFunc(Table, func(p Pass) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no pass %q", name)
		}
		return i
	}
	for _, o := range Orders {
		if at(o.Before) >= at(o.After) {
			t.Errorf("%s must run before %s: %s", o.Before, o.After, o.Reason)
		}
	}
}

// TestTable: every requirement is ensured, in each pipeline that runs the pass,
// by an earlier pass (a network that the caller has is given); loops stand
// together, names are unique.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	loops := map[string]int{}
	for i, p := range Table {
		if seen[p.Name] {
			t.Errorf("two passes are called %s", p.Name)
		}
		seen[p.Name] = true
		if last, ok := loops[p.Loop]; p.Loop != "" && ok && last != i-1 {
			t.Errorf("%s: loop %q has other passes in it", p.Name, p.Loop)
		}
		loops[p.Loop] = i
		for way, doing := range ways {
			for _, need := range p.Requires {
				given := way == fromNetwork && need.Name == recognized.Name
				if p.In&way != 0 && !given && !slices.ContainsFunc(Table[:i], func(q Pass) bool {
					return q.In&way != 0 && slices.ContainsFunc(q.Ensures, func(f Fact) bool { return f.Name == need.Name })
				}) {
					t.Errorf("to %s, %s requires that %s; no earlier pass ensures it", doing, p.Name, need.Name)
				}
			}
		}
	}
}

// TestPrintTable pins what afc passes prints.
func TestPrintTable(t *testing.T) {
	var b strings.Builder
	PrintTable(&b)
	testutil.Golden(t, "table.txt", b.String())
}

// TestRunOptions: stop, skip and dump do what they say.
func TestRunOptions(t *testing.T) {
	model := func() *graph.Model {
		b := newBuilder(13)
		x := b.input("x", 1, 2)
		b.output(b.node("Add", "y", values(b.node("Identity", "i", values(x)), b.constant("c", ramp(1, 2)))), 1, 2)
		return b.m
	}
	t.Run("stop", func(t *testing.T) {
		r, err := Run(ToOptimize, Input{Model: model()}, Options{StopAfter: "constants-to-initializers", Check: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Steps[len(r.Steps)-1].Pass; got != "constants-to-initializers" {
			t.Errorf("last pass run: %s", got)
		}
		if got := r.After(); got.Count("Identity") != 1 || got.Count("Constant") != 0 || r.Before.Count("Constant") != 1 {
			t.Errorf("operators before %v, after %v", r.Before.Operators, got.Operators)
		}
	})
	t.Run("skip", func(t *testing.T) {
		r, err := Run(ToOptimize, Input{Model: model()}, Options{Skip: []string{"eliminate-noops"}, Check: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.After().Count("Identity") != 1 {
			t.Errorf("operators after: %v", r.After().Operators)
		}
	})
	t.Run("skip required", func(t *testing.T) {
		_, err := Run(ToOptimize, Input{Model: model()}, Options{Skip: []string{"constants-to-initializers"}})
		var need *RequirementError
		if !errors.As(err, &need) || need.From != "constants-to-initializers" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := Run(ToOptimize, Input{Model: model()}, Options{StopAfter: "no-such"})
		var unknown *UnknownPassError
		if !errors.As(err, &unknown) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("dump", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dumps")
		r, err := Run(ToCanonical, Input{Model: model()}, Options{DumpDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != len(r.Steps)+1 || files[0].Name() != "00-source.txt" || files[1].Name() != "01-"+r.Steps[0].Pass+".txt" {
			t.Errorf("%d dumps of %d steps, first %s and %s", len(files), len(r.Steps), files[0].Name(), files[1].Name())
		}
	})
}

// TestStamp: nodes that a pass makes bear its name, others do not.
func TestStamp(t *testing.T) {
	b := newBuilder(11)
	b.output(b.node("Relu", "out", values(b.node("Softmax", "soft", values(b.input("x", 2, 3, 4))))), 2, 3, 4)
	if _, err := Run(ToCanonical, Input{Model: b.m}, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	for n := range b.m.Graph.Nodes() {
		var stamp string
		for _, p := range n.Metadata {
			if p.Key == names.PassKey {
				stamp = p.Value
			}
		}
		want := "upgrade-opset"
		if n.Is("Relu") {
			want = ""
		}
		if stamp != want {
			t.Errorf("%v is stamped %q, want %q", n, stamp, want)
		}
	}
}

// TestDimNames: unknown sizes of outputs keep the names that the source gave
// them.
func TestDimNames(t *testing.T) {
	b := newBuilder(13)
	x := b.g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(6)}))
	y := b.node("Reshape", "y", values(x, b.vec("shape", -1, 3)))
	y.Type = graph.TensorType(graph.Float32, graph.Shape{graph.Sym("rows"), graph.Sym("columns")})
	b.g.AddOutput(y)
	r, err := Run(ToCanonical, Input{Model: b.m}, Options{Check: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Model.Graph.Outputs()[0].Type.String(); got != "float32[rows,3]" {
		t.Errorf("output is %s, want float32[rows,3]", got)
	}
}

// TestConvert: the whole pipeline, in every lowering; nothing dead is left, and
// optimising what afc compiled leaves it alone.
func TestConvert(t *testing.T) {
	spec := testmodels.Spec{Blocks: []int{3, 2, 2, 2}, Width: 16, Frames: 4, Size: 64, Classes: 5, Shift: testmodels.ShiftConcat, BN: testmodels.BNKept}
	pattern, err := afblock.ParsePattern("uniform:0.5")
	if err != nil {
		t.Fatal(err)
	}
	for _, lowering := range codegen.Lowerings {
		t.Run(string(lowering), func(t *testing.T) {
			opt := Options{Check: true, Seed: 11, Convert: Convert{Rewrite: &afblock.RewriteOptions{Navigation: pattern}}}
			opt.Lower.Lowering = lowering
			if lowering == codegen.TopK {
				opt.Lower.Budget = []int{2}
			}
			r, err := Run(ToConvert, Input{Model: spec.Build()}, opt)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Notes) > 0 {
				t.Errorf("notes: %v", r.Notes)
			}
			for n := range nodes(r.Model) {
				if unused(n) {
					t.Errorf("%v is read by nobody", n)
				}
			}
			text := graph.Text(r.Model)
			again, err := Optimize(r.Model, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if graph.Text(again.Model) != text || len(again.Notes) != 1 {
				t.Errorf("optimising changed the AFNet; notes: %v", again.Notes)
			}
		})
	}
}

// TestShuffle: every order is topological, and the seed decides it.
func TestShuffle(t *testing.T) {
	build := func(seed uint64) *graph.Model {
		b := newBuilder(13)
		x := b.input("x", 1)
		var sum *graph.Value
		for i := range 6 {
			y := b.node("Relu", fmt.Sprintf("r%d", i), values(x))
			if sum == nil {
				sum = y
			} else {
				sum = b.node("Add", fmt.Sprintf("s%d", i), values(sum, y))
			}
		}
		b.output(sum, 1)
		shuffle(b.m, rand.New(rand.NewPCG(seed, 0)))
		return b.m
	}
	orders := map[string]bool{}
	for seed := range uint64(20) {
		m := build(seed)
		if err := graph.Check(m); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if graph.Text(m) != graph.Text(build(seed)) {
			t.Errorf("seed %d: two orders", seed)
		}
		orders[graph.Text(m)] = true
	}
	if len(orders) < 10 {
		t.Errorf("20 seeds gave %d orders", len(orders))
	}
}

// TestBombs: small files that ask for much are answered quickly and small.
func TestBombs(t *testing.T) {
	t.Run("doubling constants", func(t *testing.T) {
		b := newBuilder(13)
		c := b.weight("c", 1024)
		for i := range 40 {
			c = b.node("Concat", fmt.Sprintf("c%d", i), values(c, c), graph.Int("axis", 0))
		}
		b.output(b.node("ReduceMax", "y", values(c, b.input("x")), graph.Int("keepdims", 0)))
		b.g.Outputs()[0].Producer().TrimInputs(1)
		r, err := Run(ToCanonical, Input{Model: b.m}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if size := r.After().Bytes; size > 64<<20 {
			t.Errorf("%d bytes of constants made of %d", size, r.Before.Bytes)
		}
	})
	t.Run("doubling functions", func(t *testing.T) {
		b := newBuilder(13)
		b.m.Opsets = append(b.m.Opsets, graph.Opset{Domain: "local", Version: 1})
		for i := range 40 {
			name, callee, domain := fmt.Sprintf("f%d", i), fmt.Sprintf("f%d", i-1), "local"
			if i == 0 {
				callee, domain = "Relu", ""
			}
			f := &graph.Function{Name: name, Domain: "local", Opsets: b.m.Opsets, Body: graph.NewGraph(name)}
			x := f.Body.AddInput("x", graph.Type{})
			x = f.Body.AddNode(callee, domain, "", values(x), []string{"y"}).Output(0)
			f.Body.AddOutput(f.Body.AddNode(callee, domain, "", values(x), []string{"z"}).Output(0))
			b.m.Functions = append(b.m.Functions, f)
		}
		b.output(b.g.AddNode("f39", "local", "", values(b.input("x", 1)), []string{"y"}).Output(0), 1)
		var refused *graph.Error
		if _, err := Run(ToCanonical, Input{Model: b.m}, Options{}); !errors.As(err, &refused) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("one value read very often", func(t *testing.T) {
		b := newBuilder(13)
		same := b.node("Identity", "same", values(b.input("x", 1)))
		b.output(b.node("Concat", "y", slices.Repeat(values(same), 300_000), graph.Int("axis", 0)), 300_000)
		start := time.Now()
		if _, err := Run(ToCanonical, Input{Model: b.m}, Options{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
