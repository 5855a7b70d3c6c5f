package recognize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
	"github.com/afc-project/afc/graph/op"
)

// choice is what lies between navigation's logits and a mask of frames. However
// it is spelled (a comparison, argmax and one-hot, softmax and what is left of a
// straight-through estimator), it is told by computing it.
type choice struct {
	logits *graph.Value  // what the last layer of navigation makes, [N, 2T, 1, 1]
	mask   *graph.Value  // holds the masks,
	at     []int64       // for each frame of the batch at this element
	noise  []*graph.Node // that make random numbers on the way
	gumbel bool          // they are Gumbel's: the choice is a sample of the softmax
}

// choiceOf finds the layer that a product's mask is made from.
func (r *recognizer) choiceOf(p *product) (*choice, *graph.Node, error) {
	c := &choice{mask: p.mask, at: p.at}
	layers, noise := r.madeFrom(p.mask)
	c.noise = noise
	if len(layers) != 1 {
		return nil, nil, r.refuse(p.node, "a mask made of the logits of one layer, navigation's last", fmt.Sprintf("one made of %s", listNodes(layers)), "")
	}
	c.logits = layers[0].Output(0)
	return c, layers[0], nil
}

// madeFrom lists the layers with weights that v is made of, as far as no other
// layer lies between, and the nodes on the way that make random numbers.
func (r *recognizer) madeFrom(v *graph.Value) (layers, noise []*graph.Node) {
	seen := map[*graph.Node]bool{}
	work := []*graph.Value{v}
	for len(work) > 0 {
		v, n := work[0], producer(work[0])
		work = work[1:]
		if n == nil || seen[n] || r.Constant(v) != nil {
			continue
		}
		seen[n] = true
		switch {
		case n.Is("Conv", "Gemm", "MatMul"):
			layers = append(layers, n)
			continue
		case isRandom(n):
			noise = append(noise, n)
			if !n.Is("Bernoulli", "Multinomial") {
				continue // only the shape of what it reads counts
			}
		}
		work = append(work, n.Inputs()...)
	}
	return layers, noise
}

// isRandom reports whether a node makes random numbers.
func isRandom(n *graph.Node) bool {
	return strings.HasPrefix(n.OpType, "Random") && n.Is(n.OpType) || n.Is("Bernoulli", "Multinomial")
}

func listNodes(nodes []*graph.Node) string {
	rs := make([]reader, len(nodes))
	for i, n := range nodes {
		rs[i].node = n
	}
	return listReaders(rs)
}

// hardness is how far a mask may be from 0 and 1: what (hard − soft) + soft
// leaves of them in float32.
const hardness = 1e-6

// decides holds a choice to the larger logit, computing it on random logits and
// on ties, its noise at the middle of its range: there it favours neither.
func (r *recognizer) decides(c *choice) error {
	rng := rand.New(rand.NewPCG(2, 3))
	var lost, ties, swapped bool
	for try := range 8 {
		logits := randomLogits(rng, 2*len(c.at), try)
		got, err := r.maskOf(c, logits, middle)
		if err != nil {
			return r.refuseChoice(c, "a mask computed from the logits of "+c.logits.Producer().String(), err.Error(), noiseHint(c))
		}
		for b, x := range got {
			if math.Abs(float64(x)) > hardness && math.Abs(float64(x)-1) > hardness || x != x {
				return r.soft(c, x)
			}
			switch lead, on := logits[2*b+1]-logits[2*b], x > 0.5; {
			case lead == 0:
				ties = ties || on
			case on != (lead > 0):
				lost = true
			default:
				swapped = true // not the other way round
			}
		}
	}
	found := "another choice"
	switch {
	case !lost && !ties:
		return nil
	case !lost:
		found = "one that selects it where both are equal, too"
	case !swapped:
		found = "one that selects it where its first logit is the larger"
	case len(c.noise) > 0:
		found = fmt.Sprintf("one in which noise (%s) does more than blur that", listNodes(c.noise))
	}
	return r.refuseChoice(c, "a choice: a frame is selected where its second logit is the larger", found, noiseHint(c))
}

// soft is the refusal of masks between 0 and 1.
func (r *recognizer) soft(c *choice, x float32) error {
	return r.refuseChoice(c, "a mask of 0 and 1, which leaves frames out",
		fmt.Sprintf("a soft mask, which multiplies a frame by %.2g: no frame is left out", x),
		"export the network as it evaluates, choosing by the larger logit (hard sampling)")
}

// refuseChoice is the refusal of what makes a mask, whatever its nodes would say
// in a trunk.
func (r *recognizer) refuseChoice(c *choice, expected, found, hint string) error {
	e := r.refuse(nil, expected, found, hint).(*Error)
	e.Node = c.mask.Producer().String()
	return e
}

func noiseHint(c *choice) string {
	if len(c.noise) == 0 {
		return ""
	}
	return "export the network without noise, choosing by the larger logit"
}

// randomLogits are pairs of logits, near and far from each other, all equal
// the first time and some later.
func randomLogits(rng *rand.Rand, n, try int) []float32 {
	logits := make([]float32, n)
	scale := math.Ldexp(1, try-4)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * scale)
		if i%2 == 1 && (try == 0 || rng.IntN(8) == 0) {
			logits[i] = logits[i-1]
		}
	}
	return logits
}

