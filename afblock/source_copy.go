package afblock

import (
	"errors"

	"github.com/afc-project/afc/graph"
)

func (s *Source) emitPrefix(g *graph.Graph, net *Network) (*graph.Value, error) {
	return nil, errors.New("copying a source's prefix is not written yet")
}

func (s *Source) emitSuffix(g *graph.Graph, trunkOut *graph.Value, net *Network) error {
	return errors.New("copying a source's suffix is not written yet")
}
