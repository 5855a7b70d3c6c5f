package op_test

import (
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
)

// TestInferExports holds inference to whole exports: every node's shape is
// known, with the dynamic batch carried as a symbol through shape arithmetic.
func TestInferExports(t *testing.T) {
	for _, c := range []struct{ file, value, want string }{
		{"tsn_r50_op13", "logits", "float32[1,11]"},
		{"tsn_r50_bn_op11", "logits", "float32[1,11]"},
		{"tsm_r50_zeros_op13", "logits", "float32[1,11]"},
		{"tsm_r50_cat_op13_dyn", "/Reshape_output_0", "float32[8*batch,3,64,64]"},
		{"tsm_r50_cat_op13_dyn", "/net/layer4/layer4.2/conv1/Concat_3_output_0", "float32[batch,8,512,4]"},
		{"tsm_r50_cat_op13_dyn", "logits", "float32[batch,11]"},
	} {
		t.Run(c.file+c.value, func(t *testing.T) {
			m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", c.file+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if r := op.Infer(m); len(r.Failed)+len(r.Conflicts) > 0 {
				t.Fatal(r)
			}
			for n := range m.Graph.Nodes() {
				for _, v := range n.Outputs() {
					for _, d := range v.Type.Shape {
						if !d.Known() && d.Param == "" {
							t.Errorf("%s: %s", n, v.Type)
						}
					}
				}
			}
			if v := m.Graph.Value(c.value); v == nil || v.Type.String() != c.want {
				t.Errorf("%s is %s, want %s", c.value, v.Type, c.want)
			}
		})
	}
}

// TestSetInputShape infers an export at other sizes than it was made for.
func TestSetInputShape(t *testing.T) {
	m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", "tsm_r50_cat_op13_dyn.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	video := m.Graph.Inputs()[0].Name()
	if err := op.SetInputShape(m, video, graph.Shape{graph.D(2), graph.D(8), graph.D(3), graph.D(96), graph.D(96)}); err != nil {
		t.Fatal(err)
	}
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	if got := m.Graph.Outputs()[0].Type.String(); got != "float32[2,11]" {
		t.Errorf("logits are %s", got)
	}
	// The graph's Reshapes assume 8 frames; 7 do not divide.
	if err := op.SetInputShape(m, video, graph.ShapeOf(1, 7, 3, 64, 64)); err != nil {
		t.Fatal(err)
	}
	if r := op.Infer(m); r.OK() || !strings.Contains(r.String(), "cannot be reshaped") {
		t.Errorf("7 frames: %v", r)
	}
	for _, c := range []struct {
		input string
		shape graph.Shape
		want  string
	}{
		{"nowhere", nil, `no input "nowhere"`},
		{video, graph.ShapeOf(1, 24, 64, 64), "does not fit"},
	} {
		if err := op.SetInputShape(m, c.input, c.shape); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s%s: %v, want an error with %q", c.input, c.shape, err, c.want)
		}
	}
}

// TestInferSequences follows the pieces of a split through sequences.
func TestInferSequences(t *testing.T) {
	m := graph.NewModel("sequences", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(7)}))
	node := func(name string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
		return g.NewNode(name, name, in, 1, attrs...).Output(0)
	}
	konst := func(t *graph.Tensor) *graph.Value { return g.NewInitializer("k", t) }
	byList := node("SplitToSequence", []*graph.Value{x, konst(graph.Vec(3, 4))}, graph.Int("axis", 1))
	byRun := node("SplitToSequence", []*graph.Value{x, konst(graph.Int64s(nil, 3))}, graph.Int("axis", 1))
	byOne := node("SplitToSequence", []*graph.Value{x}, graph.Int("axis", 1), graph.Int("keepdims", 0))
	last := node("SequenceAt", []*graph.Value{byList, konst(graph.Int64s(nil, -1))})
	short := node("SequenceAt", []*graph.Value{byRun, konst(graph.Int64s(nil, 2))})
	for _, c := range []struct {
		v    *graph.Value
		want string
	}{
		{last, "float32[batch,4]"},
		{short, "float32[batch,1]"},
		{node("SequenceAt", []*graph.Value{byOne, konst(graph.Int64s(nil, 0))}), "float32[batch]"},
		{node("ConcatFromSequence", []*graph.Value{byRun}, graph.Int("axis", -1)), "float32[batch,7]"},
		{node("ConcatFromSequence", []*graph.Value{byOne}, graph.Int("axis", 1), graph.Int("new_axis", 1)), "float32[batch,7]"},
		{node("ConcatFromSequence", []*graph.Value{node("SequenceConstruct", []*graph.Value{last, short})}, graph.Int("axis", 1)), "float32[batch,5]"},
		{node("ConstantOfShape", []*graph.Value{node("Unsqueeze", []*graph.Value{node("SequenceLength", []*graph.Value{byOne}), konst(graph.Vec(0))})}), "float32[7]"},
	} {
		if r := op.Infer(m); !r.OK() {
			t.Fatal(r)
		}
		if got := c.v.Type.String(); got != c.want {
			t.Errorf("%s is %s, want %s", c.v, got, c.want)
		}
	}
}

