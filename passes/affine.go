package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// normalizeAffine makes a batch normalisation of a product or sum with a
// constant for each channel that stands behind a convolution, and takes one that
// stands behind a batch normalisation into it. Frozen batch normalisation
// (detectron's and mmcv's) is such a product and sum, Caffe's a normalisation
// without factors and a scale layer. What follows then reads and folds one form:
//
//	x·s = BN(x; γ=s, β=0, μ=0, σ²=1, ε=0)    BN(x)·s = BN(x; γ·s, β·s)
//	x+b = BN(x; γ=1, β=b, μ=0, σ²=1, ε=0)    BN(x)+b = BN(x; γ, β+b)
func normalizeAffine(s *State) error {
	affineNorm.apply(s)
	return nil
}

// channelwise is a product or sum with a constant for each channel.
type channelwise struct {
	of       *graph.Node // the convolution or batch normalisation that is read
	constant *graph.Value
	values   []float32 // as many as channels
}

var affineNorm = rewrite[channelwise]{
	ops:     []string{"Mul", "Add", "Sub", "Div"},
	match:   matchChannelwise,
	check:   func(m channelwise) string { return "" }, // what does not fit is another sum
	replace: replaceChannelwise,
}

func matchChannelwise(n *graph.Node) (channelwise, bool) {
	for i := range 2 {
		x, c := n.Input(i), n.Input(1-i)
		if i == 1 && n.Is("Sub", "Div") || x == nil || c == nil || c.Const() == nil {
			continue
		}
		of := x.Producer()
		if !of.Is("Conv", "BatchNormalization") || of.Graph() != n.Graph() || x.OnlyUse() != n || of.Is("Conv") && len(x.Type.Shape) != 4 {
			continue
		}
		channels, ok := normChannels(of)
		if !ok {
			continue
		}
		if v, ok := perChannel(c.Const(), channels); ok {
			return channelwise{of, c, v}, true
		}
	}
	return channelwise{}, false
}

// normChannels returns the channels of a convolution's result on maps, or of an
// inference batch normalisation of constants in float32.
func normChannels(n *graph.Node) (int64, bool) {
	params := n.Inputs()[1:2] // of a convolution: its weight
	if n.Is("BatchNormalization") {
		if len(n.Inputs()) != 5 || len(n.Outputs()) > 1 || n.AttrInt("training_mode", 0) != 0 {
			return 0, false
		}
		params = n.Inputs()[1:]
	}
	var channels int64
	for _, v := range params {
		t := v.Const()
		if t == nil || t.DType != graph.Float32 || len(t.Dims) == 0 {
			return 0, false
		}
		if _, err := t.Bytes(); err != nil {
			return 0, false
		}
		channels = t.Dims[0]
	}
	return channels, true
}

// perChannel spreads a constant that has one value a channel of [N, C, H, W], or
// one for all.
func perChannel(t *graph.Tensor, channels int64) ([]float32, bool) {
	n, err := t.NumElements()
	if err != nil || t.DType != graph.Float32 || len(t.Dims) > 4 || n != 1 && n != channels {
		return nil, false
	}
	if n > 1 && (len(t.Dims) < 3 || t.Dims[len(t.Dims)-3] != channels) {
		return nil, false
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, false
	}
	if n == 1 && channels != 1 {
		v = slices.Repeat(v, int(channels))
	}
	return v, true
}

func replaceChannelwise(s *State, n *graph.Node, m channelwise) {
	g := n.Graph()
	channels := len(m.values)
	x, eps := m.of.Output(0), float32(0)
	gamma, beta := filled(channels, 1), filled(channels, 0)
	mean, variance := (*graph.Value)(nil), (*graph.Value)(nil)
	if m.of.Is("BatchNormalization") {
		x, eps = m.of.Input(0), m.of.AttrFloat("epsilon", 1e-5)
		gamma, beta = slices.Clone(floats(m.of.Input(1))), slices.Clone(floats(m.of.Input(2)))
		mean, variance = m.of.Input(3), m.of.Input(4)
	}
	for i, c := range m.values {
		switch n.OpType {
		case "Mul":
			gamma[i], beta[i] = gamma[i]*c, beta[i]*c
		case "Div":
			gamma[i], beta[i] = gamma[i]/c, beta[i]/c
		case "Add":
			beta[i] += c
		case "Sub":
			beta[i] -= c
		}
	}
	name := m.constant.Name()
	param := func(suffix string, v []float32) *graph.Value {
		return g.NewInitializer(name+suffix, graph.Float32s([]int64{int64(channels)}, v...))
	}
	if mean == nil {
		mean, variance = param(".mean", filled(channels, 0)), param(".var", filled(channels, 1))
	}
	norm := s.insert(n, "BatchNormalization", n.Output(0).Name(), []*graph.Value{x, param(".gamma", gamma), param(".beta", beta), mean, variance},
		graph.Float("epsilon", eps))
	s.supplant(n, norm.Output(0))
	if m.of.Is("BatchNormalization") {
		g.RemoveNode(m.of)
	}
}

func filled(n int, v float32) []float32 { return slices.Repeat([]float32{v}, n) }
