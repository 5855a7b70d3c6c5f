package fit

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime/debug"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// Result is what a fit made.
type Result struct {
	Net    *afblock.Network `json:"-"`
	For    Masks            `json:"for"`
	Clips  int              `json:"clips"` // fitted on
	Held   int              `json:"held"`  // held back from the fit
	Seed   uint64           `json:"seed"`
	Layers []Layer          `json:"layers"` // in the order fitted
	// Controls is what the clips held back say: the schedule first.
	Controls []Control `json:"controls,omitempty"`
	// SourceRight is the part of them that the source names; absent without labels.
	SourceRight *float64 `json:"source_right,omitempty"`
}

// Fit fits an AFNet's weights to a source's activations on clips. Neither
// network of the input is changed.
func Fit(ctx context.Context, in Input, opt Options) (*Result, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	if opt.Rows == 0 {
		opt.Rows = DefaultRows
	}
	if opt.For == "" {
		opt.For = Schedule
	}
	if opt.ridge == 0 {
		opt.ridge = 1
	}
	net := in.Net.Clone()
	teacher := in.Source.Clone()
	teacher.Frames = net.Frames
	for c := range net.Convs() {
		if err := folded(c); err != nil {
			return nil, err
		}
	}
	e := &engine{opt: opt, teacher: teacher, net: net, total: regressions(net)}
	defer e.close()
	on, held := split(in.Videos, opt.Clips, opt.Held)
	if err := e.start(ctx, shown(net, on), on.Len()); err != nil {
		return nil, err
	}
	if err := e.fit(); err != nil {
		return nil, err
	}
	net.FineTune = false
	r := &Result{Net: net, For: opt.For, Seed: opt.Seed, Clips: on.Len(), Held: held.Len(), Layers: e.layers}
	var err error
	if r.Controls, r.SourceRight, err = measure(ctx, net, teacher, held, opt); err != nil {
		return nil, err
	}
	net.Fit = r.record()
	return r, nil
}

// garbage is how much of it, in percent of what is in use, the heap may hold
// while fitting: little, for it is few large arrays without pointers, which take
// milliseconds to collect.
const garbage = 20

// record is what the network keeps of its fit.
func (r *Result) record() *afblock.Fitted {
	f := &afblock.Fitted{For: string(r.For), Clips: r.Clips, Seed: r.Seed}
	for _, n := range r.Net.Navigation() {
		f.Masks = n.Fixed.String()
	}
	if p := r.Net.Schedule(); p != nil {
		f.Masks = p.String()
	}
	if len(r.Controls) > 0 {
		f.Held, f.Agrees, f.Error = r.Held, r.Controls[0].Top1, r.Controls[0].Error
	}
	for _, l := range r.Layers {
		f.Residuals = append(f.Residuals, afblock.LayerResidual{Layer: l.Name, Left: l.Residual})
	}
	return f
}

// regressions counts what there is to fit.
func regressions(net *afblock.Network) int {
	n := 1
	for _, u := range net.Units() {
		if u.Part == afblock.PartMix {
			n++
		}
		if u.Block != nil {
			n += len(u.Block.Convs())
		}
	}
	return n
}

// start runs what lies before the stages on all clips, of which some were given.
func (e *engine) start(ctx context.Context, videos clips.Videos, given int) error {
	m, err := lowered(e.teacher)
	if err != nil {
		return err
	}
	e.source = m
	// Between runs this process has work of its own for the cores.
	session := ort.SessionOptions{Threads: e.opt.Threads, Config: map[string]string{"session.intra_op.allow_spinning": "0"}}
	if e.products, err = newProducts(ctx, session); err != nil {
		return err
	}
	feed, err := newFeeder(m, e.teacher)
	if err != nil {
		return err
	}
	if videos.Len() == 0 {
		return fmt.Errorf("%s: no clips to fit on", videos)
	}
	e.run = &runner{ctx: ctx, session: session, clips: videos.Len() * feed.clips, frames: e.net.Frames}
	if err := e.stem(feed, videos); err != nil {
		return err
	}
	e.aheadName = names.StemOut
	e.select_()
	if err := e.enough(afblock.Size{feed.form.Height, feed.form.Width}, given); err != nil {
		return err
	}
	e.states, err = e.newCheckpoints()
	return err
}

// stem stores what the stem makes of the clips.
func (e *engine) stem(feed *feeder, videos clips.Videos) error {
	part, err := cut(e.source, nil, []string{names.StemOut})
	if err != nil {
		return err
	}
	session, err := ort.NewSession(part, e.run.session)
	if err != nil {
		return err
	}
	defer session.Close()
	perSample := feed.clips * e.run.frames
	kinds, seed := map[uint64]bool{}, maphash.MakeSeed()
	err = feed.each(e.run.ctx, videos, func(first, use int, input *graph.Tensor) error {
		raw, err := input.Bytes()
		if err != nil {
			return err
		}
		kinds[maphash.Bytes(seed, raw)] = true
		out, err := session.Run(e.run.ctx, input)
		if err != nil {
			return err
		}
		m, err := mapsOf(out[0], []int{first})
		if err != nil {
			return err
		}
		if e.ahead == nil {
			if e.ahead, err = newStream(e.run.clips*e.run.frames, m.c, m.at); err != nil {
				return err
			}
		}
		return e.ahead.write(first*perSample, m.values[:use*perSample*e.ahead.perFrame()])
	})
	if err == nil && len(kinds) <= 2 && videos.Len() > 2*max(feed.samples, 2) { // backwards too
		err = fmt.Errorf("%s: every clip shows the same", videos)
	}
	return err
}

// select_ makes the masks of all focal blocks on all clips.
func (e *engine) select_() {
	rng := rand.New(rand.NewPCG(e.opt.Seed, 1))
	for i, n := range e.net.Navigation() {
		mask := make([]float32, 0, e.run.clips*e.run.frames)
		for range e.run.clips {
			if e.opt.For == Any {
				p := shares[rng.IntN(len(shares))]
				for range e.run.frames {
					bit := float32(0)
					if rng.Float64() < p {
						bit = 1
					}
					mask = append(mask, bit)
				}
				continue
			}
			for _, s := range n.Fixed.Select(e.run.frames, i) {
				bit := float32(0)
				if s {
					bit = 1
				}
				mask = append(mask, bit)
			}
		}
		e.masks = append(e.masks, mask)
	}
}

// shares of frames that random masks select, each clip and block one of them.
var shares = []float64{0.25, 0.5, 0.75, 1}

func (e *engine) close() {
	e.ahead.close()
	if e.products != nil {
		e.products.close()
	}
}
