package afc

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/chart"
	"github.com/afc-project/afc/published"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/subject"
)

// SweepOptions say what to compare.
type SweepOptions struct {
	Source       string   // path of a TSN or TSM
	SourceFrames int      // frames a clip of it, where its graph does not say
	Models       []string // paths of AFNets that afc wrote

	// Frames are the numbers of frames at which the source runs, beside its own;
	// nil: half, a quarter and so on, to 2. What one would do instead of an AFNet.
	Frames []int
	// Ratios are shares of frames that AFNets of a fixed schedule select in place
	// of their own; their weights stay.
	Ratios    []float64
	Lowerings []codegen.Lowering // of the AFNets; nil: as they are
	Budgets   []int              // frames that blocks compute, of topk

	Clips     Clips
	Run       Runtime
	Rounds    int    // of the timing; 0: 9
	Published string // data set of published figures to show beside (published.Names); "": none

	Progress func(step string) // is told what is being done; nil: nobody
}

// SweepReport is what Sweep found.
type SweepReport struct {
	Inputs    string             `json:"inputs"`
	Videos    int                `json:"videos"`
	Points    []SweepPoint       `json:"points"`
	Published *published.DataSet `json:"published,omitempty"` // figures of papers, not measured here
}

// SweepPoint is one model, run on all clips.
type SweepPoint struct {
	Model    string `json:"model"` // path of the file that it comes from
	Source   bool   `json:"source"`
	Name     string `json:"name"` // what tells it from the others of the file
	Frames   int    `json:"frames"`
	Lowering string `json:"lowering,omitempty"`

	Accuracy *verify.Accuracy `json:"accuracy,omitempty"` // where all videos have labels
	// Agreement is the part of the videos with the first class of the source at
	// its own number of frames.
	Agreement float64 `json:"agreement"`
	// Error is the standard error of the accuracy, or else of the agreement.
	Error    float64 `json:"standard_error"`
	Selected float64 `json:"selected,omitempty"` // share of the frames that blocks choose
	GMACs    float64 `json:"gmacs"`              // 10⁹ multiply–accumulates that run, mean over clips
	Millis   float64 `json:"milliseconds"`       // median of the rounds, a clip
	Ratio    float64 `json:"time_to_source"`     // median over rounds
	// Activations is the most memory of maps at once, in bytes.
	Activations int64 `json:"peak_activation_bytes"`
}

// Score is the accuracy, or else the agreement, in percent.
func (p *SweepPoint) Score() float64 {
	if p.Accuracy != nil {
		return 100 * p.Accuracy.Top1
	}
	return 100 * p.Agreement
}

// sweepEntry is a model of a sweep.
type sweepEntry struct {
	point   SweepPoint
	subject *verify.Subject
	net     *afblock.Network
}

