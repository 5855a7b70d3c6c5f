package weights

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// TestAuthorsCounter: the counter of the authors' code, on their networks at
// the masks it was run with.
func TestAuthorsCounter(t *testing.T) {
	const tolerance = 1e-6 // of the count: theirs adds in float32; the rule is 1e-4
	for name, opt := range map[string]Options{"afr50_tsn_t4": {}, "afr50_tsm_t8": {ShiftDiv: 8}, "afmbv3_tsm_t4": {}} {
		net, err := FromStateDict(readFixture(t, name), opt)
		if err != nil {
			t.Fatal(err)
		}
		rec := testutil.NPZ(t, testutil.Shared(t, "fixtures", "afnet", name+".npz"))
		ratios := selected(t, rec["masks"])
		raw, err := rec["gmacs"].Bytes()
		if err != nil || len(raw) != 8 {
			t.Fatalf("gmacs: %d bytes, %v", len(raw), err)
		}
		clip := rec["clip"].Dims
		cost, err := net.Cost(afblock.CostOptions{Size: afblock.Size{int(clip[3]), int(clip[4])}, Ratios: ratios})
		if err != nil {
			t.Fatal(err)
		}
		want := math.Float64frombits(binary.LittleEndian.Uint64(raw)) * 1e9
		got := cost.Total().Count(afblock.CountAuthors)
		if d := math.Abs(got/want - 1); d > tolerance {
			t.Errorf("%s: counted %.0f, their counter says %.0f: off by %g", name, got, want, d)
		}
	}
}

// selected returns the share of frames that each block of masks [N, blocks, T]
// selects, over all clips.
func selected(t *testing.T, masks *graph.Tensor) []float64 {
	t.Helper()
	v, err := masks.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	blocks, frames := int(masks.Dims[1]), int(masks.Dims[2])
	ratios := make([]float64, blocks)
	for i, x := range v {
		ratios[i/frames%blocks] += float64(x) / float64(masks.Dims[0]*masks.Dims[2])
	}
	return ratios
}
