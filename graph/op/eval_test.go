package op_test

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
)

// node makes a node of opset 17 over as many inputs.
func node(op string, inputs int, attrs ...*graph.Attribute) *graph.Node {
	m := graph.NewModel("eval", 8, 17)
	var in []*graph.Value
	for i := range inputs {
		in = append(in, m.Graph.AddInput(string(rune('a'+i)), graph.Type{}))
	}
	return m.Graph.NewNode(op, "n", in, 1, attrs...)
}

func zeros(dtype graph.DataType, dims ...int64) *graph.Tensor {
	t := &graph.Tensor{DType: dtype, Dims: dims}
	n, err := t.NumBytes()
	if err != nil {
		panic(err)
	}
	t, err = graph.NewTensor(dtype, dims, make([]byte, n))
	if err != nil {
		panic(err)
	}
	return t
}

// TestEvalBudget: outputs may take exactly MaxBytes, whatever working memory
// it takes to make them; a byte less is refused before anything is allocated.
func TestEvalBudget(t *testing.T) {
	const n = 1 << 20
	for _, c := range []struct {
		name  string
		node  *graph.Node
		in    []*graph.Tensor
		bytes int64
	}{
		{"widen", node("Cast", 1, graph.Int("to", int64(graph.Float32))), []*graph.Tensor{zeros(graph.Float16, n)}, 4 * n},
		{"broadcast", node("Add", 2), []*graph.Tensor{zeros(graph.Float32, n), zeros(graph.Float32)}, 4 * n},
		{"variadic", node("Max", 3), []*graph.Tensor{zeros(graph.Int32, n), zeros(graph.Int32), zeros(graph.Int32, n)}, 4 * n},
		{"Where", node("Where", 3), []*graph.Tensor{zeros(graph.Bool, n), zeros(graph.Int64), zeros(graph.Int64, n)}, 8 * n},
		{"fill", node("ConstantOfShape", 1), []*graph.Tensor{graph.Vec(n)}, 4 * n},
		{"Expand", node("Expand", 2), []*graph.Tensor{zeros(graph.Uint8), graph.Vec(n)}, n},
		{"Range", node("Range", 3), []*graph.Tensor{graph.Int64s(nil, 0), graph.Int64s(nil, n), graph.Int64s(nil, 1)}, 8 * n},
		{"Tile", node("Tile", 2), []*graph.Tensor{zeros(graph.Uint8, 1, 2), graph.Vec(n/2, 1)}, n},
		{"Pad", node("Pad", 2), []*graph.Tensor{zeros(graph.Uint8, 1), graph.Vec(0, n-1)}, n},
		{"Transpose", node("Transpose", 1), []*graph.Tensor{zeros(graph.Int16, 1024, 1024)}, 2 * n},
		{"CumSum", node("CumSum", 2), []*graph.Tensor{zeros(graph.Float32, n), graph.Int64s(nil, 0)}, 4 * n},
		{"Gather", node("Gather", 2), []*graph.Tensor{zeros(graph.Uint8, 1), zeros(graph.Int64, n)}, n},
		{"ScatterND", node("ScatterND", 3), []*graph.Tensor{zeros(graph.Float32, n), zeros(graph.Int64, 1, 1), zeros(graph.Float32, 1)}, 4 * n},
		{"OneHot", node("OneHot", 3), []*graph.Tensor{zeros(graph.Int64, 1024), graph.Int64s(nil, 1024), zeros(graph.Uint8, 2)}, n},
	} {
		out, err := op.EvalWith(c.node, c.in, op.EvalOptions{MaxBytes: c.bytes})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if b, err := out[0].NumBytes(); err != nil || b != c.bytes {
			t.Errorf("%s: made %d bytes, %v; want %d", c.name, b, err, c.bytes)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = op.EvalWith(c.node, c.in, op.EvalOptions{MaxBytes: c.bytes - 1})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, op.ErrTooLarge) {
			t.Errorf("%s: %d bytes of %d allowed: %v", c.name, c.bytes-1, c.bytes, err)
		}
		// Broadcasting and reading indices come before the output.
		if used := int64(after.TotalAlloc - before.TotalAlloc); used > 8*c.bytes+1<<16 {
			t.Errorf("%s: allocated %d bytes before it refused", c.name, used)
		}
	}
}