// Sweep runs a source, the same at fewer frames, and AFNets of it in several
// ways on the same clips: how often they are right, what that takes, and how
// long. Times are taken side by side.
func Sweep(ctx context.Context, opt SweepOptions) (*SweepReport, error) {
	step := PassOptions{Progress: opt.Progress}.step
	r := &SweepReport{}
	if opt.Published != "" {
		var err error
		if r.Published, err = published.Of(opt.Published); err != nil {
			return nil, optionf("Published", opt.Published, "%v", err)
		}
	}
	entries, err := opt.sources(step)
	if err != nil {
		return nil, err
	}
	for _, path := range opt.Models {
		step("reading " + path)
		more, err := opt.afnets(path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	run := opt.Run.options()
	run.Rounds = opt.Rounds
	if run.Videos, err = opt.Clips.videos(ctx, entries[0].subject, step); err != nil {
		return nil, err
	}
	r.Inputs, r.Videos = run.Videos.String(), run.Videos.Len()/clips.Views(run.Videos)
	if err := r.answer(ctx, entries, run, step); err != nil {
		return nil, err
	}
	step("timing")
	subjects := make([]*verify.Subject, len(entries))
	for i, e := range entries {
		subjects[i] = e.subject
	}
	times, err := verify.Race(ctx, subjects, run)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		p := e.point
		p.Millis, p.Ratio, p.Activations = times[i].P50/float64(times[i].Clips), times[i].Ratio, times[i].Activations
		r.Points = append(r.Points, p)
	}
	return r, nil
}

// answer runs every entry on every clip.
func (r *SweepReport) answer(ctx context.Context, entries []*sweepEntry, run verify.Options, step func(string)) error {
	labels := make([]int, r.Videos)
	for i := range labels {
		labels[i] = run.Videos.Label(i * clips.Views(run.Videos))
	}
	var want [][]float64
	for k, e := range entries {
		run.Progress = func(_ string, done, total int) {
			step(fmt.Sprintf("model %d of %d (%s %s): clip %d of %d", k+1, len(entries), e.point.Model, e.point.Name, done+1, total))
		}
		measured, err := verify.Measure(ctx, e.subject, run)
		if err != nil {
			return err
		}
		if err := e.count(measured); err != nil {
			return err
		}
		var scores [][]float64
		for _, m := range measured {
			scores = append(scores, m.Scores)
		}
		scores = clips.OfVideos(run.Videos, scores)
		if k == 0 {
			want = scores
		}
		a, err := verify.Agree(scores, want, e.subject.Probabilities)
		if err != nil {
			return filef("%s: %v", e.point.Model, err)
		}
		part := a.Top1
		e.point.Agreement = a.Top1
		if !slices.Contains(labels, -1) {
			accuracy, err := verify.Score(scores, labels)
			if err != nil {
				return filef("%s: %v", e.point.Model, err)
			}
			part, e.point.Accuracy = accuracy.Top1, &accuracy
		}
		e.point.Error = math.Sqrt(part * (1 - part) / float64(len(scores)))
	}
	return nil
}

// count fills in what the clips took.
func (e *sweepEntry) count(measured []verify.Measured) error {
	size := e.net.Size
	for _, m := range measured {
		if !size.Known() {
			size = afblock.Size{m.Form.Height, m.Form.Width}
		}
		ratios := make([]float64, len(m.Masks))
		for b, mask := range m.Masks {
			for _, bit := range mask {
				ratios[b] += float64(bit) / float64(len(mask))
			}
		}
		if len(ratios) > 0 {
			e.point.Selected += mean(ratios) / float64(len(measured))
		}
		cost, err := e.net.Cost(afblock.CostOptions{Size: size, Ratios: executedRatios(e.subject, ratios)})
		if err != nil {
			return err
		}
		e.point.GMACs += cost.Total().MACs / 1e9 / float64(len(measured))
	}
	return nil
}

// sources are the source as its file has it, and at fewer frames.
func (o *SweepOptions) sources(step func(string)) ([]*sweepEntry, error) {
	step("reading " + o.Source)
	m, err := openModel(o.Source)
	if err != nil {
		return nil, err
	}
	if compiled.Is(m) {
		return nil, filef("%s, given as the source, is an AFNet that afc wrote: the source stands first, then AFNets", o.Source)
	}
	again, err := openModel(o.Source)
	if err != nil {
		return nil, err
	}
	net, _, err := networkOf(again, recognize.Options{Frames: o.SourceFrames})
	if err != nil {
		return nil, err
	}
	at := func(frames int) *sweepEntry {
		other := net.Clone()
		other.Frames = frames
		return &sweepEntry{net: other, point: SweepPoint{Model: o.Source, Source: true, Name: fmt.Sprintf("%d frames", frames), Frames: frames}}
	}
	own := at(net.Frames)
	own.subject = &verify.Subject{Model: m, Path: o.Source, Frames: net.Frames, Channels: net.Stem.Conv.In(), Layout: layoutOf(net), Size: net.Size, Probabilities: net.Head.Softmax}
	entries := []*sweepEntry{own}
	frames := o.Frames
	if frames == nil {
		for t := net.Frames / 2; t >= 2; t /= 2 {
			frames = append(frames, t)
		}
	}
	for _, t := range frames {
		if t == net.Frames {
			continue
		}
		e := at(t)
		lowered, _, err := codegen.Lower(e.net, codegen.Options{})
		if err != nil {
			return nil, fmt.Errorf("%s at %d frames: %w", o.Source, t, err)
		}
		subject := *own.subject
		subject.Model, subject.Frames = lowered, t
		e.subject = &subject
		entries = append(entries, e)
	}
	return entries, nil
}

// afnets are an AFNet as its file has it, and in the ways asked for.
func (o *SweepOptions) afnets(path string) ([]*sweepEntry, error) {
	s, net, err := subjectOf(path)
	if err != nil {
		return nil, err
	}
	if len(s.Blocks) == 0 {
		return nil, filef("%s: no block of it selects frames; sweep takes AFNets that afc wrote", path)
	}
	pattern := net.Navigation()[0].Fixed
	name := "as navigation chooses"
	if pattern != nil {
		name = pattern.String()
	}
	entries := []*sweepEntry{{net: net, subject: s, point: SweepPoint{Model: path, Name: name, Frames: net.Frames, Lowering: s.Lowering}}}
	add := func(net *afblock.Network, name string, opt codegen.Options) error {
		opt.MasksOutput = true
		m, choice, err := codegen.Lower(net, opt)
		if err != nil {
			return filef("%s, %s: %v", path, name, err)
		}
		variant, net, err := subject.Of(m)
		if err != nil {
			return err
		}
		variant.Path = path + ", " + name
		entries = append(entries, &sweepEntry{net: net, subject: variant, point: SweepPoint{
			Model: path, Name: name, Frames: net.Frames, Lowering: string(choice.Lowering)}})
		return nil
	}
	for _, ratio := range o.Ratios {
		if pattern == nil {
			return nil, optionf("Ratios", nil, "%s chooses frames by trained navigation: sweep {Budgets} instead", path)
		}
		other, schedule := net.Clone(), afblock.Pattern{Ratio: ratio}
		for block, n := range other.Navigation() {
			n.Force(schedule.Select(net.Frames, block))
			n.Fixed = &schedule
		}
		if err := add(other, schedule.String(), codegen.Options{Lowering: codegen.Lowering(s.Lowering), Budget: s.Budget}); err != nil {
			return nil, err
		}
	}
	for _, lowering := range o.Lowerings {
		if string(lowering) != s.Lowering && lowering != codegen.TopK {
			if err := add(net, name+", "+string(lowering), codegen.Options{Lowering: lowering}); err != nil {
				return nil, err
			}
		}
	}
	for _, budget := range o.Budgets {
		if err := add(net, fmt.Sprintf("%s, budget %d", name, budget), codegen.Options{Lowering: codegen.TopK, Budget: []int{budget}}); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// WriteSVG draws the figures that papers show: the score against multiply–
// accumulates, with published figures if asked for, and against time.
func (r *SweepReport) WriteSVG(w io.Writer) error {
	score := "agreement with the source, %"
	if len(r.Points) > 0 && r.Points[0].Accuracy != nil {
		score = "top-1, %"
	}
	cost := &chart.Scatter{Title: "Score against cost", X: "10⁹ multiply–accumulates a clip (papers' GFLOPs)", Y: score}
	time := &chart.Scatter{Title: "Score against time", X: "milliseconds a clip, on this machine", Y: score}
	for _, p := range r.Points {
		if i := len(cost.Series) - 1; i < 0 || cost.Series[i].Name != filepath.Base(p.Model) {
			cost.Series = append(cost.Series, chart.Series{Name: filepath.Base(p.Model), Joined: p.Source})
			time.Series = append(time.Series, chart.Series{Name: filepath.Base(p.Model), Joined: p.Source})
		}
		i := len(cost.Series) - 1
		cost.Series[i].Points = append(cost.Series[i].Points, chart.Point{X: p.GMACs, Y: p.Score(), Error: 100 * p.Error, Label: p.Name})
		time.Series[i].Points = append(time.Series[i].Points, chart.Point{X: p.Millis, Y: p.Score(), Error: 100 * p.Error, Label: p.Name})
	}
	if d := r.Published; d != nil {
		papers := chart.Series{Name: d.Name, Published: true}
		for _, row := range d.Rows {
			papers.Points = append(papers.Points, chart.Point{X: row.GFLOPs, Y: row.Score, Label: row.Method})
		}
		cost.Series = append(cost.Series, papers)
	}
	return chart.WriteScatters(w, cost, time)
}
