package train

import (
	"github.com/afc-project/afc/graph"
)

// Optimizer names a rule by which weights follow gradients.
type Optimizer string

const (
	SGD   Optimizer = "sgd"   // with momentum, as PyTorch's: decay is added to the gradient, no dampening
	AdamW Optimizer = "adamw" // as PyTorch's: β 0.9 and 0.999, ε 1e-8, decay beside the gradient
)

// Update is how a step changes the weights. The zero value changes nothing.
type Update struct {
	Optimizer    Optimizer
	Momentum     float64 // of SGD
	Decay        float64 // of weights
	ClipGradient float64 // the gradient's norm is at most this; 0: any
}

// AdamW's constants.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// Moments is how many numbers a weight the update keeps.
func (u Update) Moments() int64 {
	switch u.Optimizer {
	case AdamW:
		return 2
	case SGD:
		return 1
	}
	return 0
}

// update makes the outputs of weights and moments.
func (s *stepWriter) update(u Update, weights, gradient, norm *graph.Value) {
	n := size(s.layout.Weights)
	if u.ClipGradient > 0 {
		least := s.scaled(s.binary("Add", "clip.norm", norm, s.number(1e-6)), 1/u.ClipGradient, "clip.excess")
		gradient = s.binary("Div", "clip", gradient, s.binary("Max", "clip.divisor", least, s.number(1)))
	}
	moments := s.input(MomentsIn, u.Moments()*n)
	rates := s.rates(s.input(RateIn))
	if u.Optimizer == AdamW {
		s.adamW(u, weights, gradient, moments, rates)
		return
	}
	if u.Decay != 0 {
		gradient = s.binary("Add", "decayed", gradient, s.scaled(weights, u.Decay, "decay"))
	}
	next := s.binary("Add", MomentsOut, s.scaled(moments, u.Momentum, "momentum"), gradient)
	s.output(s.binary("Sub", WeightsOut, weights, s.binary("Mul", "change", next, rates)), WeightsOut)
	s.output(next, MomentsOut)
}

func (s *stepWriter) adamW(u Update, weights, gradient, moments, rates *graph.Value) {
	n := size(s.layout.Weights)
	corrections := s.split(s.input(CorrectIn, 2), "corrections.each", 0, 1, 1)
	old := s.split(moments, "moments.each", 0, n, n)
	follow := func(name string, old, new *graph.Value, beta float64) *graph.Value {
		return s.binary("Add", name, s.scaled(old, beta, name+".kept"), s.scaled(new, 1-beta, name+".new"))
	}
	first := follow("first", old[0], gradient, beta1)
	second := follow("second", old[1], s.binary("Mul", "gradient.squared", gradient, gradient), beta2)
	deviation := s.unary("Sqrt", "deviation", s.binary("Div", "second.corrected", second, corrections[1]))
	step := s.binary("Div", "direction", s.binary("Div", "first.corrected", first, corrections[0]),
		s.binary("Add", "deviation.least", deviation, s.number(epsilon)))
	if u.Decay != 0 {
		step = s.binary("Add", "direction.decayed", step, s.scaled(weights, u.Decay, "decay"))
	}
	s.output(s.binary("Sub", WeightsOut, weights, s.binary("Mul", "change", step, rates)), WeightsOut)
	s.output(s.concat(0, MomentsOut, first, second), MomentsOut)
}

// rates is the learning rate of each weight, or of all.
func (s *stepWriter) rates(rate *graph.Value) *graph.Value {
	var each []*graph.Value
	list := s.layout.Weights
	for from := 0; from < len(list); {
		to := from
		n := int64(0)
		for to < len(list) && list[to].Times == list[from].Times {
			n += list[to].elements()
			to++
		}
		scaled := s.scaled(rate, list[from].Times, "rate.scaled")
		if from == 0 && to == len(list) {
			return scaled
		}
		each = append(each, s.node("Expand", "rate.each", []*graph.Value{scaled, s.ints(n)}))
		from = to
	}
	return s.concat(0, "rates", each...)
}
