package op_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// entropy turns a fuzzer's bytes into choices; all zero when they run out.
type entropy struct{ b []byte }

func (e *entropy) byte() byte {
	if len(e.b) == 0 {
		return 0
	}
	x := e.b[0]
	e.b = e.b[1:]
	return x
}

func (e *entropy) n(limit int) int { return int(e.byte()) % limit }

// int is mostly small, and sometimes at the edge of what fits.
func (e *entropy) int() int64 {
	switch x := int64(int8(e.byte())); {
	case x > 120:
		return []int64{1 << 20, 1<<31 - 1, 1 << 31, 1 << 40, 1 << 62, math.MaxInt64, math.MaxInt64 - 1}[x-121]
	case x < -120:
		return []int64{-1 << 31, -1 << 40, -1 << 62, math.MinInt64 + 1, -100, -1000, -1 << 20, math.MinInt64}[x+128]
	default:
		return x % 5
	}
}

var (
	fuzzTypes = []graph.DataType{graph.Int64, graph.Float32, graph.Bool, graph.Int32, graph.Uint8, graph.Float16, graph.Uint64,
		graph.Float64, graph.Int8, graph.BFloat16, graph.Complex64}
	fuzzInts = []string{"axis", "keepdims", "to", "allowzero", "k", "start", "end", "batch_dims", "num_outputs", "noop_with_empty_axes",
		"exclusive", "reverse", "largest", "select_last_index", "fmod", "upper", "dtype", "broadcast", "group", "ceil_mode", "transA", "transB"}
	fuzzLists = []string{"axes", "perm", "starts", "ends", "steps", "split", "pads", "shape", "kernel_shape", "strides", "dilations"}
	fuzzModes = []string{"constant", "edge", "reflect", "wrap", "none", "add", "max", "SAME_UPPER", "VALID", "what"}
)

// tensor makes a small tensor of ten elements or fewer.
func (e *entropy) tensor() *graph.Tensor {
	dtype := fuzzTypes[e.n(len(fuzzTypes))]
	n, dims := int64(1), []int64{}
	for range e.n(5) {
		d := int64(e.n(4))
		if n*d > 10 {
			d = 1
		}
		n, dims = n*d, append(dims, d)
	}
	v := make([]int64, n)
	for i := range v {
		v[i] = e.int()
	}
	t := graph.Int64s(dims, v...)
	if dtype == graph.Complex64 {
		t.DType = dtype
		return t
	}
	// Converted by the evaluator itself, which has its own tests.
	m := graph.NewModel("cast", 8, 17)
	in := m.Graph.AddInput("x", graph.Type{})
	out, err := op.Eval(m.Graph.NewNode("Cast", "", []*graph.Value{in}, 1, graph.Int("to", int64(dtype))), []*graph.Tensor{t})
	if err != nil {
		panic(err)
	}
	return out[0]
}

const (
	fuzzBytes = 1 << 16  // evaluation budget
	fuzzAlloc = 32 << 20 // most that one evaluation may allocate in all
)

// FuzzOperator runs any operator of the table on small tensors with any
// attributes: evaluation must end in a result or an error without allocating
// much, and inference must agree with every result, whether it knows the
// inputs' values, their shapes, or their shapes as symbols.
func FuzzOperator(f *testing.F) {
	ops := op.Claims()
	for i := range ops {
		f.Add(uint8(i), uint8(13), []byte{1, 2, 2, 3, 1, 2, 3, 4, 5, 6, 0, 1, 2, 1, 1})
		f.Add(uint8(i), uint8(9), []byte{2, 0, 1, 2, 3, 1, 2, 3, 0, 1, 2, 1, 1, 0, 0, 9, 1, 4, 3, 2, 1})
		f.Add(uint8(i), uint8(18), []byte{3, 0, 2, 2, 2, 124, 255, 1, 7, 0, 1, 1, 125, 0, 0, 3, 2, 126})
	}
	f.Fuzz(func(t *testing.T, kind, opset uint8, data []byte) {
		e := &entropy{data}
		m := graph.NewModel("fuzz", 8, int64(opset%30))
		var vals []*graph.Value
		var in []*graph.Tensor
		for i := range e.n(6) {
			if e.n(8) == 7 {
				vals, in = append(vals, nil), append(in, nil)
				continue
			}
			x := e.tensor()
			in = append(in, x)
			vals = append(vals, m.Graph.AddInput(fmt.Sprintf("x%d", i), graph.TensorType(x.DType, x.Shape())))
		}
		n := m.Graph.NewNode(ops[int(kind)%len(ops)], "n", vals, 1+e.n(3))
		for range e.n(4) {
			n.SetAttr(graph.Int(fuzzInts[e.n(len(fuzzInts))], e.int()))
		}
		for range e.n(3) {
			list := make([]int64, e.n(6))
			for i := range list {
				list[i] = e.int()
			}
			n.SetAttr(graph.Ints(fuzzLists[e.n(len(fuzzLists))], list...))
		}
		if e.n(2) == 1 {
			mode := fuzzModes[e.n(len(fuzzModes))]
			for _, a := range []string{"mode", "reduction", "auto_pad"} {
				n.SetAttr(graph.Str(a, mode))
			}
		}
		if e.n(4) == 1 {
			n.SetAttr(graph.TensorAttr("value", e.tensor()))
		}
		for _, o := range n.Outputs() {
			m.Graph.AddOutput(o)
		}

		var out []*graph.Tensor
		var err error
		bounds.Hold(t, 0, func() {
			used := bounds.Allocated(func() { out, err = op.EvalWith(n, in, op.EvalOptions{MaxBytes: fuzzBytes}) })
			if used > fuzzAlloc {
				t.Errorf("%s allocated %d bytes", n, used)
			}
		})
		for _, x := range out {
			if b, err := x.NumBytes(); err != nil || b > fuzzBytes && !isInput(x, in) {
				t.Errorf("%s made %v, %d bytes, %v", n, x.Dims, b, err)
			}
		}
		for _, mode := range []string{"shapes", "constants", "symbols"} {
			agree(t, m, n, in, out, errors.Is(err, op.ErrTooLarge), mode)
		}
	})
}

