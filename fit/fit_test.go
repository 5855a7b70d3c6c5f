package fit

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// tiny is a source with an AF module of each kind: the first, whose ample branch
// has a convolution on its residual path, and one behind it, and a plain stage.
var tiny = testmodels.Spec{Blocks: []int{2, 3, 1}, Width: 8, Frames: 4, Size: 32, Classes: 5, Shift: testmodels.ShiftConcat, Dynamic: true}

// networks returns a source and its AFNet, or skips the test.
func networks(t *testing.T, spec testmodels.Spec, opt afblock.RewriteOptions, n int) Input {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	m := spec.Build()
	if err := passes.Canonicalize(m); err != nil {
		t.Fatal(err)
	}
	source, err := recognize.Network(m, recognize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := afblock.Rewrite(source, opt)
	if err != nil {
		t.Fatal(err)
	}
	return Input{Source: source, Net: net, Videos: waves(n)}
}

// waves are clips of a few plane waves that move, each clip with its own: what a
// network says of noise hardly differs from clip to clip.
type waves int

func (w waves) Len() int       { return int(w) }
func (w waves) Label(int) int  { return -1 }
func (w waves) String() string { return "waves" }

func (w waves) Clip(_ context.Context, i int, form clips.Form) ([]float32, error) {
	rng := rand.New(rand.NewPCG(uint64(i), 5))
	v := make([]float32, form.Frames*form.Channels*form.Height*form.Width)
	for range 5 {
		kx, ky, speed, phase := 1.5*rng.NormFloat64(), 1.5*rng.NormFloat64(), rng.NormFloat64(), 6*rng.Float64()
		var size [16]float64
		for c := range size {
			size[c] = rng.NormFloat64()
		}
		for k := range v {
			x, y := k%form.Width, k/form.Width%form.Height
			c, t := k/form.Width/form.Height%form.Channels, k/form.Width/form.Height/form.Channels
			time := float64(t) / float64(form.Frames)
			v[k] += float32(size[c%16] * math.Sin(6*(kx*float64(x)/float64(form.Width)+ky*float64(y)/float64(form.Height)+speed*time)+phase))
		}
	}
	if form.Pixels {
		for k := range v {
			v[k] = float32(math.Round(min(max(128+40*float64(v[k]), 0), 255)))
		}
	}
	return v, nil
}

// half selects every second frame.
var half = afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}

const withoutAmple = "without ample branches"

// TestFitIdentity: where the AFNet can be the source (every frame, one group,
// strides where the source has them), the source's answers come out.
func TestFitIdentity(t *testing.T) {
	const limit = 1e-7
	for name, change := range map[string]func(*testmodels.Spec){
		"TSM bottlenecks":         func(*testmodels.Spec) {},
		withoutAmple:              func(*testmodels.Spec) {},
		"TSN basic blocks":        func(s *testmodels.Spec) { s.Basic, s.Shift = true, testmodels.NoShift },
		"norms kept":              func(s *testmodels.Spec) { s.BN = testmodels.BNKept },
		"strides in the 1×1":      func(s *testmodels.Spec) { s.CaffeStride = true },
		"mean before the head":    func(s *testmodels.Spec) { s.Head = testmodels.MeanBeforeFC },
		"pixels, one clip a time": func(s *testmodels.Spec) { s.Pixels, s.Dynamic = true, false },
		"frames of odd size":      func(s *testmodels.Spec) { s.Size = 50 },
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "TSM bottlenecks" {
				t.Skip("takes seconds")
			}
			spec := tiny
			change(&spec)
			in := networks(t, spec, afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource, Navigation: afblock.Pattern{Ratio: 1}, NoAmple: name == withoutAmple}, 60)
			limit := limit
			if spec.Basic { // the gate leaves the ample branch a part
				limit = 1e-3
			}
			r, err := Fit(t.Context(), in, Options{Threads: 1, Rows: 8000, Held: 20, ridge: 1e-4})
			if err != nil {
				t.Fatal(err)
			}
			if c := r.Controls[0]; c.Error > limit || c.Top1 < 0.999 {
				t.Errorf("error of scores %.2g, source's first class on %.0f %%", c.Error, 100*c.Top1)
				for _, l := range r.Layers {
					t.Logf("%-30s %.2g", l.Name, l.Residual)
				}
			}
		})
	}
}

