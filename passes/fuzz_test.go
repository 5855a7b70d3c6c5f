package passes

import (
	"errors"
	"io"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil/bounds"
	"github.com/afc-project/afc/testmodels"
)

// FuzzPipelines: whatever bytes decode to a valid model, every pipeline ends
// soon, with a valid model or an error, and never panics.
func FuzzPipelines(f *testing.F) {
	for _, tc := range passTests() {
		b := newBuilder(tc.opset)
		tc.build(b)
		data, err := graph.EncodeBytes(b.m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, spec := range []testmodels.Spec{
		{Blocks: []int{2, 1}, Basic: true, Width: 2, Frames: 2, Size: 17, Classes: 2},
		{Blocks: []int{2, 1}, Width: 4, Frames: 2, Size: 17, Classes: 2, Shift: testmodels.ShiftConcat, FoldDiv: 3},
	} {
		data, err := graph.EncodeBytes(spec.Build())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	half := &afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []Pipeline{ToOptimize, ToConvert} {
			m, err := graph.Decode(data)
			if err != nil {
				return
			}
			bounds.Hold(t, len(data), func() {
				r, err := Run(p, Input{Model: m}, Options{Check: true, Convert: Convert{Rewrite: half, Lower: codegen.Options{Lowering: codegen.Gather}}})
				if broken := (*BrokenError)(nil); errors.As(err, &broken) {
					t.Error(err)
				}
				if err != nil {
					return
				}
				if err := r.Model.Encode(io.Discard); err != nil {
					t.Errorf("encode: %v", err)
				}
			})
		}
	})
}
