package afc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify"
)

// FitOptions say which AFNet to make of a source, and on which clips.
type FitOptions struct {
	Model        string   // path of a source model
	Output       string   // path to write; "": the model is in the report alone
	ExternalData bool     // weights in a file beside Output; always so above 2 GB
	InputShapes  []string // fix open sizes of inputs: "video:1,8,3,224,224", or the sizes alone

	// The AFNet, as in ConvertOptions.
	SourceFrames, Frames int
	Navigation           string
	Alpha, FocalGroups   int
	StrideAt             string
	Unselected           string
	Without              string // "ample": no AFNet, but plain blocks that skip frames by the schedule; "": an AFNet
	Target               codegen.Target
	Form

	Clips Clips // to fit on, of a file or a folder; labels are not looked at
	// Fit says how to fit; its Progress is not looked at.
	Fit fit.Options

	// Resume keeps the fit so far in the folder Output.fit, goes on from what an
	// interrupted one of the same kind left there, and removes it at the end.
	Resume bool

	Progress func(step string) // is told what is being done; nil: nobody
}

// FitReport is what Fit did.
type FitReport struct {
	RewriteReport
	Fit  *fit.Result `json:"fit"`
	Cost *CostShares `json:"cost,omitempty"` // absent for frames of any size
}

// CostShares are multiply–accumulates of a clip.
type CostShares struct {
	Source float64 `json:"source_macs"`
	AFNet  float64 `json:"afnet_macs"` // at the schedule
	Ratio  float64 `json:"ratio"`
}

// Fit makes an AFNet of a source as Convert does, with weights regressed onto
// the source's activations on clips, so that it predicts without training. The
// source runs on ONNX Runtime, which a model may crash; see Verify.
func Fit(ctx context.Context, opt FitOptions) (*FitReport, error) {
	start := time.Now()
	conv := ConvertOptions{
		Model: opt.Model, Output: opt.Output, ExternalData: opt.ExternalData, InputShapes: opt.InputShapes,
		SourceFrames: opt.SourceFrames, Frames: opt.Frames, Navigation: opt.Navigation, Alpha: opt.Alpha,
		FocalGroups: opt.FocalGroups, StrideAt: opt.StrideAt, Unselected: opt.Unselected, Target: opt.Target, Form: opt.Form,
		PassOptions: PassOptions{Progress: opt.Progress},
	}
	popt, err := conv.pipeline()
	if err == nil {
		popt.Rewrite.NoAmple, err = opt.noAmple()
	}
	if err != nil {
		return nil, err
	}
	if opt.Clips.Input == "" && opt.Clips.Videos == "" {
		return nil, optionf("Videos", nil, "a fit needs clips, from here or from {Input}")
	}
	if opt.Resume && opt.Output == "" {
		return nil, optionf("Resume", nil, "the fit so far is kept beside the file that {Output} names")
	}
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model, opt.Clips.Input, opt.Clips.Read.List); err != nil {
			return nil, err
		}
	}
	in, err := conv.read()
	if err != nil {
		return nil, err
	}
	already := &graph.Error{File: opt.Model, Reason: "is an AFNet already, or was fitted; give the TSN or TSM that it was made from"}
	if compiled.Is(in.Model) {
		return nil, already
	}
	if err := conv.counts(in); err != nil {
		return nil, err
	}
	if err := setInputShapes(in.Model, opt.InputShapes); err != nil {
		return nil, err
	}
	r := &FitReport{}
	popt.Accept = func(source *afblock.Network) error {
		if len(source.Navigation()) > 0 {
			return already
		}
		return nil
	}
	popt.Fit = func(source, net *afblock.Network) (*afblock.Network, error) {
		videos, err := opt.clips().videos(ctx, &verify.Subject{Frames: source.Frames, Channels: source.Stem.Conv.In(), Layout: layoutOf(source)}, conv.step)
		if err != nil {
			return nil, err
		}
		if clips.Views(videos) > 1 {
			return nil, optionf("Read", nil, "a fit looks at one clip of a video, cropped in the middle")
		}
		if r.Fit, err = opt.fit(ctx, source, net, videos); err != nil {
			return nil, err
		}
		r.Cost, err = fitCost(source, r.Fit.Net)
		return r.Fit.Net, err
	}
	result, err := passes.Run(passes.ToConvert, in, popt)
	if few := (*fit.TooFewError)(nil); errors.As(err, &few) {
		return nil, filef("%s: too few clips: %v", opt.Model, few)
	}
	if errors.Is(err, already) {
		return nil, already
	}
	if err != nil {
		return nil, passFailed(err, conv.PassOptions)
	}
	written, err := conv.report(ctx, result)
	if err != nil {
		return nil, err
	}
	if err := opt.forget(); err != nil {
		return nil, err
	}
	r.RewriteReport = *written
	r.Elapsed = time.Since(start)
	return r, nil
}