// TestFitEveryShape: a fit goes through whatever AFNet there is, and leaves less
// of the source's answers unexplained than the transplanted weights do.
func TestFitEveryShape(t *testing.T) {
	for name, opt := range map[string]struct {
		rewrite afblock.RewriteOptions
		masks   Masks
	}{
		"authors' shapes":             {half, Schedule},
		"any selection":               {half, Any},
		"zero answers":                {afblock.RewriteOptions{Navigation: half.Navigation, Unselected: afblock.UnselectedZero}, Schedule},
		"quarter-width":               {afblock.RewriteOptions{Navigation: half.Navigation, Alpha: 4}, Schedule},
		"full-width ample":            {afblock.RewriteOptions{Navigation: half.Navigation, Alpha: 1}, Schedule},
		"strides as sourced":          {afblock.RewriteOptions{Navigation: half.Navigation, StrideAt: afblock.StrideSource}, Schedule},
		"more frames":                 {afblock.RewriteOptions{Navigation: half.Navigation, Frames: 6}, Schedule},
		"no frame":                    {afblock.RewriteOptions{}, Schedule},
		"without ample":               {afblock.RewriteOptions{Navigation: half.Navigation, NoAmple: true}, Schedule},
		"without ample, zero answers": {afblock.RewriteOptions{Navigation: half.Navigation, NoAmple: true, Unselected: afblock.UnselectedZero}, Schedule},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "any selection" {
				t.Skip("takes seconds")
			}
			n := 220
			if testing.Short() {
				n = 100
			}
			in := networks(t, tiny, opt.rewrite, n)
			options := Options{Threads: 1, Rows: 4000, Held: 20, For: opt.masks}
			r, err := Fit(t.Context(), in, options)
			if err != nil {
				t.Fatal(err)
			}
			source := in.Source.Clone()
			source.Frames = in.Net.Frames
			_, held := split(in.Videos, 0, 20)
			before, _, err := measure(t.Context(), in.Net, source, held, options)
			if err != nil {
				t.Fatal(err)
			}
			if got, was := r.Controls[0].Error, before[0].Error; !(got < 0.7*was) {
				t.Errorf("error of scores %.3g, transplanted %.3g", got, was)
			}
			if r.Net.FineTune {
				t.Error("the network is said to need fine-tuning")
			}
		})
	}
}