func isInput(x *graph.Tensor, in []*graph.Tensor) bool {
	for _, y := range in {
		if y != nil && x.DType == y.DType {
			return true
		}
	}
	return false
}

// agree infers a copy of the model in one of the modes and compares with what
// evaluation made, if it made anything.
func agree(t *testing.T, m *graph.Model, n *graph.Node, in, out []*graph.Tensor, tooLarge bool, mode string) {
	c := m.Clone()
	sizes := map[string]int64{}
	i := 0
	for _, x := range in {
		if x == nil {
			continue
		}
		v := c.Graph.Inputs()[i]
		switch i++; mode {
		case "constants":
			v.ReplaceAllUses(c.Graph.NewInitializer("constant", x))
		case "symbols":
			for k, d := range x.Dims {
				if d > 1 {
					name := fmt.Sprintf("n%d", d)
					sizes[name] = d
					v.Type.Shape[k] = graph.Sym(name)
				}
			}
		}
	}
	r := op.Infer(c)
	for i, v := range c.Graph.Outputs() {
		if out == nil || v.Type.Shape == nil {
			continue
		}
		want := out[i]
		if v.Type.Elem != graph.Undefined && v.Type.Elem != want.DType || len(v.Type.Shape) != len(want.Dims) {
			t.Errorf("%s, %s: inferred %s, evaluated %s%v", n, mode, v.Type, want.DType, want.Dims)
			return
		}
		for k, d := range v.Type.Shape {
			size, known := d.Size, d.Known()
			if !known && d.Param != "" {
				size, known = op.DimValue(d, sizes)
			}
			if known && size != want.Dims[k] {
				t.Errorf("%s, %s: inferred %s, evaluated %v", n, mode, v.Type, want.Dims)
			}
		}
	}
	if out != nil && mode == "constants" && !r.OK() && !tooLarge {
		t.Errorf("%s: evaluated %v, but inference says %s", n, out[0].Dims, r)
	}
}

// FuzzInferModel runs inference, costing and region evaluation on damaged
// models: each must end, and what evaluation makes must have the inferred type.
func FuzzInferModel(f *testing.F) {
	cases := readArchive(f, "operators")
	models, err := fs.Glob(cases, "*/model.onnx")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range models {
		data, err := fs.ReadFile(cases, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := graph.Decode(data)
		if err != nil {
			return
		}
		bounds.Hold(t, len(data), func() {
			op.Infer(m)
			// Costs are for the panics they may hold; any error is right here.
			_, _ = op.GraphCost(m.Graph, op.CostOptions{})
		})
		from := map[*graph.Value]*graph.Tensor{}
		for _, v := range m.Graph.Inputs() {
			dims := v.Type.Shape.Dims()
			x := &graph.Tensor{DType: v.Type.Elem, Dims: dims}
			if n, err := x.NumBytes(); err == nil && v.Type.Shape.Static() && n < fuzzBytes {
				if x, err = graph.NewTensor(v.Type.Elem, dims, make([]byte, n)); err == nil {
					from[v] = x
				}
			}
		}
		outputs := slices.Clone(m.Graph.Outputs())
		for _, v := range outputs {
			for len(m.Graph.Outputs()) > 0 {
				m.Graph.RemoveOutput(0)
			}
			m.Graph.AddOutput(v)
			var out []*graph.Tensor
			bounds.Hold(t, len(data), func() {
				out, err = run(m.Graph, maps.Clone(from), fuzzBytes)
			})
			if err != nil || v.Type.Shape == nil || v.Producer() == nil || declaredOnly(m, v) {
				continue
			}
			if v.Type.Elem != out[0].DType || len(v.Type.Shape) != len(out[0].Dims) {
				t.Errorf("%s: inferred %s, evaluated %s%v", v.Producer(), v.Type, out[0].DType, out[0].Dims)
				continue
			}
			for k, d := range v.Type.Shape {
				if d.Known() && d.Size != out[0].Dims[k] {
					t.Errorf("%s: inferred %s, evaluated %v", v.Producer(), v.Type, out[0].Dims)
				}
			}
		}
	})
}

// declaredOnly reports whether v's type may be the file's word for it, which a
// damaged file does not keep.
func declaredOnly(m *graph.Model, v *graph.Value) bool {
	c := m.Clone()
	op.ForgetShapes(c)
	op.Infer(c)
	w := c.Graph.Value(v.Name())
	return w == nil || w.Type.Shape.String() != v.Type.Shape.String()
}
