package afblock_test

import (
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
)

// TestRewriteWithoutAmple: what would be focal blocks become plain ones with a
// schedule, staggered over the network, and fusion blocks compute every frame;
// what the schedule skips costs nothing.
func TestRewriteWithoutAmple(t *testing.T) {
	m := testmodels.Spec{Blocks: []int{3, 4, 2}, Width: 8, Frames: 8, Size: 32, Classes: 5, Shift: testmodels.ShiftConcat}.Build()
	if err := passes.Canonicalize(m); err != nil {
		t.Fatal(err)
	}
	source, err := recognize.Network(m, recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	half := afblock.Pattern{Ratio: 0.5}
	af, err := afblock.Rewrite(source, afblock.RewriteOptions{Navigation: half})
	if err != nil {
		t.Fatal(err)
	}
	net, err := afblock.Rewrite(source, afblock.RewriteOptions{Navigation: half, NoAmple: true})
	if err != nil {
		t.Fatal(err)
	}
	if p := net.Schedule(); p == nil || *p != half {
		t.Errorf("schedule %v", p)
	}
	nth := 0
	for i, s := range net.Stages {
		if s.AF != nil {
			t.Fatalf("%s is an AF module", s.Name)
		}
		for k, b := range s.Blocks {
			computes := i == len(net.Stages)-1 || k == len(s.Blocks)-1
			if (b.Schedule == nil) != computes {
				t.Errorf("%s: schedule %v", b.Key, b.Schedule)
			}
			if b.Schedule == nil {
				continue
			}
			if want := af.Navigation()[nth].Fixed.Select(8, nth); !slices.Equal(b.Schedule.Select(8), want) {
				t.Errorf("%s computes %v, its AFNet %v", b.Key, b.Schedule.Select(8), want)
			}
			nth++
		}
	}
	if nth != len(af.Navigation()) {
		t.Errorf("%d blocks with a schedule, the AFNet has %d focal ones", nth, len(af.Navigation()))
	}
	focal := func(net *afblock.Network, parts ...afblock.Part) float64 {
		var opt afblock.CostOptions
		if net.Schedule() == nil {
			opt.Ratios = []float64{0.5}
		}
		table, err := net.Cost(opt)
		if err != nil {
			t.Fatal(err)
		}
		return table.Sum(func(c afblock.CostItem) bool { return slices.Contains(parts, c.Part) }).MACs
	}
	if got, want := focal(net, afblock.PartPlain, afblock.PartResidual), focal(af, afblock.PartFocal, afblock.PartResidual, afblock.PartFusion, afblock.PartPlain); got != want {
		t.Errorf("its blocks cost %.0f, those of the AFNet %.0f", got, want)
	}
	if err := net.Check(); err != nil {
		t.Error(err)
	}
	if _, err := afblock.Rewrite(source, afblock.RewriteOptions{NoAmple: true}); err == nil {
		t.Error("blocks that compute no frame are made")
	}
	if _, err := net.Identity(); err == nil {
		t.Error("it is made to equal its source")
	}
}

// TestSkeletonRefusesSchedules that no network has.
func TestSkeletonRefusesSchedules(t *testing.T) {
	for _, bad := range []string{
		`"schedule":"often"`, `"schedule":"none"`, `"schedule":"uniform:0.5","schedule_nth":-1`, `"schedule":"uniform:0.5","schedule_nth":99999999`,
	} {
		text := `{"format":4,"frames":2,"size":[32,32],"unselected":"bias","key_prefix":"","fc":"fc","stem":{"key":"conv1"},"max_pool":[3,2,1],` +
			`"stages":[{"name":"layer1","blocks":[{"key":"layer1.0","convs":[{"key":"a"},{"key":"b"}],` + bad + `}]}],"head":{"key":"fc","bias":true,"consensus":"mean-after-fc"}}`
		if _, _, err := weights.Parse(text); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
