package train_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/train"
	"github.com/afc-project/afc/verify/ort"
)

// builder makes a function of random inputs for TestGradients.
type builder struct {
	*rand.Rand
	g     *graph.Graph
	opset int64
	elem  graph.DataType
	whole bool // inputs are small integers
	in    []*graph.Value
	feeds []*graph.Tensor
}

// input adds an input to differentiate by; numbers are of lo to hi.
func (b *builder) input(lo, hi float64, dims ...int64) *graph.Value {
	v := b.g.AddInput(fmt.Sprint("x", len(b.in)), graph.TensorType(b.elem, graph.ShapeOf(dims...)))
	b.in, b.feeds = append(b.in, v), append(b.feeds, b.tensor(lo, hi, dims...))
	return v
}

func (b *builder) tensor(lo, hi float64, dims ...int64) *graph.Tensor {
	n, err := graph.NumElements(dims)
	if err != nil {
		panic(err)
	}
	x := make([]float64, n)
	for i := range x {
		if x[i] = lo + (hi-lo)*b.Float64(); b.whole {
			x[i] = math.Round(x[i])
		}
	}
	return tensorOf(b.elem, dims, x)
}

func (b *builder) constant(lo, hi float64, dims ...int64) *graph.Value {
	return b.g.NewInitializer("c", b.tensor(lo, hi, dims...))
}

func (b *builder) ints(v ...int64) *graph.Value { return b.g.NewInitializer("i", graph.Vec(v...)) }

func (b *builder) node(kind string, in []*graph.Value, attrs ...*graph.Attribute) *graph.Value {
	return b.g.NewNode(kind, kind, in, 1, attrs...).Output(0)
}

func tensorOf(elem graph.DataType, dims []int64, x []float64) *graph.Tensor {
	raw := make([]byte, 8*len(x))
	for i, f := range x {
		binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(f))
	}
	t, err := op.Cast(graph.MustTensor(graph.Float64, dims, raw), elem)
	if err != nil {
		panic(err)
	}
	return t
}

