package passes

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
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
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		defer func() {
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%d bytes took %v", len(data), took)
			}
		}()
		for _, p := range []Pipeline{ToOptimize, ToConvert} {
			m, err := graph.Decode(data)
			if err != nil {
				return
			}
			r, err := Run(p, m, Options{Check: true})
			if broken := (*BrokenError)(nil); errors.As(err, &broken) {
				t.Error(err)
			}
			if err != nil {
				continue
			}
			if err := r.Model.Encode(io.Discard); err != nil {
				t.Errorf("encode: %v", err)
			}
		}
	})
}
