package verify

import (
	"testing"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify/ort"
)

// TestFixtures runs the source fixtures against PyTorch's answers.
func TestFixtures(t *testing.T) {
	needRuntime(t)
	for _, name := range []string{"tsn_r50_op13", "tsm_r50_cat_op13_dyn"} {
		t.Run(name, func(t *testing.T) {
			want := testutil.NPZ(t, testutil.Shared(t, "fixtures", "sources", name+".npz"))
			s, err := ort.OpenSession(testutil.Shared(t, "fixtures", "sources", name+".onnx"), ort.SessionOptions{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			out, err := s.Run(t.Context(), want["video"])
			if err != nil {
				t.Fatal(err)
			}
			d, err := Compare("logits", out[0], want["logits"], Reordered)
			if err != nil {
				t.Fatal(err)
			}
			if !d.OK() {
				t.Errorf("error %s beyond %s, worst at %s", d.Figure(), Reordered, d.Where())
			}
		})
	}
}
