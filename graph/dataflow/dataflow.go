package dataflow

import (
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Analysis is a model looked at with its inputs at one concrete size, so that
// every shape in it is a number and shape arithmetic can be computed. It tells
// of any value what constant it is, and where its elements come from (Trace).
// It works on a copy of the model; sizes, constants and origins that were found
// once are kept.
type Analysis struct {
	// Model is the copy. Its values have the names of the model's.
	Model *graph.Model
	// Left is how many elements Trace may still follow, so that a hostile file
	// cannot make it go on for ever. What is not followed is its own origin.
	Left int64

	constants map[*graph.Value]*graph.Tensor // memo of Constant; nil: not a constant
	live      map[*graph.Node]bool           // nodes that the outputs depend on
	opaque    map[*graph.Value]bool          // memo of Trace: the value is no mere movement
	moves     map[*graph.Value]op.Movement   // memo of movement; nil: none
	cells     map[*graph.Tensor][]float64    // decoded constants that Trace reads
	depth     int                            // of the recursion in Trace and Constant
	weights   int64                          // bytes of the model's constants
}

// MostElements bounds the elements that one analysis follows. TSM-ResNet50 on
// 32 clips of 8 frames takes some 10⁸.
const MostElements = 400_000_000

// maxDepth bounds the nodes that Trace and Constant follow one behind the
// other, which a hostile file could make a million, or a circle.
const maxDepth = 10_000

// maxConstant is the largest constant, in elements, that is computed. Weights
// that an exporter left transposed or cast reach some 10⁷.
const maxConstant = 1 << 24

// Analyze looks at a copy of the model whose inputs have the dimensions listed.
func Analyze(m *graph.Model, inputs map[string][]int64) *Analysis {
	a := &Analysis{
		Model:     m.Clone(),
		Left:      MostElements,
		constants: map[*graph.Value]*graph.Tensor{},
		opaque:    map[*graph.Value]bool{},
		moves:     map[*graph.Value]op.Movement{},
		cells:     map[*graph.Tensor][]float64{},
	}
	g := a.Model.Graph
	for _, v := range slices.Clone(g.Inputs()) {
		if dims, ok := inputs[v.Name()]; ok {
			// An input of the graph, so the call cannot fail.
			_ = op.SetInputShape(a.Model, v.Name(), graph.ShapeOf(dims...))
		}
	}
	a.weights = constantBytes(g)
	sequencesToSlices(g)
	op.Infer(a.Model)
	a.live = liveNodes(g)
	return a
}

// Live reports whether the outputs depend on a node.
func (a *Analysis) Live(n *graph.Node) bool { return a.live[n] }

// WeightBytes returns what the model's constants take, subgraphs not counted.
func (a *Analysis) WeightBytes() int64 { return a.weights }

// Elements multiplies dimensions; it stops short of overflow.
func Elements(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		if d <= 0 {
			return 0
		}
		if n > (1<<62)/d {
			return 1 << 62
		}
		n *= d
	}
	return n
}
