package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Executed is what a lowered file costs.
type Executed struct {
	op.Cost
	// PeakBytes are the most bytes of activations alive at once, every frame selected.
	PeakBytes int64
}

// ExecutedCost returns what ONNX Runtime executes of one clip when the network
// is lowered with opt: unlike afblock's Cost it counts what a lowering computes
// beyond the selected frames, such as everything under Mask, the budget under
// TopK, or the choices themselves. Ratios is the share of frames that each
// focal block selects, in network order; one serves all. Of trained cells it takes all
// to be selected, of fixed ones those that are; halos count, and so do cells that
// only lie in the box around others.
//
// Every focal block adds its share independently of the others, so the cost is
// taken with each block off and on, and mixed.
func ExecutedCost(net *afblock.Network, opt Options, ratios []float64) (Executed, error) {
	opt.MasksInput, opt.Sampling, opt.counted = false, compiled.Argmax, true
	m, _, err := Lower(net, opt)
	if err != nil {
		return Executed{}, err
	}
	clip, err := net.OneClip(m)
	if err != nil {
		return Executed{}, err
	}
	if err := op.SetInputShapes(m, clip); err != nil {
		return Executed{}, err
	}
	if r := op.Infer(m); !r.OK() {
		return Executed{}, fmt.Errorf("shapes of the lowered network: %s", r)
	}
	blocks := compiled.FocalBlocks(net)
	at := func(on ...names.Focal) (op.Cost, error) {
		return op.GraphCost(m.Graph, selecting(m.Graph, net.Frames, on))
	}
	sum, err := at()
	if err != nil {
		return Executed{}, err
	}
	none, cells := sum, net.FixedCells()
	for i, b := range blocks {
		on, err := at(b)
		if err != nil {
			return Executed{}, err
		}
		r := ratios[min(i, len(ratios)-1)]
		if m.Graph.Value(names.Tiles(b.Key)) != nil {
			r *= cells[i]
		}
		if cells[i] == 0 && m.Graph.Value(names.SomeCell(b.Key)) != nil {
			r = 0 // a frame without cells is one not selected
		}
		sum.MACs += int64(r * float64(on.MACs-none.MACs))
		sum.Elementwise += int64(r * float64(on.Elementwise-none.Elementwise))
		sum.ActivationBytes += int64(r * float64(on.ActivationBytes-none.ActivationBytes))
		sum.Kernels += int64(r * float64(on.Kernels-none.Kernels))
	}
	peak, err := op.PeakBytes(m.Graph, EveryFrame(m, net))
	if err != nil {
		return Executed{}, err
	}
	return Executed{sum, peak}, nil
}

// EveryFrame says what the sizes and branches of a lowered model are when
// every block selects every frame of one clip.
func EveryFrame(m *graph.Model, net *afblock.Network) op.CostOptions {
	return selecting(m.Graph, net.Frames, compiled.FocalBlocks(net))
}

// selecting says what the sizes and branches of a lowered graph are when the
// given focal blocks select every frame of one clip and the others none.
func selecting(g *graph.Graph, frames int, on []names.Focal) op.CostOptions {
	opt := op.CostOptions{Sizes: map[string]int64{}}
	for n := range g.Nodes() {
		if s := n.Output(0).Type.Shape; n.Is("NonZero") && len(s) == 2 && !s[1].Known() {
			opt.Sizes[s[1].Param] = 0
			if slices.ContainsFunc(on, func(b names.Focal) bool { return b.Owns(n.Name) }) {
				opt.Sizes[s[1].Param] = int64(frames)
			}
			for _, b := range on {
				if n.Name == names.Tiles(b.Key) {
					opt.Sizes[s[1].Param] = int64(frames * b.Grid * b.Grid)
				}
			}
		}
	}
	// A choice may decide several blocks one after the other: it is the
	// choice of the block that only its then branch computes for sure.
	opt.Then = func(n *graph.Node) float64 {
		then, els := n.Attr("then_branch"), n.Attr("else_branch")
		for _, b := range on {
			if then != nil && els != nil && computes(then.Graph, b) && !computes(els.Graph, b) {
				return 1
			}
		}
		return 0
	}
	return opt
}

// computes reports whether a graph holds a main convolution of a focal block.
func computes(g *graph.Graph, b names.Focal) bool {
	for n := range g.AllNodes() {
		if n.Is("Conv") && slices.ContainsFunc(b.ConvWeights, func(w string) bool { return isOf(n.Input(1), w) }) {
			return true
		}
	}
	return false
}

// isOf reports whether a kernel is the weight of that name, a piece of it or a
// view of either.
func isOf(kernel *graph.Value, weight string) bool {
	if p := kernel.Producer(); p != nil && p.Is("Reshape") {
		kernel = p.Input(0)
	}
	return names.PieceOf(kernel.Name(), weight)
}
