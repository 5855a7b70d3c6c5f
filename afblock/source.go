package afblock

import (
	"errors"

	"github.com/afc-project/afc/graph"
)

// Source is the place in a model where a Network was recognised.
type Source struct {
	Model *graph.Model
	In    *graph.Value // what the stem's convolution reads, [N·T, 3, H, W]
	Out   *graph.Value // what the last stage makes, [N·T, C, h, w]
	Fc    *graph.Node  // the linear layer behind the trunk, nil if not recognised
}

// EmitPrefix copies what lies before the stem, and the graph's inputs, into an
// empty graph, with clips of the given number of frames. It returns what the
// stem shall read.
func (s *Source) EmitPrefix(g *graph.Graph, frames int) (*graph.Value, error) {
	return nil, errors.New("not written yet")
}

// EmitSuffix copies what lies behind the trunk into g, reading trunkOut where
// the source reads s.Out, and makes the graph's outputs.
func (s *Source) EmitSuffix(g *graph.Graph, trunkOut *graph.Value, frames int) error {
	return errors.New("not written yet")
}
