package codegen_test

import (
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/testutil"
)

// TestExecutedCost holds what lowerings execute to the network's own count of
// what it needs: equal to it for those that skip, and to that of every frame
// for those that do not.
func TestExecutedCost(t *testing.T) {
	// Casts of layout, and F(0) written as a convolution over border classes,
	// which weigh most in networks as narrow as these.
	extra := map[codegen.Lowering]float64{codegen.Mask: 1e-3, codegen.Gather: 6e-3, codegen.TopK: 6e-3, codegen.Branch: 0.11}
	for _, name := range []string{"afr50_tsn_t4", "afr50_tsm_t8"} {
		sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "afnet", name+".pth.tar"))
		if err != nil {
			t.Fatal(err)
		}
		opt := weights.Options{Size: [2]int{64, 64}}
		if name == "afr50_tsm_t8" {
			opt.ShiftDiv = 8
		}
		net, err := weights.FromStateDict(sd, opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather, codegen.Branch, codegen.TopK} {
			for _, ratio := range []float64{0, 0.25, 1} {
				expected := ratio
				lower := codegen.Options{Lowering: lowering}
				switch lowering {
				case codegen.Mask:
					expected = 1
				case codegen.TopK:
					lower.Budget, expected = []int{net.Frames / 2}, 0.5
				}
				got, err := codegen.ExecutedCost(net, lower, []float64{ratio})
				if err != nil {
					t.Fatalf("%s %s: %v", name, lowering, err)
				}
				table, err := net.Cost(afblock.CostOptions{Ratios: []float64{expected}})
				if err != nil {
					t.Fatal(err)
				}
				want := table.Total().MACs
				if more := float64(got.MACs)/want - 1; more < -1e-3 || more > extra[lowering] {
					t.Errorf("%s, %s at ratio %g executes %d MACs, the network needs %.0f: %.2f %% more", name, lowering, ratio, got.MACs, want, 100*more)
				}
			}
		}
	}
}
