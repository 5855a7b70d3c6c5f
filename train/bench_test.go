package train

import (
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels/motion"
	"github.com/afc-project/afc/verify/ort"
)

// BenchmarkMotion is the table of docs/BENCHMARKS.md: a TSM that knows ten
// motions, its AFNet fitted on clips without labels, then trained on what the
// source says of clips, and measured on 1,000 others behind the last epoch.
func BenchmarkMotion(b *testing.B) {
	if _, err := ort.Version(); err != nil {
		b.Skip(err)
	}
	half := fitOptions{clips: 300, masks: fit.Schedule}
	for _, bb := range []struct {
		name string
		fit  fitOptions
		opt  func(*Options)
		on   motion.Videos
	}{
		{"half-300-clips", half, func(o *Options) { o.Epochs, o.Variants = 20, true }, motion.Videos{Seed: 303, Count: 300}},
		{"half-4000-clips", half, func(o *Options) { o.Epochs = 5 }, motion.Videos{Seed: 304, Count: 4000}},
		{"budgets", fitOptions{700, fit.Any}, func(o *Options) { o.Epochs, o.Masks, o.Budgets = 1, Random, []float64{0, 0.25, 0.5, 1} }, motion.Videos{Seed: 304, Count: 4000}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			source, net := bb.fit.fitted(b)
			opt := Options{
				Groups: Groups[1:], Masks: Schedule, Distill: 1, Norm: Batch, Batch: 16, Rate: 3e-4, Rates: Even, Decay: Cosine,
				Update: Update{Optimizer: AdamW, Decay: 0.01, ClipGradient: 20},
			}
			bb.opt(&opt)
			opt.Progress = func(p Progress) {
				if p.Val != nil {
					b.Logf("epoch %d: %s", p.Epoch, p.Val)
				}
			}
			for b.Loop() {
				in := Input{Net: net, Source: source, Videos: bb.on, Val: motion.Videos{Seed: 202, Count: 1000}}
				r, err := Tune(b.Context(), in, opt)
				if err != nil {
					b.Fatal(err)
				}
				in.Net = r.Net
				for _, share := range opt.Budgets {
					b.Logf("%s: %s", afblock.Pattern{Ratio: share}, under(b, in, opt, share))
				}
				b.ReportMetric(100**r.Last.Right, "%right")
				b.ReportMetric(100**r.Last.Agrees, "%agrees")
				b.ReportMetric(*r.Last.Error, "error")
			}
		})
	}
}

// under scores a network where every block selects one share of the frames.
func under(b *testing.B, in Input, opt Options, share float64) *Score {
	t := &tuner{in: in, opt: opt}
	defer t.close()
	if err := t.prepare(); err != nil {
		b.Fatal(err)
	}
	t.val.masks = func(int) []float32 {
		var v []float32
		for i := range in.Net.Navigation() {
			v = append(v, bits(afblock.Pattern{Ratio: share}.Select(in.Net.Frames, i))...)
		}
		return v
	}
	s, err := t.val.score(b.Context(), t.machine.current())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// fitOptions are those of the fit that training starts from.
type fitOptions struct {
	clips int
	masks fit.Masks
}

func (f fitOptions) fitted(b *testing.B) (source, net *afblock.Network) {
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
	if net, err = afblock.Rewrite(source, afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}); err != nil {
		b.Fatal(err)
	}
	r, err := fit.Fit(b.Context(), fit.Input{Source: source, Net: net, Videos: motion.Videos{Seed: 303, Count: f.clips}}, fit.Options{For: f.masks, Held: -1})
	if err != nil {
		b.Fatal(err)
	}
	return source, r.Net
}
