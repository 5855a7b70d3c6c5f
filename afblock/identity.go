package afblock

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// AllFocal returns the network with every frame selected and its gates fully on
// the focal side. With transplanted weights, dense focal convolutions and
// strides at the source's places it then computes exactly what its source
// computes; where that cannot be, the error says why.
func (net *Network) AllFocal() (*Network, error) {
	out := net.Clone()
	for i, n := range out.AllNavigation() {
		if n.Fixed == nil {
			return nil, fmt.Errorf("navigation %s was trained, so the focal branch is no longer the source's", n.Key)
		}
		Pattern{1}.spell(n, net.Frames, i)
	}
	for _, s := range out.Stages {
		switch {
		case s.AF == nil:
			continue
		case s.AF.Groups != 1:
			return nil, fmt.Errorf("the focal convolutions of %s have %d groups, the source's one", s.Name, s.AF.Groups)
		case s.AF.Fusion.Stride() != 1:
			return nil, fmt.Errorf("%s halves in its fusion block, the source in the first block of the next stage", s.Name)
		}
		w2 := s.AF.Gate.W2.Dims
		s.AF.Gate.W2 = graph.Float32s(w2, make([]float32, w2[0]*w2[1])...)
		s.AF.Gate.B2 = fill(s.AF.Fusion.In(), gateClosed)
	}
	return out, nil
}