func TestInferRandom(t *testing.T) {
	m := graph.NewModel("random", 8, 17)
	x := m.Graph.AddInput("x", graph.TensorType(graph.Float16, graph.Shape{graph.Sym("n"), graph.D(2)}))
	for _, c := range []struct {
		op    string
		in    []*graph.Value
		attrs []*graph.Attribute
		want  string
	}{
		{"RandomNormal", nil, []*graph.Attribute{graph.Ints("shape", 3, 4)}, "float32[3,4]"},
		{"RandomUniform", nil, []*graph.Attribute{graph.Ints("shape"), graph.Int("dtype", int64(graph.Float64))}, "float64[]"},
		{"RandomNormalLike", []*graph.Value{x}, nil, "float16[n,2]"},
		{"RandomUniformLike", []*graph.Value{x}, []*graph.Attribute{graph.Int("dtype", int64(graph.Float32))}, "float32[n,2]"},
	} {
		v := m.Graph.NewNode(c.op, "", c.in, 1, c.attrs...).Output(0)
		if r := op.Infer(m); !r.OK() {
			t.Fatal(r)
		}
		checkType(t, v, c.want)
	}
}

// TestInferSymbolsAgree infers exports with symbols for sizes, and again with
// numbers: every symbolic shape must come to the numbers.
func TestInferSymbolsAgree(t *testing.T) {
	for _, c := range []struct {
		file  string
		shape graph.Shape
		sizes map[string]int64
	}{
		{"tsn_r50_bn_op11", graph.Shape{graph.D(4), graph.D(3), graph.Sym("height"), graph.Sym("width")}, map[string]int64{"height": 97, "width": 80}},
		{"tsm_r50_cat_op13_dyn", graph.Shape{graph.Sym("n"), graph.D(8), graph.D(3), graph.D(70), graph.D(64)}, map[string]int64{"n": 3}},
		{"tsm_r50_cat_op13_dyn", graph.Shape{graph.Sym("n"), graph.D(8), graph.D(3), graph.Sym("h"), graph.D(64)}, map[string]int64{"n": 2, "h": 75}},
	} {
		t.Run(c.file+c.shape.String(), func(t *testing.T) {
			m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", c.file+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			video := m.Graph.Inputs()[0].Name()
			numbers := make(graph.Shape, len(c.shape))
			for i, d := range c.shape {
				if numbers[i] = d; !d.Known() {
					numbers[i] = graph.D(c.sizes[d.Param])
				}
			}
			fixed := m.Clone()
			for m, shape := range map[*graph.Model]graph.Shape{m: c.shape, fixed: numbers} {
				if err := op.SetInputShape(m, video, shape); err != nil {
					t.Fatal(err)
				}
				if r := op.Infer(m); !r.OK() {
					t.Fatalf("%s: %s", shape, r)
				}
			}
			for n := range m.Graph.Nodes() {
				for _, v := range n.Outputs() {
					want := fixed.Graph.Value(v.Name()).Type.Shape
					for i, d := range v.Type.Shape {
						size, known := d.Size, d.Known()
						if !known {
							size, known = op.DimValue(d, c.sizes)
						}
						if !known || len(want) != len(v.Type.Shape) || size != want[i].Size {
							t.Fatalf("%s: %s comes to %d, want %s", n, v.Type.Shape, size, want)
						}
					}
				}
			}
		})
	}
}
