package half

import (
	"math"

	"github.com/afc-project/afc/graph"
)

// moves lists operators that hand numbers on, or pick among them, and so round
// nothing.
var moves = []string{
	"Cast", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Max", "MaxPool", "Min", "Neg",
	"Pad", "Relu", "Reshape", "Resize", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
	"Unsqueeze", "Where",
}

// Drift is how far the answers of a graph of half precision may lie from those
// of float32, in parts of the largest: as many roundings as there are on the
// longest path, each of up to Unit and independent, drift apart by the root of
// their number; four times that leaves room for the largest of many answers.
func Drift(g *graph.Graph) float64 {
	d := drift{depth: map[*graph.Value]int{}}
	return 4 * Unit * math.Sqrt(float64(d.graph(g, 0)))
}

// drift counts roundings on the longest path to each value.
type drift struct{ depth map[*graph.Value]int }

// graph is the longest path to an output of a graph whose inputs have a path of
// that length.
func (d *drift) graph(g *graph.Graph, behind int) int {
	for _, v := range g.Inputs() {
		d.depth[v] = behind
	}
	for n := range g.Nodes() {
		in := 0
		for _, v := range n.Inputs() {
			in = max(in, d.depth[v])
		}
		out := in
		for _, body := range n.Subgraphs() {
			out = max(out, d.graph(body, in))
		}
		if !n.Is(moves...) && !n.Is(controls...) && !decides(n) {
			out++
		}
		for _, v := range n.Outputs() {
			if v != nil {
				d.depth[v] = out
			}
		}
	}
	longest := behind
	for _, v := range g.Outputs() {
		longest = max(longest, d.depth[v])
	}
	return longest
}
