package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// outputTypes returns the types that a model declares for its outputs, by name.
func outputTypes(m *graph.Model) map[string]graph.Type {
	types := map[string]graph.Type{}
	for _, v := range m.Graph.Outputs() {
		t := v.Type
		t.Shape = slices.Clone(t.Shape)
		types[v.Name()] = t
	}
	return types
}

// keepDimNames gives the sizes of outputs that are not known the names that
// the source gave them, in place of expressions that inference made.
func keepDimNames(m *graph.Model, promised map[string]graph.Type) {
	for _, v := range m.Graph.Outputs() {
		was := promised[v.Name()].Shape
		if len(was) != len(v.Type.Shape) {
			continue
		}
		v.Type.Shape = slices.Clone(v.Type.Shape)
		for i, d := range was {
			if d.Param != "" && !v.Type.Shape[i].Known() {
				v.Type.Shape[i] = d
			}
		}
	}
}
