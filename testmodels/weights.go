package testmodels

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/afc-project/afc/graph"
)

// stat is what is expected of a tensor's elements on unit-variance input.
type stat struct{ mean, variance float64 }

// relu returns the moments of max(0, x) for normal x.
func (s stat) relu() stat {
	sd := math.Sqrt(s.variance)
	if sd == 0 {
		return stat{max(0, s.mean), 0}
	}
	z := s.mean / sd
	density := math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
	below := math.Erfc(-z/math.Sqrt2) / 2
	mean := s.mean*below + sd*density
	square := (s.mean*s.mean+s.variance)*below + s.mean*sd*density
	return stat{mean, max(0, square-mean*mean)}
}

func (s stat) plus(o stat) stat { return stat{s.mean + o.mean, s.variance + o.variance} }

// rng returns the generator of one tensor, so that weights do not depend on the
// order in which tensors are made.
func rng(seed uint64, key string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(key))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// around returns n values uniform in mid ± spread.
func around(r *rand.Rand, n int, mid, spread float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mid) + float32(spread)*(2*r.Float32()-1)
	}
	return v
}

// wide is the number of taps from which on filters sum to zero.
const wide = 8

// filter returns the weights of out filters of n taps, each of variance 1/n.
// Filters sum to zero where they are wide enough: what all activations have in
// common (ReLU makes it large) cancels, and the input shows in the output.
func filter(r *rand.Rand, out, n int) []float32 {
	w := around(r, out*n, 0, math.Sqrt(3/float64(n)))
	if n < wide {
		return w
	}
	for o := range out {
		f := w[o*n : (o+1)*n]
		var sum float64
		for _, x := range f {
			sum += float64(x)
		}
		mean := float32(sum / float64(n))
		for i := range f {
			f[i] -= mean
		}
	}
	return w
}

// throughFilter returns the variance behind a filter of n taps.
func (s stat) throughFilter(n int) float64 {
	if n < wide {
		return s.variance + s.mean*s.mean
	}
	return s.variance
}

const bnEpsilon = 1e-5

// bnorm is a batch normalisation's parameters.
type bnorm struct{ gamma, beta, mean, variance []float32 }

// newBNorm normalises channels of the expected variance to standard deviation
// around gain.
func newBNorm(r *rand.Rand, channels int, variance, gain float64) bnorm {
	sd := math.Sqrt(variance)
	return bnorm{
		gamma:    around(r, channels, gain, 0.2*gain),
		beta:     around(r, channels, 0, 0.2*gain),
		mean:     around(r, channels, 0, 0.2*sd),
		variance: around(r, channels, variance, 0.1*variance),
	}
}

// fold multiplies the normalisation into filters w and returns the biases.
func (b bnorm) fold(w []float32) []float32 {
	bias := make([]float32, len(b.gamma))
	taps := len(w) / len(b.gamma)
	for c := range bias {
		scale := float32(float64(b.gamma[c]) / math.Sqrt(float64(b.variance[c])+bnEpsilon))
		for i := range taps {
			w[c*taps+i] *= scale
		}
		bias[c] = b.beta[c] - b.mean[c]*scale
	}
	return bias
}

func vector(v []float32) *graph.Tensor { return graph.Float32s([]int64{int64(len(v))}, v...) }

func dims(d ...int) []int64 {
	out := make([]int64, len(d))
	for i, n := range d {
		out[i] = int64(n)
	}
	return out
}
