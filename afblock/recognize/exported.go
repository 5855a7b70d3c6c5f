package recognize

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// Exported is what an AFNet's export has beside the network: what afc leaves
// out of what it writes, or writes in its own way.
type Exported struct {
	Masks []string // names of outputs that hold the choices of frames
	// Joined is set where that is one output [N, blocks, T], as afc writes it.
	Joined bool
	Noise  []string // nodes that add random numbers to the choices; nil: none
	Gumbel bool     // it is Gumbel's noise, all of it: the choices are samples of the softmax
}

// Exported returns what the export of an AFNet has beside the network, nil of a
// plain network.
func (s *Shell) Exported() *Exported { return s.exported }

// outputs reads the outputs beside the answer: an AFNet may show its masks.
func (r *recognizer) outputs(answer *graph.Value) (*Exported, error) {
	if len(r.choices) == 0 {
		return nil, nil
	}
	e := &Exported{Gumbel: true}
	for _, c := range r.choices {
		e.Gumbel = e.Gumbel && c.gumbel
		for _, n := range c.noise {
			e.Noise = append(e.Noise, n.String())
		}
	}
	e.Gumbel = e.Gumbel && e.Noise != nil
	if err := r.noNoiseBeside(); err != nil {
		return nil, err
	}
	for _, o := range r.Model.Graph.Outputs() {
		if o == answer {
			continue
		}
		joined, ok := r.showsMasks(o)
		if !ok {
			return nil, r.refuse(o.Producer(), "scores, and masks of frames [N, blocks, T] or of single blocks, as outputs",
				fmt.Sprintf("%q, which is neither", o), "export the network with its scores as the one output")
		}
		e.Masks = append(e.Masks, o.Name())
		e.Joined = joined && len(r.Model.Graph.Outputs()) == 2
	}
	return e, nil
}

// noNoiseBeside refuses random numbers elsewhere than in the choices.
func (r *recognizer) noNoiseBeside() error {
	for n := range r.Model.Graph.Nodes() {
		known := slices.ContainsFunc(r.choices, func(c *choice) bool { return slices.Contains(c.noise, n) })
		if r.Live(n) && isRandom(n) && !known {
			return r.refuse(n, "random noise in choices of frames alone", "noise elsewhere", "export the network as it evaluates")
		}
	}
	return nil
}

// showsMasks reports whether an output holds the masks of all blocks (joined:
// as [N, blocks, T]), or of one, by computing it from logits.
func (r *recognizer) showsMasks(o *graph.Value) (joined, ok bool) {
	layers, _ := r.madeFrom(o)
	logits := make([][]float32, len(r.choices))
	given := map[*graph.Value]*graph.Tensor{}
	rng := rand.New(rand.NewPCG(6, 7))
	for i, c := range r.choices {
		if !slices.Contains(layers, c.logits.Producer()) {
			continue
		}
		logits[i] = randomLogits(rng, 2*len(c.at), 4)
		more, err := r.given(c, logits[i], middle)
		if err != nil {
			return false, false
		}
		for v, t := range more {
			given[v] = t
		}
	}
	if len(layers) == 0 || len(layers) > len(r.choices) || dataflow.Elements(r.Dims(o)) > probedFree {
		return false, false
	}
	t, err := r.Run(o, given)
	if err != nil {
		return false, false
	}
	got, err := numbers(t)
	if err != nil {
		return false, false
	}
	return r.isJoined(got, logits), r.areMasks(got, logits)
}

// isJoined reports whether numbers are the masks chosen by logits, in the order
// [N, blocks, T].
func (r *recognizer) isJoined(got []float32, logits [][]float32) bool {
	blocks, frames, rows := len(r.choices), r.shiftT, len(r.choices[0].at)
	if len(got) != blocks*rows || slices.ContainsFunc(logits, func(l []float32) bool { return l == nil }) {
		return false
	}
	for i, x := range got {
		clip, block, t := i/frames/blocks, i/frames%blocks, i%frames
		if !selects(x, logits[block], clip*frames+t) {
			return false
		}
	}
	return true
}

// areMasks reports whether numbers are masks in some order that keeps blocks
// apart: [N, blocks, T], [blocks, N, T], [N, T, blocks], or one block's [N, T].
func (r *recognizer) areMasks(got []float32, logits [][]float32) bool {
	var shown [][]float32
	for _, l := range logits {
		if l != nil {
			shown = append(shown, l)
		}
	}
	frames, rows := r.shiftT, len(r.choices[0].at)
	if len(got) != len(shown)*rows {
		return false
	}
	n := len(shown)
	for _, order := range []func(i int) (block, row int){
		func(i int) (int, int) { return i / frames % n, i/frames/n*frames + i%frames },
		func(i int) (int, int) { return i / rows, i % rows },
		func(i int) (int, int) { return i % n, i / n },
	} {
		fits := true
		for i, x := range got {
			block, row := order(i)
			fits = fits && selects(x, shown[block], row)
		}
		if fits {
			return true
		}
	}
	return false
}

// selects reports whether x is the mask that logits choose for a frame.
func selects(x float32, logits []float32, row int) bool {
	want := 0.0
	if logits[2*row+1] > logits[2*row] {
		want = 1
	}
	return math.Abs(float64(x)-want) <= hardness
}
