package afblock_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// TestRewriteIdentity: with everything on the focal side the AFNet computes
// what the source computes.
func TestRewriteIdentity(t *testing.T) {
	const tolerance = 1e-12 // float64 throughout; gates are e^-200
	for _, s := range aftest.Plains {
		net := s.Network()
		af, err := afblock.Rewrite(net, afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource, Navigation: afblock.Pattern{Ratio: 1}, GateOpen: true})
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if af.FineTune {
			t.Errorf("%s: an identity needs no fine-tuning", s.Name)
		}
		clip := aftest.RandomClip(s.Frames, 37)
		want := (&aftest.Reference{Net: net}).Forward(t, clip)
		r := &aftest.Reference{Net: af}
		got := r.Forward(t, clip)
		for k := range want {
			if d := math.Abs(got[k] - want[k]); d > tolerance {
				t.Errorf("%s: logit %d is %g, source %g", s.Name, k, got[k], want[k])
			}
		}
		// The oracle must be able to fail: nothing selected is another answer.
		none, err := afblock.Rewrite(net, afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource, GateOpen: true})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal((&aftest.Reference{Net: none}).Forward(t, clip), got) || !none.FineTune {
			t.Errorf("%s: selecting no frame changes nothing", s.Name)
		}
	}
}

// TestRewriteStructure shows what becomes of the sources with the default
// options, and runs it: shapes fit at an odd size, the pattern is selected.
func TestRewriteStructure(t *testing.T) {
	testutil.NoOrphans(t, "rewrite/*")
	for _, s := range aftest.Plains {
		af, err := afblock.Rewrite(s.Network(), afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}, Frames: 4})
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		testutil.Golden(t, "rewrite/"+strings.ReplaceAll(s.Name, " ", "_")+".txt", aftest.Structure(af))
		r := &aftest.Reference{Net: af}
		logits := r.Forward(t, aftest.RandomClip(4, 37))
		if slices.ContainsFunc(logits, func(x float64) bool { return math.IsNaN(x) || math.Abs(x) > 100 }) {
			t.Errorf("%s: answers %v", s.Name, logits)
		}
		for b, mask := range r.Masks {
			for f, selected := range (afblock.Pattern{Ratio: 0.5}).Select(4, b) {
				if (mask[f] == 1) != selected {
					t.Errorf("%s: block %d frame %d selected %g, pattern says %v", s.Name, b, f, mask[f], selected)
				}
			}
		}
		if !af.FineTune {
			t.Errorf("%s: not marked as needing fine-tuning", s.Name)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	plain := aftest.Plains[0].Network()
	af, err := afblock.Rewrite(plain, afblock.RewriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	flat := aftest.Plain{Name: "flat", Blocks: []int{1, 1, 2}, Frames: 1}.Network()
	strided := aftest.Plains[0].Network()
	strided.Stages[1].Blocks[1].Convs()[0].Stride = 2
	noFrames := aftest.Plains[0].Network()
	noFrames.Frames = 0
	for _, tc := range []struct {
		net  *afblock.Network
		opt  afblock.RewriteOptions
		want string
	}{
		{af, afblock.RewriteOptions{}, "layer1: is an AF module already"},
		{flat, afblock.RewriteOptions{}, "nothing to rewrite"},
		{strided, afblock.RewriteOptions{}, "s1.1: block 1 of its stage has stride 2"},
		{noFrames, afblock.RewriteOptions{}, "frames a clip"},
		{plain, afblock.RewriteOptions{Groups: 3}, "do not divide into 3 groups"},
		{plain, afblock.RewriteOptions{Alpha: 3}, "do not divide by alpha 3"},
	} {
		_, err := afblock.Rewrite(tc.net, tc.opt)
		var ge *graph.Error
		if !errors.As(err, &ge) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want a graph.Error about %q", err, tc.want)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		text   string
		frames int
		counts int
	}{
		{"all", 8, 8}, {"none", 8, 0}, {"uniform:0.5", 8, 4}, {"uniform:0.5", 1, 1}, {"uniform:0.01", 8, 1},
		{"uniform:0", 8, 0}, {"uniform:1", 7, 7}, {"uniform:0.25", 12, 3}, {"uniform:0.33", 64, 21},
	} {
		p, err := afblock.ParsePattern(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := afblock.ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%s is written %s, read back as %v (%v)", tc.text, p, again, err)
		}
		seen := make([]int, tc.frames)
		for block := range tc.frames {
			var at []int
			for f, s := range p.Select(tc.frames, block) {
				if s {
					at = append(at, f)
					seen[f]++
				}
			}
			if len(at) != tc.counts {
				t.Errorf("%s of %d frames, block %d: selects %v, want %d", tc.text, tc.frames, block, at, tc.counts)
			}
			for i := range at { // evenly: gaps around the clip differ by one at most
				gap := (at[(i+1)%len(at)] - at[i] + tc.frames) % tc.frames
				if len(at) > 1 && (gap < tc.frames/len(at) || gap > tc.frames/len(at)+1) {
					t.Errorf("%s of %d frames, block %d: uneven %v", tc.text, tc.frames, block, at)
				}
			}
		}
		for f, n := range seen { // staggered: over as many blocks as frames each has its turn
			if n != tc.counts {
				t.Errorf("%s of %d frames: frame %d selected by %d blocks, want %d", tc.text, tc.frames, f, n, tc.counts)
			}
		}
	}
	for _, bad := range []string{"", "some", "uniform:", "uniform:2", "uniform:-1", "uniform:NaN", "uniform:x"} {
		if p, err := afblock.ParsePattern(bad); err == nil {
			t.Errorf("%q: read as %v", bad, p)
		}
	}
}