// noAmple reports whether the network is to be without ample branches.
func (o *FitOptions) noAmple() (bool, error) {
	switch {
	case o.Without == "":
		return false, nil
	case o.Without != "ample":
		return false, optionf("Without", o.Without, "expected ample")
	case o.Alpha != 0:
		return false, optionf("Alpha", nil, "it narrows the ample branch, and {Without} leaves that out")
	case o.Navigation == "none":
		return false, optionf("Navigation", nil, "with no frame selected and {Without} nothing is left of what would be focal blocks")
	case o.Fit.For == fit.Any:
		return false, optionf("Without", nil, "other selections than the schedule need the ample branch, which tells what skipped frames show; leave {Without} out, or fit for the schedule")
	}
	return true, nil
}

// clips are those that the fit can use: of a long list of files no more are
// looked at.
func (o *FitOptions) clips() Clips {
	c := o.Clips
	if o.Fit.Clips > 0 {
		c.Read.Most = o.Fit.Clips + fit.HeldAtMost(o.Fit.Held)
	}
	return c
}

// fit runs the regressions, and tells how long they will take.
func (o *FitOptions) fit(ctx context.Context, source, net *afblock.Network, videos clips.Videos) (*fit.Result, error) {
	step := PassOptions{Progress: o.Progress}.step
	step("running " + o.Model + " on the clips")
	start := time.Now()
	fopt := o.Fit
	fopt.State = o.state()
	fopt.Progress = func(done, total int, l fit.Layer) {
		left := time.Since(start) * time.Duration(total-done) / time.Duration(done)
		step(fmt.Sprintf("fitting %d of %d: %s, residual %.3f; about %v left", done, total, names.InWords(l.Name), l.Residual, left.Round(time.Second)))
	}
	return fit.Fit(ctx, fit.Input{Source: source, Net: net, Videos: videos}, fopt)
}

// state is the folder of the fit so far, "" for none.
func (o *FitOptions) state() string {
	if !o.Resume {
		return ""
	}
	return o.Output + ".fit"
}

// forget removes it.
func (o *FitOptions) forget() error {
	if !o.Resume {
		return nil
	}
	return fit.Forget(o.state())
}

// WriteHTML writes the report as one page that needs nothing else.
func (r *FitReport) WriteHTML(w io.Writer, model string) error {
	p := fit.Page{Model: r.Output, Source: model, Program: Program(), Fit: r.Fit}
	if r.Cost != nil {
		p.SourceMACs, p.MACs = r.Cost.Source, r.Cost.AFNet
	}
	return p.WriteHTML(w)
}

// fitCost counts a clip of the source and of the AFNet at its schedule.
func fitCost(source, net *afblock.Network) (*CostShares, error) {
	if net.Size[0] == 0 {
		return nil, nil
	}
	var ratios []float64
	for i, n := range net.Navigation() {
		selected := 0
		for _, s := range n.Fixed.Select(net.Frames, i) {
			if s {
				selected++
			}
		}
		ratios = append(ratios, float64(selected)/float64(net.Frames))
	}
	before, err := source.Cost(afblock.CostOptions{})
	if err != nil {
		return nil, err
	}
	after, err := net.Cost(afblock.CostOptions{Ratios: ratios})
	if err != nil {
		return nil, err
	}
	s := &CostShares{Source: before.Total().MACs, AFNet: after.Total().MACs}
	s.Ratio = s.AFNet / s.Source
	return s, nil
}
