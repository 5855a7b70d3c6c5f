package passes

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// graphError is an error of the model given, with file and node (nil: none).
func graphError(m *graph.Model, n *graph.Node, format string, args ...any) error {
	e := &graph.Error{File: m.Path, Reason: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Node = n.String()
	}
	return e
}
