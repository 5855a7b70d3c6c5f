package passes

import (
	"bytes"
	"fmt"

	"github.com/afc-project/afc/graph"
)

// dedupeInitializers keeps one of several equal initializers of a graph. Equal
// means type, dimensions and every bit. Tensors are compared byte by byte only
// where type, dimensions and both ends agree, so that the weights of a model
// are not read for nothing.
func dedupeInitializers(s *State) error {
	for g := range graphs(s.Model) {
		kept := map[string][]*graph.Value{}
		for _, v := range g.Initializers() {
			t := v.Initializer()
			if v.IsInput() || v.IsOutput() || t.DType == graph.String || t.External() != nil {
				continue
			}
			data, err := t.Bytes()
			if err != nil {
				return graphError(s.Model, nil, "initializer %q: %v", v.Name(), err)
			}
			const end = 16
			head, tail := data[:min(end, len(data))], data[max(0, len(data)-end):]
			key := fmt.Sprintf("%d%v%x%x", t.DType, t.Dims, head, tail)
			twin := twinOf(data, kept[key])
			if twin == nil {
				kept[key] = append(kept[key], v)
				continue
			}
			v.ReplaceAllUses(twin)
			s.changed(1)
		}
		g.RemoveUnusedInitializers()
	}
	return nil
}

// twinOf returns the candidate with exactly these bytes, nil if there is none.
func twinOf(data []byte, candidates []*graph.Value) *graph.Value {
	for _, c := range candidates {
		if b, err := c.Initializer().Bytes(); err == nil && bytes.Equal(b, data) {
			return c
		}
	}
	return nil
}
