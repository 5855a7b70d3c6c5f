package passes

import (
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/half"
)

// widenFloat16 makes a half-precision model compute in float32, behind and in
// front of casts at its inputs and outputs. ONNX Runtime's CPU provider has no
// half-precision convolution and would cast around each one at every run; AF
// modules are computed in float32. Values only get more exact. Half-precision
// weights behind a Cast are no business of this pass: folding constants widens
// them.
func widenFloat16(s *State) error {
	if !convolvesHalf(s.Model) {
		return nil
	}
	change, err := half.Widen(s.Model)
	if err != nil {
		return err
	}
	for _, n := range change.Casts {
		s.stamp(n)
	}
	s.changed(change.Tensors)
	s.note(nil, "widened %d half-precision tensors: ONNX Runtime's CPU provider convolves in float32", change.Tensors)
	return nil
}

// convolvesHalf reports whether a convolution has a half-precision kernel.
func convolvesHalf(m *graph.Model) bool {
	for n := range nodes(m) {
		if t := n.Input(1).Const(); n.Is("Conv") && t != nil && half.Is(t.DType) {
			return true
		}
	}
	return false
}
