package op_test

import (
	"errors"
	"fmt"
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

// run evaluates a graph's outputs from known tensors, following an If into the
// branch that it takes. Tensors are dropped behind their last use; those alive
// take at most maxBytes. Nodes that are not evaluated are left out: it fails
// where an output depends on one.
func run(g *graph.Graph, known map[*graph.Value]*graph.Tensor, maxBytes int64) ([]*graph.Tensor, error) {
	r := &runner{known: known, failed: map[*graph.Value]error{}, reads: map[*graph.Value]int{}, made: map[*graph.Value]int64{}, left: maxBytes}
	return r.graph(g)
}

type runner struct {
	known  map[*graph.Value]*graph.Tensor
	failed map[*graph.Value]error
	reads  map[*graph.Value]int
	made   map[*graph.Value]int64 // bytes of what was computed
	left   int64
}

func (r *runner) read(v *graph.Value) (*graph.Tensor, error) {
	if v == nil {
		return nil, nil
	}
	t := r.known[v]
	if t == nil {
		t = v.Const()
	}
	if r.reads[v]++; r.reads[v] == v.NumUses() && v.Producer() != nil {
		r.left += r.made[v]
		delete(r.known, v)
	}
	if t == nil && r.failed[v] == nil {
		return nil, fmt.Errorf("value %q is not known", v)
	}
	return t, r.failed[v]
}

func (r *runner) graph(g *graph.Graph) (out []*graph.Tensor, err error) {
	for n := range g.Nodes() {
		out, err := r.node(n)
		for i, v := range n.Outputs() {
			switch {
			case v == nil:
			case err != nil:
				r.failed[v] = err
			default:
				r.known[v] = out[i]
				r.made[v], _ = out[i].NumBytes()
				r.left -= r.made[v]
			}
		}
	}
	for _, v := range g.Outputs() {
		t, err := r.read(v)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (r *runner) node(n *graph.Node) ([]*graph.Tensor, error) {
	in := make([]*graph.Tensor, len(n.Inputs()))
	var failed error
	for i, v := range n.Inputs() {
		var err error
		if in[i], err = r.read(v); err != nil {
			failed = err
		}
	}
	switch {
	case failed != nil:
		return nil, failed
	case r.left <= 0:
		return nil, op.ErrTooLarge
	case !n.Is("If"):
		return op.EvalWith(n, in, op.EvalOptions{MaxBytes: r.left})
	case len(in) != 1 || in[0] == nil:
		return nil, fmt.Errorf("%s: has no condition", n)
	}
	taken := "else_branch"
	if b, err := in[0].Int64s(); err != nil || len(b) != 1 {
		return nil, fmt.Errorf("%s: condition is %v", n, in[0].Dims)
	} else if b[0] != 0 {
		taken = "then_branch"
	}
	a := n.Attr(taken)
	if a == nil || a.Graph == nil || len(a.Graph.Outputs()) != len(n.Outputs()) {
		return nil, fmt.Errorf("%s: has no %s of its outputs", n, taken)
	}
	return r.graph(a.Graph)
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
			out, err := run(m.Graph, from, op.DefaultEvalBytes)
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
