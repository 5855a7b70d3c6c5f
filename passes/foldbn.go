package passes

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// foldBatchNorm folds batch normalisation into the convolution before it:
//
//	BN(W∗x + b) = (γ/√(σ²+ε))·W ∗ x + (b − μ)·γ/√(σ²+ε) + β
//
// computed in float64 and rounded once. The new weights are new initializers,
// named from the weight: a weight that other nodes read too stays as it is for
// them, and two convolutions of one input (a residual path) cannot get each
// other's bias.
func foldBatchNorm(s *State) error {
	batchNormFold.apply(s)
	return nil
}

type convNorm struct{ conv, norm *graph.Node }

var batchNormFold = rewrite[convNorm]{
	ops: []string{"BatchNormalization"},
	match: func(n *graph.Node) (convNorm, bool) {
		if x := n.Input(0); x != nil && len(n.Inputs()) == 5 && x.Producer().Is("Conv") {
			return convNorm{x.Producer(), n}, true
		}
		return convNorm{}, false
	},
	check:   checkConvNorm,
	replace: replaceConvNorm,
}

func checkConvNorm(m convNorm) string {
	y := m.conv.Output(0)
	if y.OnlyUse() != m.norm {
		return fmt.Sprintf("the result of %v is read elsewhere too", m.conv)
	}
	if m.conv.Graph() != m.norm.Graph() {
		return fmt.Sprintf("%v belongs to another graph", m.conv)
	}
	if len(m.norm.Outputs()) > 1 || m.norm.AttrInt("training_mode", 0) != 0 {
		return "it is in training mode"
	}
	w := m.conv.Input(1).Const()
	if w == nil {
		return fmt.Sprintf("weight %v of %v is not constant", m.conv.Input(1), m.conv)
	}
	if w.DType != graph.Float32 || len(w.Dims) < 3 {
		return fmt.Sprintf("weight %v of %v is %v%v, not a float32 kernel", m.conv.Input(1), m.conv, w.DType, w.Dims)
	}
	if _, err := w.Bytes(); err != nil {
		return err.Error()
	}
	params := slices.Clone(m.norm.Inputs()[1:])
	if b := m.conv.Input(2); b != nil {
		params = append(params, b)
	}
	for _, v := range params {
		t := v.Const()
		if t == nil {
			return fmt.Sprintf("parameter %v is not constant", v)
		}
		if n, err := t.NumElements(); err != nil || n != w.Dims[0] || t.DType != graph.Float32 {
			return fmt.Sprintf("parameter %v is %v%v; %v has %d output channels", v, t.DType, t.Dims, m.conv, w.Dims[0])
		}
		if _, err := t.Bytes(); err != nil {
			return err.Error()
		}
	}
	return ""
}

func replaceConvNorm(s *State, norm *graph.Node, m convNorm) {
	g := norm.Graph()
	weight := m.conv.Input(1)
	scale, shift := normAsAffine(norm)
	bias := make([]float32, len(scale))
	var old []float32
	if b := m.conv.Input(2); b != nil {
		old = floats(b)
	}
	for i := range bias {
		b := shift[i]
		if old != nil {
			b += float64(old[i]) * scale[i]
		}
		bias[i] = float32(b)
	}
	dims := weight.Const().Dims
	w := g.NewInitializer(weight.Name()+".folded", scaleRows(weight.Const(), scale))
	b := g.NewInitializer(weight.Name()+".folded.bias", graph.Float32s([]int64{dims[0]}, bias...))

	conv := s.insert(norm, "Conv", norm.Output(0).Name(), []*graph.Value{m.conv.Input(0), w, b}, m.conv.Attrs()...)
	name := m.conv.Name
	s.supplant(norm, conv.Output(0))
	g.RemoveNode(m.conv)
	if name != "" {
		conv.SetName(name)
	}
}

// normAsAffine returns batch normalisation as a factor and a summand a channel.
func normAsAffine(norm *graph.Node) (scale, shift []float64) {
	gamma, beta, mean, variance := floats(norm.Input(1)), floats(norm.Input(2)), floats(norm.Input(3)), floats(norm.Input(4))
	eps := float64(norm.AttrFloat("epsilon", 1e-5))
	scale, shift = make([]float64, len(gamma)), make([]float64, len(gamma))
	for i := range gamma {
		scale[i] = float64(gamma[i]) / math.Sqrt(float64(variance[i])+eps)
		shift[i] = float64(beta[i]) - float64(mean[i])*scale[i]
	}
	return scale, shift
}

// scaleRows multiplies each slice of the first dimension by its factor. It
// works on the bytes as they lie in the file: weights are the bulk of a model,
// and a file need not align them.
func scaleRows(w *graph.Tensor, scale []float64) *graph.Tensor {
	data, err := w.Bytes()
	if err != nil {
		panic("BUG: unchecked constant: " + err.Error())
	}
	raw := make([]byte, len(data))
	row := len(data) / len(scale)
	for i, f := range scale {
		for j := i * row; j < (i+1)*row; j += 4 {
			x := math.Float32frombits(binary.LittleEndian.Uint32(data[j:]))
			binary.LittleEndian.PutUint32(raw[j:], math.Float32bits(float32(float64(x)*f)))
		}
	}
	w.Release() // the new weights stand in for it
	t, err := graph.NewTensor(graph.Float32, w.Dims, raw)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return t
}

// floats returns the elements of a constant that a check has found to be
// float32.
func floats(v *graph.Value) []float32 {
	f, err := v.Const().Float32s()
	if err != nil {
		panic("BUG: unchecked constant: " + err.Error())
	}
	return f
}