func valuesOf(t *graph.Tensor) []float64 {
	wide, err := op.Cast(t, graph.Float64)
	if err != nil {
		panic(err)
	}
	raw, err := wide.Bytes()
	if err != nil {
		panic(err)
	}
	x := make([]float64, len(raw)/8)
	for i := range x {
		x[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return x
}

type values = []*graph.Value

// functions has the operators that are differentiated, each in the forms that
// its rule tells apart. Linear ones are exact on ONNX Runtime in float32: their
// inputs are small integers and so is the step; others are evaluated in float64.
var functions = []struct {
	name  string
	exact bool // several-linear: run on ONNX Runtime
	build func(b *builder) *graph.Value
}{
	{"Add", false, func(b *builder) *graph.Value { return b.node("Add", values{b.input(-1, 1, 2, 3), b.input(-1, 1, 3)}) }},
	{"Sub broadcast", false, func(b *builder) *graph.Value {
		return b.node("Sub", values{b.input(-1, 1, 3, 1), b.input(-1, 1, 2, 1, 4)})
	}},
	{"Mul broadcast", false, func(b *builder) *graph.Value {
		return b.node("Mul", values{b.input(-1, 1, 2, 3, 4), b.input(-1, 1, 3, 1)})
	}},
	{"Mul square", false, func(b *builder) *graph.Value { x := b.input(-1, 1, 5); return b.node("Mul", values{x, x}) }},
	{"Div", false, func(b *builder) *graph.Value { return b.node("Div", values{b.input(-1, 1, 2, 3), b.input(1, 2, 1, 3)}) }},
	{"Neg", false, func(b *builder) *graph.Value { return b.node("Neg", values{b.input(-1, 1, 4)}) }},
	{"Abs", false, func(b *builder) *graph.Value { return b.node("Abs", values{b.input(-1, 1, 9)}) }},
	{"Relu", false, func(b *builder) *graph.Value { return b.node("Relu", values{b.input(-1, 1, 9)}) }},
	{"Sigmoid", false, func(b *builder) *graph.Value { return b.node("Sigmoid", values{b.input(-3, 3, 9)}) }},
	{"Tanh", false, func(b *builder) *graph.Value { return b.node("Tanh", values{b.input(-2, 2, 9)}) }},
	{"Exp", false, func(b *builder) *graph.Value { return b.node("Exp", values{b.input(-1, 1, 4)}) }},
	{"Log", false, func(b *builder) *graph.Value { return b.node("Log", values{b.input(1, 2, 4)}) }},
	{"Sqrt", false, func(b *builder) *graph.Value { return b.node("Sqrt", values{b.input(1, 2, 4)}) }},
	{"Reciprocal", false, func(b *builder) *graph.Value { return b.node("Reciprocal", values{b.input(1, 2, 4)}) }},
	{"Clip", false, func(b *builder) *graph.Value {
		return b.node("Clip", values{b.input(-1, 1, 12), b.g.NewInitializer("lo", tensorOf(b.elem, nil, []float64{-0.5})), b.g.NewInitializer("hi", tensorOf(b.elem, nil, []float64{0.5}))})
	}},
	{"Softmax", false, func(b *builder) *graph.Value {
		return b.node("Softmax", values{b.input(-1, 1, 2, 3, 4)}, graph.Int("axis", 1))
	}},
	{"LogSoftmax", false, func(b *builder) *graph.Value { return b.node("LogSoftmax", values{b.input(-1, 1, 3, 4)}) }},
	{"ReduceMean", false, func(b *builder) *graph.Value {
		x := b.input(-1, 1, 2, 3, 4)
		if b.opset < 18 {
			return b.node("ReduceMean", values{x}, graph.Ints("axes", -1, 0), graph.Int("keepdims", 0))
		}
		return b.node("ReduceMean", values{x, b.ints(-1, 0)}, graph.Int("keepdims", 0))
	}},
	{"ReduceSum", false, func(b *builder) *graph.Value { return b.node("ReduceSum", values{b.input(-1, 1, 2, 3, 4), b.ints(1)}) }},
	{"ReduceSum all", false, func(b *builder) *graph.Value {
		return b.node("ReduceSum", values{b.input(-1, 1, 2, 3)}, graph.Int("keepdims", 0))
	}},
	{"Identity", false, func(b *builder) *graph.Value { return b.node("Identity", values{b.input(-1, 1, 3)}) }},
	{"Reshape", false, func(b *builder) *graph.Value { return b.node("Reshape", values{b.input(-1, 1, 2, 6), b.ints(3, -1)}) }},
	{"Flatten", false, func(b *builder) *graph.Value { return b.node("Flatten", values{b.input(-1, 1, 2, 3, 2)}) }},
	{"Squeeze", false, func(b *builder) *graph.Value { return b.node("Squeeze", values{b.input(-1, 1, 2, 1, 3), b.ints(1)}) }},
	{"Unsqueeze", false, func(b *builder) *graph.Value { return b.node("Unsqueeze", values{b.input(-1, 1, 2, 3), b.ints(0, 2)}) }},
	{"Transpose", false, func(b *builder) *graph.Value {
		return b.node("Transpose", values{b.input(-1, 1, 2, 3, 4)}, graph.Ints("perm", 2, 0, 1))
	}},
	{"Slice", false, func(b *builder) *graph.Value {
		return b.node("Slice", values{b.input(-1, 1, 4, 5), b.ints(1, -3), b.ints(4, 1<<40), b.ints(0, 1)})
	}},
	{"Slice strided", false, func(b *builder) *graph.Value {
		return b.node("Slice", values{b.input(-1, 1, 7, 5), b.ints(1, 0), b.ints(6, 9), b.ints(0, -1), b.ints(3, 2)})
	}},
	{"Concat", false, func(b *builder) *graph.Value {
		return b.node("Concat", values{b.input(-1, 1, 2, 1), b.constant(-1, 1, 2, 2), b.input(-1, 1, 2, 3)}, graph.Int("axis", -1))
	}},
	{"Split", false, func(b *builder) *graph.Value { // one part is not read
		n := b.g.NewNode("Split", "split", values{b.input(-1, 1, 6, 2), b.ints(1, 2, 3)}, 3, graph.Int("axis", 0))
		return b.node("Concat", values{n.Output(2), n.Output(0)}, graph.Int("axis", 0))
	}},
	{"Pad", false, func(b *builder) *graph.Value { return b.node("Pad", values{b.input(-1, 1, 3, 4), b.ints(1, -1, 0, 2)}) }},
	{"Expand", false, func(b *builder) *graph.Value { return b.node("Expand", values{b.input(-1, 1, 3, 1), b.ints(2, 3, 4)}) }},
	{"Gather", false, func(b *builder) *graph.Value {
		return b.node("Gather", values{b.input(-1, 1, 2, 4, 3), b.ints(3, 0, -1, 3)}, graph.Int("axis", 1))
	}},
	{"Where", false, func(b *builder) *graph.Value {
		cond := b.g.NewInitializer("cond", graph.MustTensor(graph.Bool, []int64{2, 3}, []byte{1, 0, 0, 1, 1, 0}))
		return b.node("Where", values{cond, b.input(-1, 1, 3), b.input(-1, 1, 2, 1)})
	}},
	{"Cast", false, func(b *builder) *graph.Value {
		return b.node("Cast", values{b.input(-1, 1, 3)}, graph.Int("to", int64(graph.Float64)))
	}},
	{"MatMul", false, func(b *builder) *graph.Value {
		return b.node("MatMul", values{b.input(-1, 1, 2, 3), b.input(-1, 1, 3, 4)})
	}},
	{"MatMul batched", false, func(b *builder) *graph.Value {
		return b.node("MatMul", values{b.input(-1, 1, 2, 1, 2, 3), b.input(-1, 1, 4, 3, 2)})
	}},
	{"Gemm", false, func(b *builder) *graph.Value {
		return b.node("Gemm", values{b.input(-1, 1, 2, 3), b.input(-1, 1, 4, 3), b.input(-1, 1, 4)}, graph.Int("transB", 1), graph.Float("alpha", 0.5), graph.Float("beta", 2))
	}},
	{"Gemm transposed", false, func(b *builder) *graph.Value {
		return b.node("Gemm", values{b.input(-1, 1, 3, 2), b.input(-1, 1, 3, 4)}, graph.Int("transA", 1))
	}},
	{"BatchNormalization frozen", false, func(b *builder) *graph.Value {
		return b.node("BatchNormalization", values{b.input(-1, 1, 2, 3, 2, 2), b.input(1, 2, 3), b.input(-1, 1, 3), b.constant(-1, 1, 3), b.constant(1, 2, 3)})
	}},
	{"BatchNormalization training", false, func(b *builder) *graph.Value {
		n := b.g.NewNode("BatchNormalization", "bn", values{b.input(-1, 1, 3, 2, 2, 2), b.input(1, 2, 2), b.input(-1, 1, 2), b.constant(-1, 1, 2), b.constant(1, 2, 2)}, 3, graph.Int("training_mode", 1), graph.Float("epsilon", 1e-3))
		return n.Output(0)
	}},
	{"MaxPool", false, func(b *builder) *graph.Value {
		return b.node("MaxPool", values{b.input(-1, 1, 2, 2, 5, 4)}, graph.Ints("kernel_shape", 3, 3), graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 1))
	}},
	{"GlobalAveragePool", false, func(b *builder) *graph.Value { return b.node("GlobalAveragePool", values{b.input(-1, 1, 2, 3, 2, 2)}) }},
	{"Conv", true, func(b *builder) *graph.Value {
		return b.node("Conv", values{b.input(-4, 4, 2, 3, 4, 5), b.input(-4, 4, 4, 3, 3, 3), b.input(-4, 4, 4)}, graph.Ints("pads", 1, 1, 1, 1))
	}},
	{"Conv strided", true, func(b *builder) *graph.Value { // the stride leaves a row and no column over
		return b.node("Conv", values{b.input(-4, 4, 1, 2, 6, 5), b.input(-4, 4, 2, 2, 3, 3)}, graph.Ints("pads", 1, 1, 1, 1), graph.Ints("strides", 2, 2))
	}},
	{"Conv grouped, dilated, uneven", true, func(b *builder) *graph.Value {
		return b.node("Conv", values{b.input(-4, 4, 2, 4, 5, 6), b.input(-4, 4, 6, 2, 2, 3)}, graph.Int("group", 2), graph.Ints("dilations", 2, 1), graph.Ints("pads", 0, 1, 2, 0), graph.Ints("strides", 1, 2))
	}},
	{"Conv depthwise", true, func(b *builder) *graph.Value {
		return b.node("Conv", values{b.input(-4, 4, 1, 3, 4, 4), b.input(-4, 4, 3, 1, 3, 3)}, graph.Int("group", 3))
	}},
	{"Conv pointwise", true, func(b *builder) *graph.Value {
		return b.node("Conv", values{b.input(-4, 4, 2, 3, 3, 2), b.input(-4, 4, 4, 3, 1, 1), b.input(-4, 4, 4)})
	}},
	{"AveragePool", true, func(b *builder) *graph.Value {
		return b.node("AveragePool", values{b.input(-4, 4, 1, 2, 4, 6)}, graph.Ints("kernel_shape", 2, 2), graph.Ints("strides", 2, 2))
	}},
	{"AveragePool padded", true, func(b *builder) *graph.Value { // windows of 1, 2 and 4 elements
		return b.node("AveragePool", values{b.input(-4, 4, 1, 2, 3, 3)}, graph.Ints("kernel_shape", 2, 2), graph.Ints("pads", 1, 1, 1, 1), graph.Ints("strides", 1, 2))
	}},
	{"AveragePool with padding counted", true, func(b *builder) *graph.Value {
		return b.node("AveragePool", values{b.input(-4, 4, 1, 2, 3, 3)}, graph.Ints("kernel_shape", 2, 2), graph.Ints("pads", 1, 1, 1, 1), graph.Int("count_include_pad", 1))
	}},
	{"Resize", true, func(b *builder) *graph.Value {
		return b.node("Resize", values{b.input(-4, 4, 1, 2, 2, 3), nil, nil, b.ints(1, 2, 4, 9)}, graph.Str("mode", "nearest"))
	}},
	{"Resize asymmetric", true, func(b *builder) *graph.Value {
		return b.node("Resize", values{b.input(-4, 4, 1, 2, 2, 3), nil, b.g.NewInitializer("s", graph.Float32s([]int64{4}, 1, 1, 3, 2))}, graph.Str("mode", "nearest"),
			graph.Str("coordinate_transformation_mode", "asymmetric"), graph.Str("nearest_mode", "floor"))
	}},
	{"a value read twice, and one not on the way", false, func(b *builder) *graph.Value {
		x, y := b.input(-1, 1, 3, 4), b.input(-1, 1, 3, 4)
		s := b.node("Sigmoid", values{x})
		return b.node("Add", values{b.node("Mul", values{s, y}), b.node("MatMul", values{b.node("Softmax", values{s}), b.constant(-1, 1, 4, 4)})})
	}},
}

// tolerance bounds the error of a gradient against finite differences, relative
// to the larger of 1 and the difference: in float64 the step of 1e-6 leaves some
// 1e-9 of truncation and 1e-10 of rounding; whole numbers are exact.
const tolerance = 5e-8

// TestGradients holds each operator's gradient to finite differences of a random
// combination of the operator's outputs.
func TestGradients(t *testing.T) {
	for _, f := range functions {
		for _, opset := range []int64{17, 21} { // ReduceMean's axes were an attribute, and are an input
			t.Run(fmt.Sprintf("%s/opset %d", f.name, opset), func(t *testing.T) { checkGradient(t, f.name, f.exact, opset, f.build) })
		}
	}
}

func checkGradient(t *testing.T, name string, exact bool, opset int64, build func(*builder) *graph.Value) {
	if _, err := ort.Version(); exact && err != nil {
		t.Skip(err)
	}
	m := graph.NewModel("f", graph.IRVersionOf(opset), opset)
	b := &builder{Rand: rand.New(rand.NewPCG(7, uint64(len(name)))), g: m.Graph, opset: opset, elem: graph.Float64, whole: exact}
	step := 1e-6
	if exact {
		b.elem, step = graph.Float32, 1
	}
	y := build(b)
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	weights := b.constant(-3, 3, y.Type.Shape.Dims()...)
	loss := b.node("Reshape", values{b.node("ReduceSum", values{b.node("Mul", values{y, weights})}, graph.Int("keepdims", 0)), b.ints(1)})
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	grads, err := train.Gradient(loss, b.in)
	if err != nil {
		t.Fatal(err)
	}
	m.Graph.AddOutput(loss)
	for _, g := range grads {
		m.Graph.AddOutput(g)
	}
	if err := graph.Check(m); err != nil {
		t.Fatal(err)
	}
	declared := typesOf(m)
	if r := op.Infer(m); !r.OK() || len(r.Conflicts) > 0 {
		t.Fatal(r)
	}
	if inferred := typesOf(m); !slices.Equal(declared, inferred) {
		t.Errorf("types said %v\ninferred   %v", declared, inferred)
	}
	run := evaluate
	if exact {
		run = runORT(t, m)
	}
	worst := 0.0
	out := run(t, m, b.feeds)
	for i, x := range b.feeds {
		got := valuesOf(out[1+i])
		if !slices.Equal(out[1+i].Dims, x.Dims) {
			t.Fatalf("the gradient of %v is %v", x.Dims, out[1+i].Dims)
		}
		for k := range got {
			at := func(by float64) float64 {
				moved := valuesOf(x)
				moved[k] += by
				feeds := slices.Clone(b.feeds)
				feeds[i] = tensorOf(b.elem, x.Dims, moved)
				return valuesOf(run(t, m, feeds)[0])[0]
			}
			want := (at(step) - at(-step)) / (2 * step)
			e := math.Abs(got[k]-want) / max(1, math.Abs(want))
			if worst = max(worst, e); !(e <= tolerance) {
				t.Fatalf("input %d, element %d: gradient %g, finite difference %g", i, k, got[k], want)
			}
		}
	}
	t.Logf("worst error %.2g", worst)
}

// typesOf lists the values of the nodes that were added, with their types.
func typesOf(m *graph.Model) []string {
	var list []string
	for n := range m.Graph.Nodes() {
		for _, v := range n.Outputs() {
			list = append(list, v.Name()+": "+v.Type.String())
		}
	}
	return list
}

// evaluate runs a model by package op's evaluator.
func evaluate(t *testing.T, m *graph.Model, feeds []*graph.Tensor) []*graph.Tensor {
	t.Helper()
	known := map[*graph.Value]*graph.Tensor{}
	for i, v := range m.Graph.Inputs() {
		known[v] = feeds[i]
	}
	for n := range m.Graph.Nodes() {
		in := make([]*graph.Tensor, len(n.Inputs()))
		for i, v := range n.Inputs() {
			if in[i] = known[v]; in[i] == nil && v != nil {
				in[i] = v.Initializer()
			}
		}
		out, err := op.Eval(n, in)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range n.Outputs() {
			known[v] = out[i]
		}
	}
	var out []*graph.Tensor
	for _, v := range m.Graph.Outputs() {
		if known[v] == nil {
			known[v] = v.Initializer()
		}
		out = append(out, known[v])
	}
	return out
}

// runORT runs a model on ONNX Runtime.
func runORT(t *testing.T, m *graph.Model) func(*testing.T, *graph.Model, []*graph.Tensor) []*graph.Tensor {
	t.Helper()
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return func(t *testing.T, m *graph.Model, feeds []*graph.Tensor) []*graph.Tensor {
		t.Helper()
		out, err := s.Run(t.Context(), feeds...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// TestEveryRuleIsTested: an operator with a gradient has a function above.
func TestEveryRuleIsTested(t *testing.T) {
	tested := map[string]bool{}
	for _, f := range functions {
		m := graph.NewModel("f", 8, 17)
		b := &builder{Rand: rand.New(rand.NewPCG(7, 7)), g: m.Graph, elem: graph.Float32}
		f.build(b)
		for n := range m.Graph.Nodes() {
			tested[n.OpType] = true
		}
	}
	for _, kind := range op.Differentiated() {
		if !tested[kind] {
			t.Errorf("no function tests the gradient of %s", kind)
		}
	}
	t.Logf("%d operators", len(slices.Collect(maps.Keys(tested))))
}
