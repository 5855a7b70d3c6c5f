package afc_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// TestSweep holds a sweep to what verify and measure say of the same models on
// the same clips, and its lowerings to each other.
func TestSweep(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	source, af := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "af.onnx")
	spec := testmodels.Spec{Blocks: []int{3, 2, 2}, Width: 16, Frames: 8, Size: 32, Classes: 5, Dynamic: true, Input: testmodels.FramesOwnAxis}
	raw, err := graph.EncodeBytes(spec.Build())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := afc.Convert(t.Context(), afc.ConvertOptions{Model: source, Output: af, Outputs: []string{"masks"}}); err != nil {
		t.Fatal(err)
	}
	input := afc.Clips{Random: clips.Random{Count: 12, Seed: 5}}
	run := afc.Runtime{Threads: 1}
	r, err := afc.Sweep(t.Context(), afc.SweepOptions{
		Source: source, Models: []string{af}, Frames: []int{8, 4}, Ratios: []float64{0.25, 1}, Lowerings: []codegen.Lowering{codegen.Mask, codegen.Gather},
		Budgets: []int{8}, Clips: input, Run: run, Rounds: 1, Published: "sthv1",
	})
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]afc.SweepPoint{}
	for _, p := range r.Points {
		points[p.Name] = p
		if p.GMACs <= 0 || p.Millis <= 0 || p.Ratio <= 0 || p.Activations <= 0 || p.Accuracy != nil {
			t.Errorf("%+v", p)
		}
	}
	if len(points) != 8 || len(r.Points) != 8 || r.Points[0].Agreement != 1 || r.Points[0].Ratio != 1 {
		t.Fatalf("%d points, the source agrees with itself on %g", len(r.Points), r.Points[0].Agreement)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	near("the source at half the frames", points["4 frames"].GMACs, points["8 frames"].GMACs/2)
	measured, err := afc.Measure(t.Context(), afc.MeasureOptions{Model: af, Clips: input, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	own := points["uniform:0.5"]
	near("cost", own.GMACs, measured.ExecutedGMACs.Mean)
	near("selected", own.Selected, measured.Ratio.Mean)
	proof, err := afc.Verify(t.Context(), afc.VerifyOptions{Model: af, Source: source, Clips: input, Run: run, Only: []string{"agreement"}})
	if err != nil {
		t.Fatal(err)
	}
	near("agreement", own.Agreement, proof.Agreement.Top1)
	near("standard error", own.Error, math.Sqrt(own.Agreement*(1-own.Agreement)/12))
	near("agreement of gather", points["uniform:0.5, gather"].Agreement, own.Agreement)
	near("agreement of mask", points["uniform:0.5, mask"].Agreement, own.Agreement)
	near("agreement of a budget for all", points["uniform:0.5, budget 8"].Agreement, own.Agreement)
	near("cost of all", points["all"].GMACs, measured.All)
	near("cost of mask", points["uniform:0.5, mask"].GMACs, measured.All)
	near("selected of a quarter", points["uniform:0.25"].Selected, 0.25)

	var svg bytes.Buffer
	if err := r.WriteSVG(&svg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"published, not measured here", "AdaFuse-TSM", "m.onnx", "agreement with the source"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("the figure does not show %q", want)
		}
	}
}

func TestSweepRefuses(t *testing.T) {
	for name, opt := range map[string]afc.SweepOptions{
		"no source":  {Source: filepath.Join(t.TempDir(), "none.onnx")},
		"no figures": {Source: "x", Published: "imagenet"},
	} {
		if _, err := afc.Sweep(t.Context(), opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
