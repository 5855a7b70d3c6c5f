package codegen

import (
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// ExecutedCost returns what ONNX Runtime executes of one clip when the network
// is lowered with opt: unlike afblock's Cost it counts what a lowering computes
// beyond the selected frames, such as everything under Mask, the budget under
// TopK, or the choices themselves. Ratios is the share of frames that each
// focal block selects, in network order; one serves all.
//
// Every focal block adds its share independently of the others, so the cost is
// taken with each block off and on, and mixed.
func ExecutedCost(net *afblock.Network, opt Options, ratios []float64) (graph.Cost, error) {
	opt.MasksInput, opt.Gumbel = false, false
	m, err := Lower(net, opt)
	if err != nil {
		return graph.Cost{}, err
	}
	if err := fixClip(m, net); err != nil {
		return graph.Cost{}, err
	}
	if r := graph.Infer(m); !r.OK() {
		return graph.Cost{}, fmt.Errorf("shapes of the lowered network: %s", r)
	}
	blocks := FocalBlocks(net)
	at := func(on int) (graph.Cost, error) {
		return graph.GraphCost(m.Graph, selecting(m.Graph, net, blocks, on))
	}
	sum, err := at(-1)
	if err != nil {
		return graph.Cost{}, err
	}
	none := sum
	for i := range blocks {
		on, err := at(i)
		if err != nil {
			return graph.Cost{}, err
		}
		r := ratios[min(i, len(ratios)-1)]
		sum.MACs += int64(r * float64(on.MACs-none.MACs))
		sum.Elementwise += int64(r * float64(on.Elementwise-none.Elementwise))
		sum.ActivationBytes += int64(r * float64(on.ActivationBytes-none.ActivationBytes))
	}
	return sum, nil
}

// fixClip gives the model's inputs the shape of one clip.
func fixClip(m *graph.Model, net *afblock.Network) error {
	for _, v := range m.Graph.Inputs() {
		if v.Initializer() != nil {
			continue
		}
		s := append(graph.Shape{}, v.Type.Shape...)
		k := len(s)
		if k < 4 || s.Static() {
			continue
		}
		if s[0].Size = 1; k == 4 && s[1].Size == 3 {
			s[0].Size = int64(net.Frames) // frames folded into the batch
		}
		for i, size := range net.Size {
			if !s[k-2+i].Known() {
				s[k-2+i].Size = int64(size)
			}
		}
		for i, d := range s {
			if d.Size == 0 || !d.Known() {
				return fmt.Errorf("dimension %d of input %q %s is open: give --size", i, v.Name(), v.Type.Shape)
			}
		}
		if err := graph.SetInputShape(m, v.Name(), s); err != nil {
			return err
		}
	}
	return nil
}

// selecting says what the sizes and branches of a lowered model are when focal
// block on selects every frame and the others none; -1: none selects any.
func selecting(g *graph.Graph, net *afblock.Network, blocks []FocalNames, on int) graph.CostOptions {
	opt := graph.CostOptions{Sizes: map[string]int64{}}
	for n := range g.Nodes() {
		if !n.Is("NonZero") {
			continue
		}
		frames := int64(0)
		if on >= 0 && strings.HasPrefix(n.Name, blocks[on].Name+".") {
			frames = int64(net.Frames)
		}
		if s := n.Output(0).Type.Shape; len(s) == 2 && !s[1].Known() {
			opt.Sizes[s[1].Param] = frames
		}
	}
	// A choice may decide several blocks one after the other: it is the
	// choice of the block that only its then branch computes.
	opt.Then = func(n *graph.Node) float64 {
		if on < 0 {
			return 0
		}
		then, els := n.Attr("then_branch"), n.Attr("else_branch")
		if then != nil && els != nil && computes(then.Graph, blocks[on]) && !computes(els.Graph, blocks[on]) {
			return 1
		}
		return 0
	}
	return opt
}

// computes reports whether a graph holds a main convolution of a focal block.
func computes(g *graph.Graph, b FocalNames) bool {
	for n := range g.Nodes() {
		if n.Is("Conv") {
			for _, w := range b.ConvWeights {
				if name := n.Input(1).Name(); name == w || strings.HasPrefix(name, w+"[") {
					return true
				}
			}
		}
		for _, sub := range n.Subgraphs() {
			if computes(sub, b) {
				return true
			}
		}
	}
	return false
}
