package afblock

import (
	"fmt"
	"slices"
)

// Convention is a way to count what a network costs. Papers' "GFLOPs" are
// mostly the first.
type Convention int

const (
	// CountMACs counts the multiply–accumulates of convolutions and linear
	// layers.
	CountMACs Convention = iota
	// CountFLOPs counts two for each of them, and one for each element that
	// an elementwise operation makes or a pooling window reads; batch
	// normalisation that is not folded makes two, a bias one.
	CountFLOPs
	// CountAuthors counts as the authors' code does (forward_calc_flops): MACs
	// of convolutions, 9·C·H·W a pool, C·H·W a global pool, nothing for batch
	// normalisation, ReLU, additions. Two oddities of it are kept, since
	// published numbers have them: navigation's second convolution is counted
	// once a frame, though it runs once a clip, and the gate's sigmoid counts C,
	// as that of squeeze-and-excitation does.
	CountAuthors
)

var conventionNames = []string{CountMACs: "mac", CountFLOPs: "flop", CountAuthors: "authors"}

func (c Convention) String() string { return conventionNames[c] }

// ParseConvention reads "mac", "flop" or "authors".
func ParseConvention(s string) (Convention, error) {
	for c, name := range conventionNames {
		if name == s {
			return Convention(c), nil
		}
	}
	return 0, fmt.Errorf("convention %q: expected mac, flop or authors", s)
}

// Ops is an amount of work, in every convention at once.
type Ops struct {
	MACs        float64 // multiply–accumulates
	Elementwise float64 // elements made by anything else
	Authors     float64 // as the authors count
	Activations float64 // elements of the maps written: outputs of convolutions, pools, sums, ReLUs
}

// Count returns the amount in a convention.
func (o Ops) Count(c Convention) float64 {
	switch c {
	case CountFLOPs:
		return 2*o.MACs + o.Elementwise
	case CountAuthors:
		return o.Authors
	}
	return o.MACs
}

func (o Ops) plus(p Ops) Ops {
	return Ops{o.MACs + p.MACs, o.Elementwise + p.Elementwise, o.Authors + p.Authors, o.Activations + p.Activations}
}

func (o Ops) times(f float64) Ops {
	return Ops{o.MACs * f, o.Elementwise * f, o.Authors * f, o.Activations * f}
}

// PartResidual is the residual paths of focal blocks, which every frame takes;
// PartFocal is their main paths, which selected frames take alone.
const PartResidual Part = "focal-residual"

// CostItem is what one block costs a clip.
type CostItem struct {
	Stage  string // "stem", "layer1" …, "head"
	Key    string // of the block, "" of the stem
	Part   Part
	Ops    Ops     // of a clip, at Ratio
	Full   Ops     // of a clip, every frame selected
	Ratio  float64 // of the frames and their cells computed; 1 but for PartFocal
	Params int64   // elements of the weights
}

// CostTable is what a network costs a clip, block by block in network order.
type CostTable struct {
	Frames int
	Size   Size
	Items  []CostItem
}

// Total returns the cost of a clip.
func (t *CostTable) Total() Ops { return t.Sum(func(CostItem) bool { return true }) }

// Sum returns the cost of the items that match.
func (t *CostTable) Sum(match func(CostItem) bool) Ops {
	var sum Ops
	for _, item := range t.Items {
		if match(item) {
			sum = sum.plus(item.Ops)
		}
	}
	return sum
}

// Params returns the elements of the network's weights.
func (t *CostTable) Params() int64 {
	var n int64
	for _, item := range t.Items {
		n += item.Params
	}
	return n
}

// CostOptions say for which clips a cost is asked.
type CostOptions struct {
	Frames int  // 0: the network's
	Size   Size // of a frame; 0: the network's
	// Ratios is the share of frames that each focal block selects, in network
	// order; one serves all; none: 1.
	Ratios []float64
	// Cells is the share of cells that each focal block selects of the frames that
	// it selects, likewise; none: 1, and of fixed cells the share that is fixed.
	Cells []float64
}

// Cost counts what a clip costs.
func (net *Network) Cost(opt CostOptions) (*CostTable, error) {
	t := &CostTable{Frames: opt.Frames, Size: opt.Size}
	if t.Frames == 0 {
		t.Frames = net.Frames
	}
	if t.Size == (Size{}) {
		t.Size = net.Size
	}
	if t.Frames < 1 || !t.Size.Known() {
		return nil, fmt.Errorf("cost of %d frames of %s: give --frames and --size", t.Frames, t.Size)
	}
	ratios, err := net.shares(opt)
	if err != nil {
		return nil, err
	}
	m := &meter{net: net, table: t, ratios: ratios}
	for u, err := range net.Walk(t.Size) {
		if err != nil {
			return nil, err
		}
		m.unit(u)
	}
	return t, nil
}

// shares is what each focal block computes of its frames and their cells.
func (net *Network) shares(opt CostOptions) ([]float64, error) {
	frames, err := net.perBlock(opt.Ratios)
	if err != nil {
		return nil, err
	}
	cells := net.FixedCells()
	if len(opt.Cells) > 0 {
		if cells, err = net.perBlock(opt.Cells); err != nil {
			return nil, err
		}
	}
	shares := make([]float64, len(frames))
	for i, f := range frames {
		shares[i] = f * cells[i]
	}
	return shares, nil
}

// perBlock spells ratios out for each focal block.
func (net *Network) perBlock(ratios []float64) ([]float64, error) {
	blocks := len(net.Navigation())
	for _, r := range ratios {
		if !(r >= 0 && r <= 1) {
			return nil, fmt.Errorf("ratio %g: expected 0 to 1", r)
		}
	}
	switch len(ratios) {
	case blocks:
		return ratios, nil
	case 0:
		return slices.Repeat([]float64{1}, blocks), nil
	case 1:
		return slices.Repeat(ratios, blocks), nil
	}
	return nil, fmt.Errorf("ratios for %d blocks; the network has %d that select frames", len(ratios), blocks)
}

// FixedCells is the share of cells that each focal block selects whatever it
// sees: 1 where it chooses no cells, or by what it sees.
func (net *Network) FixedCells() []float64 {
	var shares []float64
	for i, n := range net.Navigation() {
		share := 1.0
		if c := n.Cells; c != nil && c.Fixed != nil {
			on := 0
			for _, selected := range c.Fixed.Select(c.Grid, i) {
				if selected {
					on++
				}
			}
			share = float64(on) / float64(c.Grid*c.Grid)
		}
		shares = append(shares, share)
	}
	return shares
}