// TestEvalRefuses lists what evaluation must not answer, with the reason.
func TestEvalRefuses(t *testing.T) {
	floats, ints := zeros(graph.Float32, 2, 3), zeros(graph.Int64, 2, 3)
	for _, c := range []struct {
		name string
		node *graph.Node
		in   []*graph.Tensor
		want string
	}{
		{"unknown operator", node("Frobnicate", 1), []*graph.Tensor{floats}, "does not know this operator"},
		{"hostile size", node("ConstantOfShape", 1), []*graph.Tensor{graph.Vec(1<<31, 1<<31)}, "overflow"},
		{"large size", node("ConstantOfShape", 1), []*graph.Tensor{graph.Vec(1 << 34)}, "budget"},
		{"negative size", node("ConstantOfShape", 1), []*graph.Tensor{graph.Vec(-1)}, "negative"},
		{"missing input", node("Add", 2), []*graph.Tensor{floats, nil}, "input 1 is missing"},
		{"mixed types", node("Add", 2), []*graph.Tensor{floats, ints}, "expected one type"},
		{"shapes", node("Add", 2), []*graph.Tensor{floats, zeros(graph.Float32, 2)}, "do not broadcast"},
		{"integer division", node("Div", 2), []*graph.Tensor{ints, ints}, "by zero"},
		{"index", node("Gather", 2), []*graph.Tensor{floats, graph.Vec(2)}, "index 2 is outside"},
		{"axis", node("Concat", 2, graph.Int("axis", 2)), []*graph.Tensor{floats, floats}, "axis 2 is outside"},
		{"reshape", node("Reshape", 2), []*graph.Tensor{floats, graph.Vec(4, -1)}, "cannot be reshaped"},
		{"step", node("Slice", 5), []*graph.Tensor{floats, graph.Vec(0), graph.Vec(2), graph.Vec(0), graph.Vec(0)}, "step of 0"},
		{"attribute type", node("Flatten", 1, graph.Ints("axis", 1)), []*graph.Tensor{floats}, `"axis" is not of the expected type`},
		{"short data", node("Neg", 1), []*graph.Tensor{{DType: graph.Float32, Dims: []int64{4}}}, "needs 16 bytes, has 0"},
		{"strings", node("Identity", 1), []*graph.Tensor{{DType: graph.String, Dims: []int64{0}}}, "string"},
	} {
		_, err := op.Eval(c.node, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		} else if !strings.Contains(err.Error(), `"n"`) {
			t.Errorf("%s: %v does not name the node", c.name, err)
		}
	}
	bare := graph.NewGraph("no model")
	n := bare.NewNode("Softmax", "n", []*graph.Value{bare.AddInput("x", graph.Type{})}, 1)
	if _, err := op.Eval(n, []*graph.Tensor{floats}); err == nil || !strings.Contains(err.Error(), "opset") {
		t.Errorf("opset not known: %v", err)
	}
	if _, err := op.EvalWith(n, []*graph.Tensor{floats}, op.EvalOptions{Opset: 13}); err != nil {
		t.Errorf("opset given: %v", err)
	}
}

// TestEvalRegion cuts a region out of a graph: an index tensor run through it
// shows where elements go, and an If with constant condition is followed.
func TestEvalRegion(t *testing.T) {
	m := graph.NewModel("region", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(2, 3)))
	conv := g.NewNode("Conv", "conv", []*graph.Value{x, x}, 1).Output(0)
	turned := g.NewNode("Transpose", "t", []*graph.Value{conv}, 1).Output(0)
	branch := func(name string, k int64) *graph.Attribute {
		b := graph.NewGraph(name)
		i := b.NewInitializer("i", graph.Vec(k))
		b.AddOutput(b.NewNode("Gather", name, []*graph.Value{turned, i}, 1).Output(0))
		return graph.Subgraph(name, b)
	}
	yes := g.NewInitializer("yes", zeros(graph.Bool))
	row := g.NewNode("If", "if", []*graph.Value{yes}, 1, branch("then_branch", 0), branch("else_branch", 2)).Output(0)
	g.AddOutput(row)

	out, err := op.EvalRegion(map[*graph.Value]*graph.Tensor{conv: graph.Int64s([]int64{2, 3}, 0, 1, 2, 3, 4, 5)}, []*graph.Value{row, conv}, op.EvalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := out[0].Int64s(); err != nil || len(got) != 2 || got[0] != 2 || got[1] != 5 {
		t.Errorf("last column is %v, %v; want [2 5]", got, err)
	}
	if _, err := op.EvalRegion(nil, []*graph.Value{row}, op.EvalOptions{}); err == nil || !strings.Contains(err.Error(), `Conv "conv"`) {
		t.Errorf("region not cut: %v, want an error about conv", err)
	}
	if _, err := op.EvalRegion(map[*graph.Value]*graph.Tensor{conv: zeros(graph.Int64, 2, 3)}, []*graph.Value{row}, op.EvalOptions{MaxBytes: 40}); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("40 bytes: %v", err)
	}
	// 48 bytes for the transpose and 16 for the row, which are alive together.
	if _, err := op.EvalRegion(map[*graph.Value]*graph.Tensor{conv: zeros(graph.Int64, 2, 3)}, []*graph.Value{row}, op.EvalOptions{MaxBytes: 64}); err != nil {
		t.Errorf("64 bytes: %v", err)
	}
}

// exportTolerance bounds the difference of logits from PyTorch's float32 ones,
// relative to the largest logit.
const exportTolerance = 1e-4

// TestEvalExports evaluates whole exports, Conv and all, and compares with what
// PyTorch computed.
func TestEvalExports(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, name := range []string{"tsn_r50_op13", "tsn_r50_bn_op11", "tsm_r50_zeros_op13", "tsm_r50_cat_op13_dyn"} {
		t.Run(name, func(t *testing.T) {
			m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", name+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			recorded := testutil.NPZ(t, testutil.Shared(t, "fixtures", "sources", name+".npz"))
			from := map[*graph.Value]*graph.Tensor{m.Graph.Inputs()[0]: recorded["video"]}
			out, err := op.EvalRegion(from, m.Graph.Outputs(), op.EvalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, want := op.Float64s(out[0]), op.Float64s(recorded["logits"])
			if len(got) != len(want) {
				t.Fatalf("logits are %v, want %v", out[0].Dims, recorded["logits"].Dims)
			}
			worst, largest := 0.0, 0.0
			for i := range want {
				worst = max(worst, math.Abs(got[i]-want[i]))
				largest = max(largest, math.Abs(want[i]))
			}
			if !(worst <= exportTolerance*largest) {
				t.Errorf("logits differ by %.3g of the largest, allowed %.3g", worst/largest, exportTolerance)
			}
			t.Logf("logits differ by %.3g of the largest", worst/largest)
		})
	}
}
