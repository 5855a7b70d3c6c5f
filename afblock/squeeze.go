package afblock

import "github.com/afc-project/afc/graph"

// SqueezeExcite weighs the channels of a map by what two linear layers make of
// their means: x·hsigmoid(Excite(relu(Squeeze(GAP(x))))).
type SqueezeExcite struct {
	Squeeze Linear // channels → fewer
	Excite  Linear // and back
}

func (s *SqueezeExcite) Through(x Map) (Map, error) { return x, nil }

func (s *SqueezeExcite) Tensors(yield func(string, **graph.Tensor, bool) bool) bool {
	return s.Squeeze.Tensors(yield) && s.Excite.Tensors(yield)
}

// Cost counts the mean, the two layers with their activations, and the product.
func (s *SqueezeExcite) Cost(x Map) Ops {
	pixel := Map{x.C, Size{1, 1}}
	ops := s.Squeeze.Cost(pixel).plus(s.Excite.Cost(pixel))
	ops = ops.plus(ReLU.Cost(Map{s.Squeeze.Out(), Size{1, 1}})).plus(HSigmoid.Cost(pixel)).plus(elementwise(x.Elements()))
	ops.Authors = authorsAttention(x.C, 4)
	return ops.plus(globalPool(x))
}

// authorsAttention is how the authors count two linear layers over channels and
// the sigmoid behind them: by the reduction, whatever it is rounded to.
func authorsAttention(channels, reduction int) float64 {
	return float64(2*(channels*channels/reduction) + channels)
}

func (s *SqueezeExcite) clone() Layer {
	out := *s
	return &out
}

func (s *SqueezeExcite) respond(x *image) (*image, error) {
	hidden, err := s.Squeeze.of(x.means(), ReLU)
	if err != nil {
		return nil, err
	}
	scale, err := s.Excite.of(hidden, HSigmoid)
	if err != nil {
		return nil, err
	}
	for i := range x.v {
		x.v[i] *= scale[i/(x.h*x.w)]
	}
	return x, nil
}

// of is the layer's answer to a vector, in float64, with an activation.
func (l *Linear) of(x []float64, act Act) ([]float64, error) {
	w, err := l.Weight.Float32s()
	if err != nil {
		return nil, err
	}
	out := make([]float64, l.Out())
	if l.Bias != nil {
		bias, err := l.Bias.Float32s()
		if err != nil {
			return nil, err
		}
		for o, b := range bias {
			out[o] = float64(b)
		}
	}
	for o := range out {
		for i, v := range x {
			out[o] += float64(w[o*len(x)+i]) * v
		}
		out[o] = act.of(out[o])
	}
	return out, nil
}
