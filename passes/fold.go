package passes

import (
	"errors"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// smallBytes is what a folded constant may take whatever it was computed from.
// Larger results are folded only where they take at most twice what goes into
// them (a weight transposed or widened), so that a file of a few kilobytes
// never turns into one of megabytes of zeros. All of them together may take
// foldedBytes and twice the constants of the source, whatever the chain.
const (
	smallBytes  = 64 << 10
	foldedBytes = 32 << 20
)

// foldConstants computes nodes that read nothing but constants.
func foldConstants(s *State) error {
	if s.foldable == 0 {
		s.foldable = foldedBytes + 2*Measure(s.Model).Bytes
	}
	for g := range graphs(s.Model) {
		for n := range g.Nodes() {
			if n.Is("Constant") || !op.CanEval(n) || unused(n) || makesOutput(n) {
				continue
			}
			in, bytes, ok := constantInputs(n)
			if !ok {
				continue
			}
			out, err := op.EvalWith(n, in, op.EvalOptions{MaxBytes: min(max(smallBytes, 2*bytes), s.foldable)})
			if errors.Is(err, op.ErrTooLarge) {
				s.note(n, "its result is constant, but too large to store")
				continue
			}
			if err != nil {
				s.note(n, "its inputs are constant, but: %v", err)
				continue
			}
			for _, t := range out {
				if t != nil {
					size, _ := t.NumBytes() // known: it was just made
					s.foldable = max(s.foldable-size, 1)
				}
			}
			toInitializers(g, n, out)
			s.changed(1)
		}
	}
	return nil
}

func makesOutput(n *graph.Node) bool {
	for _, v := range n.Outputs() {
		if v != nil && v.IsOutput() {
			return true
		}
	}
	return false
}

// constantInputs returns the tensors that a node reads, and the bytes they
// take; ok is false where one is not constant.
func constantInputs(n *graph.Node) (in []*graph.Tensor, bytes int64, ok bool) {
	for _, v := range n.Inputs() {
		t := v.Const()
		if v != nil && t == nil {
			return nil, 0, false
		}
		if t != nil {
			size, err := t.NumBytes()
			if err != nil {
				return nil, 0, false
			}
			bytes += size
		}
		in = append(in, t)
	}
	return in, bytes, true
}
