package verify

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// bisectChunk is how many intermediate values are looked at in one run where
// nothing is known of their size: each is a whole feature map in memory.
const bisectChunk = 12

// pair is a value that two models both compute.
type pair struct{ a, b string }

// pairs lists what two models both compute at their top level, in a's order:
// values of the same name, and convolutions with the same weights where those
// occur once.
func pairs(a, b *graph.Model) []pair {
	byWeight := map[[32]byte]*graph.Node{}
	for n := range b.Graph.Nodes() {
		if key, ok := weightKey(n); ok {
			if _, twice := byWeight[key]; twice {
				byWeight[key] = nil
			} else {
				byWeight[key] = n
			}
		}
	}
	var out []pair
	for n := range a.Graph.Nodes() {
		for _, v := range n.Outputs() {
			if v == nil {
				continue
			}
			if w := b.Graph.Value(v.Name()); w != nil && w.Producer() != nil && w.Producer().OpType == n.OpType {
				out = append(out, pair{v.Name(), v.Name()})
				continue
			}
			if key, ok := weightKey(n); ok {
				if m := byWeight[key]; m != nil {
					out = append(out, pair{v.Name(), m.Output(0).Name()})
				}
			}
		}
	}
	return out
}

// weightKey identifies a convolution by its weights.
func weightKey(n *graph.Node) ([32]byte, bool) {
	if !n.Is("Conv") {
		return [32]byte{}, false
	}
	w := n.Input(1).Const()
	if w == nil {
		return [32]byte{}, false
	}
	raw, err := w.Bytes()
	if err != nil {
		return [32]byte{}, false
	}
	return sha256.Sum256(raw), true
}

// firstDifference finds the first value, in a's order, that two models both
// compute but not alike. Run runs a model with up to atOnce of its values as
// outputs instead of its own. The name is "" if they agree on all.
func firstDifference(a, b *graph.Model, tol Tolerance, atOnce int, run func(m *graph.Model) (*outcome, error)) (Difference, error) {
	for chunk := range slices.Chunk(pairs(a, b), atOnce) {
		got, err := run(withOutputs(a, chunk, func(p pair) string { return p.a }))
		if err != nil {
			return Difference{}, err
		}
		want, err := run(withOutputs(b, chunk, func(p pair) string { return p.b }))
		if err != nil {
			return Difference{}, err
		}
		for _, p := range chunk {
			g, w := got.outputs[p.a], want.outputs[p.b]
			if g.DType != w.DType || !slices.Equal(g.Dims, w.Dims) {
				continue // a lowering keeps fewer rows than another
			}
			d, err := Compare(p.a, g, w, tol)
			if err != nil {
				return Difference{}, err
			}
			if !d.OK() {
				return d, nil
			}
		}
	}
	return Difference{}, nil
}

// withOutputs returns a copy of m whose outputs are the given values.
func withOutputs(m *graph.Model, pairs []pair, name func(pair) string) *graph.Model {
	c := m.Clone()
	g := c.Graph
	for len(g.Outputs()) > 0 {
		g.RemoveOutput(len(g.Outputs()) - 1)
	}
	for _, p := range pairs {
		if v := g.Value(name(p)); !v.IsOutput() {
			g.AddOutput(v)
		}
	}
	return c
}

// blame says where the model and its reference part, as a suffix to a message:
// by the interpreter where there is one, else by the first value that both
// compute. Force is what both were made to choose, nil for their own choice. It
// looks once a report: a fault shows in many checks.
func (p *prover) blame(m, ref *graph.Model, clips [][]float32, force, cells [][]uint8) string {
	if p.blamed {
		return ""
	}
	p.blamed = true
	if p.s.Network != nil {
		b, err := p.runBeside(trial{clips: clips, force: force, cells: cells})
		if err != nil {
			return fmt.Sprintf("; the place was not found: %v", err)
		}
		return p.place(b)
	}
	// Small clips have small maps: look at more of them at once.
	atOnce := bisectChunk * max(1, 8*224*224/(len(clips)*p.sample()*p.h*p.w))
	d, err := firstDifference(m, ref, p.tol(Reordered), atOnce, func(m *graph.Model) (*outcome, error) {
		s, err := ort.NewSession(m, p.unoptimised())
		if err != nil {
			return nil, err
		}
		defer s.Close()
		inputs, err := p.inputs(m, s, clips, nil)
		if err != nil {
			return nil, err
		}
		return p.runSession(s, inputs)
	})
	switch {
	case err != nil:
		return fmt.Sprintf("; the place was not found: %v", err)
	case d.Output == "":
		return "; no value that both compute differs before the outputs"
	}
	return fmt.Sprintf("; first differs at %s (error %s)", d.Where(), d.Figure())
}