// TestFitRepeats: the same clips give the same bytes.
func TestFitRepeats(t *testing.T) {
	in := networks(t, tiny, half, 40)
	var first [][]byte
	for range 2 {
		r, err := Fit(t.Context(), in, Options{Threads: 1, Rows: 2000})
		if err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for c := range r.Net.Convs() {
			b, err := c.Weight.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		for i := range first {
			if !bytes.Equal(first[i], all[i]) {
				t.Fatalf("weight %d differs from one fit to the next", i)
			}
		}
		first = all
	}
}

// TestFitIsTold: a model says of itself how its weights were fitted, and what a
// fit cannot have said is refused.
func TestFitIsTold(t *testing.T) {
	in := networks(t, tiny, half, 40)
	r, err := Fit(t.Context(), in, Options{Threads: 1, Rows: 2000, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := codegen.Lower(r.Net, codegen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	net, _, err := compiled.ReadModel(m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r.Net.Fit, net.Fit); d != "" {
		t.Error(d)
	}
	if want := "fitted for the schedule uniform:0.5 on 36 clips (seed 3); names"; !strings.HasPrefix(net.Fit.String(), want) {
		t.Errorf("says %q, want %q …", net.Fit, want)
	}
	if net.Origin() != "fitted" || len(net.Fit.Residuals) != len(r.Layers) {
		t.Errorf("origin %s, %d residuals of %d layers", net.Origin(), len(net.Fit.Residuals), len(r.Layers))
	}
	for _, f := range []afblock.Fitted{{For: "\x1b[31m", Masks: "all"}, {For: "any", Masks: "\x1b[31m"}} {
		net.Fit = &f
		bad, _, err := codegen.Lower(net, codegen.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := compiled.ReadModel(bad); err == nil {
			t.Errorf("%+v is read", f)
		}
	}
}

// spoiled are videos one of which is not like the others.
type spoiled struct {
	clips.Videos
	value float32
}

func (s spoiled) Clip(ctx context.Context, i int, form clips.Form) ([]float32, error) {
	v, err := s.Videos.Clip(ctx, i, form)
	if i == 7 {
		for k := range v {
			v[k] = s.value
		}
	}
	return v, err
}

// TestFitRefusesNetworks that it cannot be of, as Go callers may hand them over.
func TestFitRefusesNetworks(t *testing.T) {
	in := networks(t, tiny, half, 4)
	trained := in.Net.Clone()
	trained.Navigation()[0].Fixed = nil
	cells, err := in.Net.FixCells([]int{2}, afblock.CellPattern{})
	if err != nil {
		t.Fatal(err)
	}
	short := tiny
	short.Blocks = []int{2, 2, 1}
	other := networks(t, short, half, 4)
	for name, tt := range map[string]struct {
		source, net *afblock.Network
		want        string
	}{
		"an AFNet for a source":     {in.Net, in.Net, "skips frames"},
		"trained navigation":        {in.Source, trained, "trained"},
		"cells inside the frames":   {in.Source, cells, "cells"},
		"a source of another depth": {other.Source, in.Net, "blocks"},
	} {
		if _, err := Fit(t.Context(), Input{tt.source, tt.net, in.Videos}, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// repeatedClip are videos all of which are the first.
type repeatedClip struct{ clips.Videos }

func (r repeatedClip) Clip(ctx context.Context, _ int, form clips.Form) ([]float32, error) {
	return r.Videos.Clip(ctx, 0, form)
}

func TestFitRefuses(t *testing.T) {
	in := networks(t, tiny, half, 40)
	fit := func(videos clips.Videos) error {
		_, err := Fit(t.Context(), Input{in.Source, in.Net, videos}, Options{Threads: 1, Held: -1})
		return err
	}
	for _, tt := range []struct {
		name   string
		videos clips.Videos
		want   string
	}{
		{"a clip of one colour", spoiled{in.Videos, 0.25}, "clip 7"},
		{"a clip of NaN", spoiled{in.Videos, float32(math.NaN())}, "clip 7"},
		{"no clip", clips.Random{}, "no clips"},
		{"the same clip again and again", repeatedClip{in.Videos}, "the same"},
	} {
		if err := fit(tt.videos); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	var few *TooFewError
	if err := fit(clips.Random{Count: 1}); !errors.As(err, &few) {
		t.Fatalf("one clip: %v", err)
	}
	// As many clips as it says are enough for the layer it names.
	var again *TooFewError
	if err := fit(clips.Random{Count: few.Need() - 1}); !errors.As(err, &again) || again.Layer != few.Layer {
		t.Errorf("%d clips, one less than told: %v", few.Need()-1, err)
	}
	if err := fit(clips.Random{Count: few.Need()}); errors.As(err, &again) {
		t.Errorf("%d clips, as told: %v", few.Need(), err)
	}
}

// TestFitLeavesNothing: activations lie in files that are gone when a fit ends,
// done or cut off.
func TestFitLeavesNothing(t *testing.T) {
	in := networks(t, tiny, half, 40)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	_, err := Fit(ctx, in, Options{Threads: 1, Rows: 2000, Progress: func(int, int, Layer) {
		if done++; done == 9 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cut off: %v", err)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
