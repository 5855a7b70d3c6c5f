package interpret

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Variant says what to change of a network so that running it exercises what
// transplanted weights leave idle.
type Variant struct {
	Seed   uint64
	Frames int    // T; 0: the network's
	Size   [2]int // H, W that the network is written for
	// OneClip takes one clip at a time.
	OneClip bool
	// Otherwise answers frames that are not selected in the way that the network
	// does not: nothing in place of F(0), or F(0) in place of nothing.
	Otherwise bool
}

// String says what the variant is.
func (v Variant) String() string {
	s := fmt.Sprintf("random weights, %d×%d", v.Size[0], v.Size[1])
	if v.Frames > 0 {
		s += fmt.Sprintf(", %d frames", v.Frames)
	}
	if v.OneClip {
		s += ", one clip at a time"
	}
	if v.Otherwise {
		s += ", skipped frames answered otherwise"
	}
	return s
}

// Randomised returns a copy of a network whose navigation, gates and transforms
// have random weights, with the standard input and output, for clips of the
// variant's size: navigation chooses about half of the frames, by what is in
// them, and the gates lean either way.
func Randomised(net *afblock.Network, v Variant) *afblock.Network {
	out := net.Clone()
	r := rand.New(rand.NewPCG(v.Seed, 0))
	if v.Frames > 0 {
		out.Frames = v.Frames
	}
	out.Size, out.Shell = v.Size, afblock.StandardShell{OneClip: v.OneClip}
	if v.Otherwise {
		out.Unselected = map[afblock.Unselected]afblock.Unselected{
			afblock.UnselectedBias: afblock.UnselectedZero, afblock.UnselectedZero: afblock.UnselectedBias,
		}[net.Unselected]
	}
	shrinkGrids(out)
	for _, s := range out.Stages {
		m := s.AF
		if m == nil {
			continue
		}
		for _, n := range m.Navigation {
			randomNavigation(r, n, out.Frames)
		}
		squeeze, excite := &m.Gate.Squeeze, &m.Gate.Excite
		squeeze.Weight, excite.Weight = randomLinear(r, 2, squeeze.Weight.Dims), randomLinear(r, 4, excite.Weight.Dims)
		if excite.Bias != nil {
			excite.Bias = gaussian(r, 1, excite.Bias.Dims)
		}
		if m.Transform != nil {
			randomConv(r, m.Transform)
		}
	}
	calmGates(r, out)
	return out
}

// mostGate is how far from zero a random gate's logits may lie. A network of large
// activations has logits in the hundreds, and those that are near zero by chance
// carry the rounding of the large sums they come from: the answer would tell
// nothing but that.
const mostGate = 2

// calmGates scales the gates of a network down, one after the other, to where a
// clip of noise keeps their logits within mostGate.
func calmGates(r *rand.Rand, net *afblock.Network) {
	pixels := make([]float32, net.Frames*net.Stem.Conv.In()*net.Size[0]*net.Size[1])
	for i := range pixels {
		pixels[i] = float32(r.NormFloat64())
	}
	for range net.Stages {
		largest, err := gateLogits(net, pixels)
		if err != nil {
			return // whoever runs the network is told
		}
		wild := slices.IndexFunc(net.Stages, func(s *afblock.Stage) bool { return largest[s.Name] > mostGate })
		if wild < 0 {
			return
		}
		excite := &net.Stages[wild].AF.Gate.Excite
		excite.Weight = scaled(excite.Weight, mostGate/largest[net.Stages[wild].Name])
	}
}

// gateLogits are the largest magnitudes of the gates' logits on a clip, by stage.
func gateLogits(net *afblock.Network, pixels []float32) (map[string]float64, error) {
	n, err := New(net)
	if err != nil {
		return nil, err
	}
	largest := map[string]float64{}
	var mu sync.Mutex
	_, err = n.Clip(pixels, net.Size[0], net.Size[1], Given{gate: func(stage string, logits []float64) {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range logits {
			largest[stage] = max(largest[stage], math.Abs(l))
		}
	}})
	return largest, err
}

// scaled multiplies a tensor that is known to be of float32.
func scaled(t *graph.Tensor, by float64) *graph.Tensor {
	v := numbers(t)
	i := -1
	return filled(t.Dims, func() float64 { i++; return v[i] * by })
}

// randomNavigation gives navigation weights whose two logits are equally
// likely to win.
func randomNavigation(r *rand.Rand, n *afblock.Navigation, frames int) {
	randomConv(r, &n.Look)
	in := int64(2)
	if n.Dense() {
		in = int64(2 * frames)
	} else {
		n.Choice.Groups = frames
	}
	n.Choice.Weight = gaussian(r, 1, []int64{int64(2 * frames), in, 1, 1})
	n.Choice.Bias = gaussian(r, 0.1, []int64{int64(2 * frames)})
	n.Fixed = nil
	if c := n.Cells; c != nil && c.Fixed == nil {
		randomConv(r, &c.Look)
		c.Choice.Weight, c.Choice.Bias = gaussian(r, 1, c.Choice.Weight.Dims), gaussian(r, 0.1, c.Choice.Bias.Dims)
	}
}

// randomConv gives a convolution weights that keep the size of what it reads.
func randomConv(r *rand.Rand, c *afblock.Conv) {
	fan := c.Weight.Dims[1] * c.Weight.Dims[2] * c.Weight.Dims[3]
	c.Weight = gaussian(r, 1.5/math.Sqrt(float64(fan)), c.Weight.Dims)
	if c.BN != nil {
		bn := *c.BN
		bn.Gamma, bn.Beta, bn.Mean = around(r, 1, bn.Gamma.Dims), gaussian(r, 0.2, bn.Beta.Dims), gaussian(r, 0.2, bn.Mean.Dims)
		bn.Var = around(r, 1, bn.Var.Dims)
		c.BN = &bn
	}
}

// randomLinear draws weights [out, in] that make inputs of one outputs of about
// the scale.
func randomLinear(r *rand.Rand, scale float64, dims []int64) *graph.Tensor {
	return gaussian(r, scale/math.Sqrt(float64(dims[1])), dims)
}

func gaussian(r *rand.Rand, scale float64, dims []int64) *graph.Tensor {
	return filled(dims, func() float64 { return scale * r.NormFloat64() })
}

// around draws numbers between half and one and a half of a centre.
func around(r *rand.Rand, centre float64, dims []int64) *graph.Tensor {
	return filled(dims, func() float64 { return centre * (0.5 + r.Float64()) })
}

func filled(dims []int64, next func() float64) *graph.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(next())
	}
	return graph.Float32s(dims, v...)
}

// shrinkGrids gives each block as many cells as its maps have pixels a side, where
// its grid is larger.
func shrinkGrids(net *afblock.Network) {
	wanted := map[*afblock.Navigation]int{}
	for _, n := range net.Navigation() {
		if n.Cells != nil {
			wanted[n], n.Cells.Grid = n.Cells.Grid, 1
		}
	}
	var current *afblock.Navigation
	for u := range net.Walk(net.Size) {
		switch u.Part {
		case afblock.PartCells:
			current = u.Navigation
			wanted[current] = min(wanted[current], u.In.Size[0], u.In.Size[1])
		case afblock.PartFocal:
			if size := u.Block.Through(u.In.Size); current != nil {
				wanted[current] = min(wanted[current], size[0], size[1])
			}
			current = nil
		}
	}
	for n, grid := range wanted {
		n.Cells.Grid = grid
	}
}
