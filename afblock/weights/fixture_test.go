package weights

import (
	"math"
	"testing"

	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/internal/testutil"
)

// TestFixtureAnswers runs the networks read from the authors' checkpoints on
// the recorded clips: every mask as recorded, logits to PyTorch's float noise.
// Strides, pools, ReLUs, shift and groups, which no shape tells, are in this.
func TestFixtureAnswers(t *testing.T) {
	const tolerance = 1e-4 // of the largest logit
	for name, opt := range map[string]Options{"afr50_tsn_t4": {}, "afr50_tsm_t8": {ShiftDiv: 8}} {
		net, err := FromStateDict(readFixture(t, name), opt)
		if err != nil {
			t.Fatal(err)
		}
		rec := testutil.NPZ(t, testutil.Shared(t, "fixtures", "afnet", name+".npz"))
		clips, _ := rec["clip"].Float32s()
		logits, _ := rec["logits"].Float32s()
		masks, _ := rec["masks"].Float32s()
		classes, per := 11, net.Frames*3*64*64
		largest := 0.0
		for _, x := range logits {
			largest = max(largest, math.Abs(float64(x)))
		}
		for n := range 2 {
			r := &aftest.Reference{Net: net}
			got := r.Forward(t, aftest.Frames(t, clips[n*per:(n+1)*per], net.Frames, 3, 64, 64))
			for b, mask := range r.Masks {
				for f, m := range mask {
					if want := masks[(n*len(r.Masks)+b)*net.Frames+f]; m != float64(want) {
						t.Errorf("%s clip %d block %d frame %d: mask %g, recorded %g", name, n, b, f, m, want)
					}
				}
			}
			worst, at := 0.0, 0
			for k, x := range got {
				if d := math.Abs(x-float64(logits[n*classes+k])) / largest; d > worst {
					worst, at = d, k
				}
			}
			if worst > tolerance {
				t.Errorf("%s clip %d: logit %d is %g, recorded %g: off by %g of the largest", name, n, at, got[at], logits[n*classes+at], worst)
			}
		}
	}
}
