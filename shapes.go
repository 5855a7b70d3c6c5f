package afc

import (
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// setInputShapes fixes the shapes of graph inputs, in the three spellings that
// users of neighbouring tools know.
func setInputShapes(m *graph.Model, specs []string) error {
	for _, spec := range specs {
		name, dims := "", spec
		if i := strings.LastIndexByte(spec, ':'); i >= 0 {
			name, dims = spec[:i], spec[i+1:]
		}
		var shape graph.Shape
		for d := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(dims, "["), "]"), ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(d), 10, 64)
			if err != nil || n < 1 {
				return optionf("InputShapes", spec, "expected sizes as in video:1,8,3,224,224")
			}
			shape = append(shape, graph.D(n))
		}
		if name == "" {
			inputs := m.DataInputs()
			if len(inputs) != 1 {
				return optionf("InputShapes", spec, "the model has %d inputs; say which, as in NAME:%s", len(inputs), dims)
			}
			name = inputs[0].Name()
		}
		if err := op.SetInputShape(m, name, shape); err != nil {
			return optionf("InputShapes", spec, "%v", err)
		}
	}
	return nil
}
