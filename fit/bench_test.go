package fit

import (
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels/motion"
	"github.com/afc-project/afc/verify/ort"
)

// BenchmarkMotion is the table of docs/BENCHMARKS.md: a TSM that knows ten
// motions, fitted on unlabelled clips and measured on 1,000 others.
func BenchmarkMotion(b *testing.B) {
	if _, err := ort.Version(); err != nil {
		b.Skip(err)
	}
	schedule := func(ratio float64, frames int) afblock.RewriteOptions {
		return afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: ratio}, Frames: frames}
	}
	for _, bb := range []struct {
		name    string
		clips   int
		rewrite afblock.RewriteOptions
		masks   Masks
	}{
		{"half", 300, schedule(0.5, 8), Schedule},
		{"half-100-clips", 100, schedule(0.5, 8), Schedule},
		{"quarter", 300, schedule(0.25, 8), Schedule},
		{"any", 700, schedule(0.5, 8), Any},
		{"twelve-frames", 300, schedule(0.4, 12), Schedule},
		{"half-without-ample", 300, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}, NoAmple: true}, Schedule},
		{"quarter-without-ample", 300, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.25}, NoAmple: true}, Schedule},
	} {
		b.Run(bb.name, func(b *testing.B) {
			source, net := motionNetworks(b, bb.rewrite)
			for b.Loop() {
				r, err := Fit(b.Context(), Input{source, net, motion.Videos{Seed: 303, Count: bb.clips}}, Options{For: bb.masks, Held: -1})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				report(b, r, source, motion.Videos{Seed: 202, Count: 1000})
				b.StartTimer()
			}
		})
	}
}

func motionNetworks(b *testing.B, opt afblock.RewriteOptions) (source, net *afblock.Network) {
	m, err := graph.Decode(motion.Source)
	if err != nil {
		b.Fatal(err)
	}
	if err := passes.Canonicalize(m); err != nil {
		b.Fatal(err)
	}
	if source, err = recognize.Network(m, recognize.Options{}); err != nil {
		b.Fatal(err)
	}
	if net, err = afblock.Rewrite(source, opt); err != nil {
		b.Fatal(err)
	}
	return source, net
}

func report(b *testing.B, r *Result, source *afblock.Network, videos motion.Videos) {
	teacher := source.Clone()
	teacher.Frames = r.Net.Frames
	controls, theirs, err := measure(b.Context(), r.Net, teacher, videos, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("source right %.1f %%", 100**theirs)
	for _, c := range controls {
		b.Logf("%s: %.0f %% selected, right %.1f %%, agrees %.1f %%, error %.4f", c.Name, 100*c.Selected, 100**c.Right, 100*c.Top1, c.Error)
	}
	b.ReportMetric(100**controls[0].Right, "%right")
	b.ReportMetric(100*controls[0].Top1, "%agrees")
	b.ReportMetric(controls[0].Error, "error")
}
