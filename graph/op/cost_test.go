package op_test

import (
	"math"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

// TestGraphCostExports compares with onnx-tool 1.0.1, which counts a bias as
// one more multiply–accumulate: 226816 for each frame in the convolutions and
// 11 in the last Gemm.
func TestGraphCostExports(t *testing.T) {
	for _, c := range []struct {
		file                    string
		convs, convBias         int64 // onnx-tool's Conv, and what of it are biases
		gemm, gemmBias, weights int64
	}{
		{"tsn_r50_op13", 91543552, 907264, 22572, 44, 1479979},
		{"tsn_r50_bn_op11", 90636288, 0, 22572, 44, 1499899},
		{"tsm_r50_zeros_op13", 183087104, 1814528, 45144, 88, 1479979},
		{"tsm_r50_cat_op13_dyn", 366174208, 3629056, 90288, 176, 1479979}, // batch 2
	} {
		t.Run(c.file, func(t *testing.T) {
			m, err := graph.ReadFile(testutil.Shared(t, "fixtures", "sources", c.file+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			op.Infer(m)
			got, err := op.GraphCost(m.Graph, op.CostOptions{Sizes: map[string]int64{"batch": 2}})
			if err != nil {
				t.Fatal(err)
			}
			if want := c.convs - c.convBias + c.gemm - c.gemmBias; got.MACs != want {
				t.Errorf("%d MACs, want %d", got.MACs, want)
			}
			if got.Params != c.weights {
				t.Errorf("%d parameters, want %d", got.Params, c.weights)
			}
			if strings.HasSuffix(c.file, "_dyn") {
				if _, err := op.GraphCost(m.Graph, op.CostOptions{}); err == nil || !strings.Contains(err.Error(), `size "batch" is not known`) {
					t.Errorf("batch not given: %v", err)
				}
			}
		})
	}
}

// TestPublishedMACs: the ResNets of torchvision, 224 × 224, multiply–accumulates
// of an image as its documentation lists them (weights' "_ops", in 10⁹).
func TestPublishedMACs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds full-size networks")
	}
	for _, c := range []struct {
		depth int
		giga  float64
	}{{18, 1.814}, {50, 4.089}, {101, 7.801}, {152, 11.514}} {
		const frames = 2
		m := testmodels.Spec{Depth: c.depth, Frames: frames, Classes: 1000}.Build()
		if r := op.Infer(m); !r.OK() {
			t.Fatal(r)
		}
		got, err := op.GraphCost(m.Graph, op.CostOptions{})
		if err != nil {
			t.Fatal(err)
		}
		const tolerance = 0.0005 // what the last published digit leaves open, in 10⁹
		if giga := float64(got.MACs) / frames / 1e9; math.Abs(giga-c.giga) > tolerance {
			t.Errorf("ResNet-%d: %.4f·10⁹ MACs an image, want %.3f", c.depth, giga, c.giga)
		}
	}
}

// costModel is a graph with inputs of the given shapes and one node.
func costModel(op string, shapes []graph.Shape, attrs ...*graph.Attribute) (*graph.Model, *graph.Node) {
	m := graph.NewModel("cost", 8, 17)
	var in []*graph.Value
	for i, s := range shapes {
		in = append(in, m.Graph.AddInput(string(rune('a'+i)), graph.TensorType(graph.Float32, s)))
	}
	n := m.Graph.NewNode(op, "n", in, 1, attrs...)
	m.Graph.AddOutput(n.Output(0))
	return m, n
}

func shapes(dims ...[]int64) (s []graph.Shape) {
	for _, d := range dims {
		s = append(s, graph.ShapeOf(d...))
	}
	return s
}

func TestNodeCost(t *testing.T) {
	for _, c := range []struct {
		name, op string
		shapes   []graph.Shape
		attrs    []*graph.Attribute
		want     op.Cost
	}{
		{"conv", "Conv", shapes([]int64{2, 8, 10, 10}, []int64{6, 8, 3, 3}, []int64{6}), nil,
			op.Cost{MACs: 2 * 6 * 64 * 8 * 9, Elementwise: 2 * 6 * 64, ActivationBytes: 4 * 2 * 6 * 64}},
		{"grouped conv, stride 2, padded", "Conv", shapes([]int64{1, 8, 9, 9}, []int64{4, 2, 3, 3}),
			[]*graph.Attribute{graph.Int("group", 4), graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 1)},
			op.Cost{MACs: 4 * 25 * 2 * 9, ActivationBytes: 4 * 100}},
		{"transposed conv", "ConvTranspose", shapes([]int64{1, 3, 5}, []int64{3, 2, 4}), []*graph.Attribute{graph.Ints("strides", 2)},
			op.Cost{MACs: 3 * 5 * 2 * 4, ActivationBytes: 4 * 2 * 12}},
		{"Gemm", "Gemm", shapes([]int64{7, 5}, []int64{3, 7}, []int64{3}), []*graph.Attribute{graph.Int("transA", 1), graph.Int("transB", 1)},
			op.Cost{MACs: 5 * 3 * 7, Elementwise: 15, ActivationBytes: 60}},
		{"MatMul of stacks", "MatMul", shapes([]int64{2, 1, 4, 6}, []int64{3, 6, 5}), nil,
			op.Cost{MACs: 2 * 3 * 4 * 5 * 6, ActivationBytes: 4 * 2 * 3 * 4 * 5}},
		{"Einsum", "Einsum", shapes([]int64{2, 3, 4}, []int64{2, 4, 5}), []*graph.Attribute{graph.Str("equation", "bij,bjk->bik")},
			op.Cost{MACs: 2 * 3 * 4 * 5, ActivationBytes: 4 * 2 * 3 * 5}},
		{"quantised conv", "ConvInteger", shapes([]int64{1, 2, 5}, []int64{3, 2, 3}), nil,
			op.Cost{MACs: 3 * 3 * 2 * 3, ActivationBytes: 4 * 9}},
		{"max pool", "MaxPool", shapes([]int64{1, 2, 8, 8}), []*graph.Attribute{graph.Ints("kernel_shape", 2, 2), graph.Ints("strides", 2, 2)},
			op.Cost{Elementwise: 2 * 16 * 4, ActivationBytes: 128}},
		{"global pool", "GlobalAveragePool", shapes([]int64{1, 2, 8, 8}), nil, op.Cost{Elementwise: 128, ActivationBytes: 8}},
		{"Relu", "Relu", shapes([]int64{3, 4}), nil, op.Cost{Elementwise: 12, ActivationBytes: 48}},
		{"Softmax", "Softmax", shapes([]int64{3, 4}), nil, op.Cost{Elementwise: 36, ActivationBytes: 48}},
		{"view", "Flatten", shapes([]int64{3, 4, 5}), nil, op.Cost{}},
		{"moved data", "Transpose", shapes([]int64{3, 4}), nil, op.Cost{ActivationBytes: 48}},
	} {
		m, n := costModel(c.op, c.shapes, c.attrs...)
		if r := op.Infer(m); !r.OK() {
			t.Fatalf("%s: %s", c.name, r)
		}
		if c.name != "view" {
			c.want.Kernels = 1
		}
		got, err := op.NodeCost(n, op.CostOptions{})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

// TestCostUnknown: a shape that is not known is an error that names the node.
func TestCostUnknown(t *testing.T) {
	m, n := costModel("Conv", []graph.Shape{nil, graph.ShapeOf(6, 8, 3, 3)})
	op.Infer(m)
	if _, err := op.NodeCost(n, op.CostOptions{}); err == nil || !strings.Contains(err.Error(), `Conv "n": the shape of`) {
		t.Errorf("unknown input shape: %v", err)
	}
	m, n = costModel("NonZero", shapes([]int64{4}))
	op.Infer(m)
	r := m.Graph.NewNode("Relu", "r", []*graph.Value{n.Output(0)}, 1)
	op.Infer(m)
	if _, err := op.NodeCost(r, op.CostOptions{}); err == nil || !strings.Contains(err.Error(), `Relu "r"`) {
		t.Errorf("size of a run: %v", err)
	}
}

// TestCostSubgraphs holds the rules for If and Scan.
func TestCostSubgraphs(t *testing.T) {
	m := graph.NewModel("sub", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(5, 4, 4)))
	w := g.AddInput("w", graph.TensorType(graph.Float32, graph.ShapeOf(4, 4)))
	cond := g.AddInput("cond", graph.TensorType(graph.Bool, graph.ShapeOf()))

	body := graph.NewGraph("body")
	row := body.AddInput("row", graph.Type{})
	branch := func(name string, products int) *graph.Attribute {
		b := graph.NewGraph(name)
		v := row
		for range products {
			v = b.NewNode("MatMul", name, []*graph.Value{v, w}, 1).Output(0)
		}
		b.AddOutput(b.NewNode("Relu", name+"_out", []*graph.Value{v}, 1).Output(0))
		return graph.Subgraph(name, b)
	}
	choice := body.NewNode("If", "if", []*graph.Value{cond}, 1, branch("then_branch", 1), branch("else_branch", 2))
	body.AddOutput(choice.Output(0))
	scan := g.NewNode("Scan", "scan", []*graph.Value{x}, 1, graph.Int("num_scan_inputs", 1), graph.Subgraph("body", body))
	g.AddOutput(scan.Output(0))

	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	if got := scan.Output(0).Type.String(); got != "float32[5,4,4]" {
		t.Errorf("Scan makes %s", got)
	}
	if got, err := op.NodeCost(scan, op.CostOptions{}); err != nil || got.MACs != 5*2*64 {
		t.Errorf("the costlier branch: %d MACs, %v; want %d", got, err, 5*2*64)
	}
	quarter := op.CostOptions{Then: func(n *graph.Node) float64 {
		if n != choice {
			t.Errorf("asked about %s", n)
		}
		return 0.25
	}}
	got, err := op.GraphCost(g, quarter)
	if want := int64(5 * (0.25*64 + 0.75*128)); err != nil || got.MACs != want {
		t.Errorf("then branch in a quarter of runs: %d MACs, %v; want %d", got.MACs, err, want)
	}
	// Of five runs: two operators in the then branch, three in the other.
	for share, want := range []int64{15, 10} {
		got, err := op.GraphCost(g, op.CostOptions{Then: func(*graph.Node) float64 { return float64(share) }})
		if err != nil || got.Kernels != want {
			t.Errorf("then branch in %d of runs: %d kernels, %v; want %d", share, got.Kernels, err, want)
		}
	}
	// The inputs (320, 64 and 1 bytes) and what the Scan gives back, a row, and the
	// two products of the longer branch, of which ReLU writes over the second.
	if peak, err := op.PeakBytes(g, op.CostOptions{}); err != nil || peak != 320+64+1+320+64+128 {
		t.Errorf("peak %d bytes, %v", peak, err)
	}
}

// TestPeakBytes holds the rules for what is alive at once.
func TestPeakBytes(t *testing.T) {
	m := graph.NewModel("peak", 8, 17)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(10, 10)))
	two := g.AddInitializer("two", graph.Float32s(nil, 2))
	relu := g.NewNode("Relu", "relu", []*graph.Value{x}, 1).Output(0)              // over x
	flat := g.NewNode("Flatten", "flat", []*graph.Value{relu}, 1).Output(0)        // the same memory
	turned := g.NewNode("Transpose", "turned", []*graph.Value{flat}, 1).Output(0)  // 400 more
	sum := g.NewNode("Add", "sum", []*graph.Value{turned, relu}, 1).Output(0)      // over one of them
	double := g.NewNode("Mul", "double", []*graph.Value{two, two}, 1).Output(0)    // at load
	g.AddOutput(g.NewNode("MatMul", "out", []*graph.Value{sum, sum}, 1).Output(0)) // 400 more
	g.AddOutput(g.NewNode("Neg", "constant", []*graph.Value{double}, 1).Output(0)) // at load
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	peak, err := op.PeakBytes(g, op.CostOptions{})
	if err != nil || peak < 800 || peak > 808 { // two numbers computed at load
		t.Errorf("peak %d bytes, %v; want 800, and 4 for each constant", peak, err)
	}
	cost, err := op.GraphCost(g, op.CostOptions{})
	if err != nil || cost.Kernels != 4 { // ReLU, Transpose, Add, MatMul
		t.Errorf("%d kernels, %v; want 4", cost.Kernels, err)
	}
}