// middle is the middle of a random range.
func middle(int) float64 { return 0.5 }

// maskOf computes the mask of every frame from logits and noise: the i-th
// random number of a node as a part of its range.
func (r *recognizer) maskOf(c *choice, logits []float32, noise func(i int) float64) ([]float32, error) {
	t, err := r.computed(c, c.mask, logits, noise)
	if err != nil {
		return nil, err
	}
	all, err := numbers(t)
	if err != nil {
		return nil, err
	}
	mask := make([]float32, len(c.at))
	for b, at := range c.at {
		if at < 0 || at >= int64(len(all)) {
			return nil, fmt.Errorf("%d masks for %d frames", len(all), len(c.at))
		}
		mask[b] = all[at]
	}
	return mask, nil
}

// computed runs what lies between a choice's logits and v.
func (r *recognizer) computed(c *choice, v *graph.Value, logits []float32, noise func(i int) float64) (*graph.Tensor, error) {
	given, err := r.given(c, logits, noise)
	if err != nil {
		return nil, err
	}
	return r.Run(v, given)
}

// given are logits and noise as values that are known.
func (r *recognizer) given(c *choice, logits []float32, noise func(i int) float64) (map[*graph.Value]*graph.Tensor, error) {
	if dataflow.Elements(r.Dims(c.logits)) != int64(len(logits)) {
		return nil, fmt.Errorf("%s makes %v", c.logits.Producer(), r.Dims(c.logits))
	}
	t, err := op.Cast(graph.Float32s(r.Dims(c.logits), logits...), c.logits.Type.Elem)
	if err != nil {
		return nil, err
	}
	given := map[*graph.Value]*graph.Tensor{c.logits: t}
	for _, n := range slices.Backward(c.noise) { // those nearest to the logits first
		if given[n.Output(0)], err = r.drawn(n, given, noise); err != nil {
			return nil, err
		}
	}
	return given, nil
}

// drawn is what a random node makes: numbers of its range, or, of Bernoulli, the
// likelier.
func (r *recognizer) drawn(n *graph.Node, given map[*graph.Value]*graph.Tensor, noise func(i int) float64) (*graph.Tensor, error) {
	d := r.Dims(n.Output(0))
	if d == nil || dataflow.Elements(d) > probedFree {
		return nil, fmt.Errorf("%s makes tensors of unknown size", n)
	}
	x := make([]float32, dataflow.Elements(d))
	switch {
	case n.Is("RandomUniform", "RandomUniformLike"):
		low, high := float64(n.AttrFloat("low", 0)), float64(n.AttrFloat("high", 1))
		for i := range x {
			x[i] = float32(low + noise(i)*(high-low))
		}
	case n.Is("RandomNormal", "RandomNormalLike"):
		for i := range x {
			x[i] = n.AttrFloat("mean", 0)
		}
	case n.Is("Bernoulli"):
		p, err := r.Run(n.Input(0), given)
		if err != nil {
			return nil, err
		}
		likely, err := numbers(p)
		if err != nil || len(likely) != len(x) {
			return nil, fmt.Errorf("%s reads no probabilities", n)
		}
		for i := range x {
			if likely[i] > 0.5 {
				x[i] = 1
			}
		}
	default:
		return nil, fmt.Errorf("%s has no middle", n)
	}
	return op.Cast(graph.Float32s(d, x...), n.Output(0).Type.Elem)
}

// numbers are a tensor's elements, those of other types than floats as float32.
func numbers(t *graph.Tensor) ([]float32, error) {
	wide, err := op.Cast(t, graph.Float32)
	if err != nil {
		return nil, err
	}
	return wide.Float32s()
}

// isGumbel reports whether a choice's noise is Gumbel's, −log(−log U) of one
// uniform number a logit, so that what it chooses is a sample of the softmax.
// U or 1 − U: both are uniform.
func (r *recognizer) isGumbel(c *choice) bool {
	if len(c.noise) != 1 || dataflow.Elements(r.Dims(c.noise[0].Output(0))) != int64(2*len(c.at)) {
		return false
	}
	return r.samples(c, func(u float64) float64 { return u }) || r.samples(c, func(u float64) float64 { return 1 - u })
}

func (r *recognizer) samples(c *choice, uniform func(float64) float64) bool {
	rng := rand.New(rand.NewPCG(4, 5))
	for range 8 {
		logits := randomLogits(rng, 2*len(c.at), 4)
		u := make([]float64, len(logits))
		for i := range u {
			u[i] = float64(float32(0.02 + 0.96*rng.Float64()))
		}
		got, err := r.maskOf(c, logits, func(i int) float64 { return u[i] })
		if err != nil {
			return false
		}
		gumbel := func(i int) float64 { return float64(logits[i]) - math.Log(-math.Log(uniform(u[i]))) }
		for b, x := range got {
			if lead := gumbel(2*b+1) - gumbel(2*b); math.Abs(lead) > 1e-3 && (x > 0.5) != (lead > 0) {
				return false
			}
		}
	}
	return true
}
