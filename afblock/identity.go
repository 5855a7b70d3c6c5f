package afblock

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// Identity returns the network with every frame selected and its gates fully on
// the focal side. With transplanted weights, dense focal convolutions and
// strides at the source's places it then computes exactly what its source
// computes; where that cannot be, the error says why.
func (net *Network) Identity() (*Network, error) {
	if p := net.Schedule(); p != nil {
		return nil, fmt.Errorf("its blocks compute the frames of a schedule (%s)", p)
	}
	out := net.Clone()
	for i, n := range out.Navigation() {
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
		excite := &s.AF.Gate.Excite
		excite.Weight = graph.Float32s(excite.Weight.Dims, make([]float32, excite.Weight.Dims[0]*excite.Weight.Dims[1])...)
		excite.Bias = fill(s.AF.Fusion.In(), gateClosed)
	}
	return out, nil
}

// IdentityFrom returns an AFNet that computes what src computes, made of src anew
// (dense focal convolutions, strides at the source's places, every frame
// selected, the gates open), with as much of net as fits in: its shell, head and
// stem, and the blocks that no rewrite changes. Net, made of src with other
// options, is then held to src by more than shapes.
func (net *Network) IdentityFrom(src *Network) (*Network, error) {
	twin, err := Rewrite(src, RewriteOptions{
		Frames: net.Frames, Groups: 1, StrideAt: StrideSource, Navigation: Pattern{1}, Unselected: net.Unselected, GateOpen: true,
	})
	if err != nil {
		return nil, err
	}
	if len(twin.Stages) != len(net.Stages) {
		return nil, fmt.Errorf("it has %d stages, the source %d", len(net.Stages), len(twin.Stages))
	}
	twin.Shell, twin.Head, twin.Stem = net.Shell, net.Head, net.Stem
	for i, s := range net.Stages {
		to := twin.Stages[i]
		if (s.AF == nil) != (to.AF == nil) || len(s.Blocks) != len(to.Blocks) {
			return nil, fmt.Errorf("%s is not what becomes of the source's", s.Name)
		}
		for n, b := range s.Blocks {
			to.Blocks[n].takeWeights(b)
		}
		if s.AF != nil {
			to.AF.Fusion.takeWeights(s.AF.Fusion)
		}
	}
	return twin, nil
}

// takeWeights gives a block another's weights, not its strides.
func (b *Block) takeWeights(from *Block) {
	for i, c := range from.Convs() {
		if i < len(b.Convs()) {
			b.Convs()[i].Weight, b.Convs()[i].Bias, b.Convs()[i].BN = c.Weight, c.Bias, c.BN
		}
	}
	if c := from.Residual.Conv; c != nil && b.Residual.Conv != nil {
		b.Residual.Conv.Weight, b.Residual.Conv.Bias, b.Residual.Conv.BN = c.Weight, c.Bias, c.BN
	}
}
