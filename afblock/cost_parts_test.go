package afblock_test

import (
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/internal/aftest"
)

// TestCostParts: what a ratio scales, and what conventions add, by hand on a
// network small enough.
func TestCostParts(t *testing.T) {
	net, err := afblock.Rewrite(aftest.Plains[0].Network(), afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	size := afblock.Size{32, 32}
	full := costOf(t, net, afblock.CostOptions{Size: size})
	blocks := len(net.Navigation())
	ratios := make([]float64, blocks)
	for i := range ratios {
		ratios[i] = float64(i) / float64(blocks)
	}
	some := costOf(t, net, afblock.CostOptions{Size: size, Ratios: ratios})
	focal := 0
	for i, item := range some.Items {
		want := 1.0
		if item.Part == afblock.PartFocal {
			want = ratios[focal]
			focal++
		}
		if item.Ratio != want || item.Ops != scaled(full.Items[i].Ops, want) || item.Full != full.Items[i].Ops {
			t.Errorf("%s %s: ratio %g, want %g", item.Key, item.Part, item.Ratio, want)
		}
	}
	if focal != blocks {
		t.Errorf("%d focal items for %d blocks", focal, blocks)
	}
	// layer1.refine_module.1 on 8×8 maps: 64→16 1×1, 16→16 3×3, 16→64 1×1,
	// two groups; batch norm kept; two frames.
	i := 0
	for full.Items[i].Key != "layer1.refine_module.1" || full.Items[i].Part != afblock.PartFocal {
		i++
	}
	want := afblock.Ops{MACs: 2 * 64 * (64*16 + 16*16*9 + 16*64) / 2, Elementwise: 2 * 64 * (2*16 + 16 + 2*16 + 16 + 2*64), Activations: 2 * 64 * (16 + 16 + 16 + 16 + 64)}
	if want.Authors = want.MACs; full.Items[i].Ops != want {
		t.Errorf("layer1.refine_module.1: %+v, want %+v", full.Items[i].Ops, want)
	}
	if total := full.Total(); total.Count(afblock.CountFLOPs) != 2*total.MACs+total.Elementwise {
		t.Errorf("FLOPs of %+v are %g", total, total.Count(afblock.CountFLOPs))
	}
}

func costOf(t *testing.T, net *afblock.Network, opt afblock.CostOptions) *afblock.CostTable {
	t.Helper()
	c, err := net.Cost(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func scaled(o afblock.Ops, by float64) afblock.Ops {
	return afblock.Ops{MACs: o.MACs * by, Elementwise: o.Elementwise * by, Authors: o.Authors * by, Activations: o.Activations * by}
}
