package train

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// inFloat64 runs a step node by node in float64: by package op's evaluator, and
// for the operators that it does not have, as their definitions read.
func inFloat64(t *testing.T, s *Step) runner {
	t.Helper()
	m := s.Model.Clone()
	double := map[*graph.Value]*graph.Tensor{}
	for _, v := range m.Graph.Initializers() {
		x := v.Initializer()
		if x.DType == graph.Float32 {
			var err error
			if x, err = op.Cast(x, graph.Float64); err != nil {
				t.Fatal(err)
			}
		}
		double[v] = x
	}
	for n := range m.Graph.Nodes() {
		if n.OpType == "Cast" && n.AttrInt("to", 0) == int64(graph.Float32) {
			n.SetAttr(graph.Int("to", int64(graph.Float64)))
		}
	}
	return func(feeds map[string][]float64) map[string][]float64 {
		known := map[*graph.Value]*graph.Tensor{}
		for v, x := range double {
			known[v] = x
		}
		for _, v := range m.Graph.Inputs() {
			known[v] = doubles(v.Type.Shape.Dims(), feeds[v.Name()])
		}
		for n := range m.Graph.Nodes() {
			in := make([]*graph.Tensor, len(n.Inputs()))
			for i, v := range n.Inputs() {
				in[i] = known[v]
			}
			out, err := evaluateNode(t, n, in)
			if err != nil {
				t.Fatalf("%s: %v", n, err)
			}
			for i, v := range n.Outputs() {
				if v != nil {
					known[v] = out[i]
				}
			}
		}
		got := map[string][]float64{}
		for _, v := range m.Graph.Outputs() {
			got[v.Name()] = wide(t, known[v])
		}
		return got
	}
}

func doubles(dims []int64, v []float64) *graph.Tensor {
	raw := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(x))
	}
	return graph.MustTensor(graph.Float64, dims, raw)
}

func evaluateNode(t *testing.T, n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	t.Helper()
	switch n.OpType {
	case "Resize":
		return []*graph.Tensor{resized(in[0].Dims, n.Output(0).Type.Shape.Dims(), wide(t, in[0]))}, nil
	case "ConvTranspose":
		return []*graph.Tensor{transposed(n, in[0].Dims, in[1].Dims, n.Output(0).Type.Shape.Dims(), wide(t, in[0]), wide(t, in[1]))}, nil
	}
	return op.Eval(n, in)
}

// resized takes the nearest element, floor(i·from/to).
func resized(from, to []int64, x []float64) *graph.Tensor {
	out := make([]float64, product(to))
	for i := range out {
		rest, at, stride := int64(i), int64(0), int64(1)
		for a := len(to) - 1; a >= 0; a-- {
			at += rest % to[a] * from[a] / to[a] * stride
			rest /= to[a]
			stride *= from[a]
		}
		out[i] = x[at]
	}
	return doubles(to, out)
}

// transposed is a transposed convolution over two axes: every input adds its
// multiple of the window to the output.
func transposed(n *graph.Node, xd, wd, yd []int64, x, w []float64) *graph.Tensor {
	y := make([]float64, product(yd))
	group := n.AttrInt("group", 1)
	stride, pads := n.AttrInts("strides"), n.AttrInts("pads")
	ins, outs := xd[1]/group, wd[1]
	for b := range xd[0] {
		for c := range xd[1] {
			for h := range xd[2] {
				for v := range xd[3] {
					value := x[((b*xd[1]+c)*xd[2]+h)*xd[3]+v]
					if value == 0 {
						continue
					}
					for o := range outs {
						for i := range wd[2] {
							for j := range wd[3] {
								p, q := h*stride[0]+i-pads[0], v*stride[1]+j-pads[1]
								if p >= 0 && p < yd[2] && q >= 0 && q < yd[3] {
									y[((b*yd[1]+c/ins*outs+o)*yd[2]+p)*yd[3]+q] += value * w[((c*wd[1]+o)*wd[2]+i)*wd[3]+j]
								}
							}
						}
					}
				}
			}
		}
	}
	return doubles(yd, y)
}
