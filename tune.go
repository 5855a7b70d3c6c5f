package afc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/train"
	"github.com/afc-project/afc/verify"
)

// TuneOptions say which AFNet to train, from what, and on which clips. What is
// nil or zero is chosen by what is given; Tune's report says what it was.
type TuneOptions struct {
	Model        string // path of an AFNet that afc wrote
	Output       string // path to write; "": the model is in the report alone
	ExternalData bool   // weights in a file beside Output; always so above 2 GB
	Target       codegen.Target
	Form         // how Output is written; training itself is float32

	Source       string // path of the model that teaches; "": the one beside Model that it was made of, if it is to teach
	SourceFrames int    // frames a clip of the source; 0: as its graph says

	Clips Clips // to train on, of a file or a folder
	Val   Clips // to choose the best weights by; none: the last are taken

	LabelWeight *float64 // weight of the cross-entropy; nil: 0 with Distill, 1 without
	Distill     *float64 // weight of the distance to the source's scores; nil: 0 with Labels, else 1
	Train       string   // what learns: "all", "body" (all but the stem), "navigation", or groups by name; "": all with labels, else body
	Rt          *float64 // ratio of the frames that navigation learns to choose; nil: a fixed schedule stays, else 0.5
	Budgets     []float64
	Lambda      *float64 // weight of the ratio's loss; nil: 0.5

	Epochs       int    // 0: the authors' 55 with labels, else 10, or as many as make 400 steps
	Batch        int    // clips a step; 0: 32 with labels, else 16
	Optimizer    string // "sgd" or "adamw"; "": sgd with labels, else adamw
	Lr           float64
	LrSchedule   string
	LrGroups     string
	Momentum     *float64
	WeightDecay  *float64
	ClipGradient *float64
	Dropout      *float64
	Bn           string
	Flip         bool
	Variants     *bool // nil: where a source alone labels fewer than 1000 clips
	Seed         uint64

	Threads   int
	State     string // path of the state; "": beside Output
	Resume    bool
	SaveEvery int    // steps between states; 0: one an epoch
	Log       string // path of a log, a JSON object a line
	DumpStep  string // path to write the step's graph to

	Progress func(step string) // is told what is being done; nil: nobody
}

// TuneReport is what Tune did.
type TuneReport struct {
	RewriteReport
	Tune *train.Result  `json:"tune"`
	How  *afblock.Tuned `json:"how"`
	Cost *CostShares    `json:"cost,omitempty"` // at the ratio that was measured, or of the schedule; absent for frames of any size
}

// WriteHTML writes the training as one page that needs nothing else: curves, and
// which frames blocks chose. From and source name the files that it began with.
func (r *TuneReport) WriteHTML(w io.Writer, from, source string) error {
	p := train.Page{Model: r.Output, From: from, Source: source, Program: Program(), How: r.How.String(), Tune: r.Tune}
	return p.WriteHTML(w)
}

// fewClips is the number of clips under which a source is shown variants too.
const fewClips = 1000

// Tune trains an AFNet's weights on ONNX Runtime. Runs of one seed, at one
// thread, give the same bytes, interrupted and resumed or not.
func Tune(ctx context.Context, opt TuneOptions) (*TuneReport, error) {
	start := time.Now()
	t, err := opt.open(ctx)
	if err != nil {
		return nil, err
	}
	r := &TuneReport{}
	if r.Tune, err = train.Tune(ctx, t.in, t.opt); err != nil {
		return nil, tuneFailed(opt.Model, err)
	}
	r.How = r.Tune.Net.Tune
	if err := t.write(ctx, r); err != nil {
		return nil, err
	}
	if t.opt.State != "" {
		if err := os.Remove(t.opt.State); err != nil && !os.IsNotExist(err) {
			return nil, filef("%v", err)
		}
	}
	r.Elapsed = time.Since(start)
	return r, nil
}

// tuning is what Tune works on.
type tuning struct {
	*TuneOptions
	file   compiled.FileInfo
	origin string // of the AFNet
	in     train.Input
	opt    train.Options
}

// open reads the files and settles the options.
func (o *TuneOptions) open(ctx context.Context) (*tuning, error) {
	t := &tuning{TuneOptions: o}
	if _, err := t.conversion().pipeline(); err != nil {
		return nil, err
	}
	if o.Output != "" {
		if err := Writable(o.Output, o.Model, o.Source, o.Clips.Input, o.Clips.Read.List, o.Val.Input, o.Val.Read.List, o.State, o.Log, o.DumpStep); err != nil {
			return nil, err
		}
	}
	if o.Clips.Input == "" && o.Clips.Videos == "" {
		return nil, optionf("Videos", nil, "training needs clips, from here or from {Input}")
	}
	o.step("reading " + o.Model)
	m, err := openModel(o.Model, o.Output)
	if err != nil {
		return nil, err
	}
	if !compiled.Is(m) {
		return nil, &graph.Error{File: o.Model, Reason: "is no AFNet that afc wrote; make one of it with convert or fit first"}
	}
	t.origin = m.Meta(names.SourceKey)
	if t.in.Net, t.file, err = compiled.ReadModel(m); err != nil {
		return nil, err
	}
	if err := t.teacher(); err != nil {
		return nil, err
	}
	if err := t.clips(ctx); err != nil {
		return nil, err
	}
	if err := t.settle(); err != nil {
		return nil, err
	}
	if err := t.identify(); err != nil {
		return nil, err
	}
	return t, t.dump()
}

func (o *TuneOptions) step(text string) { PassOptions{Progress: o.Progress}.step(text) }

// teacher reads the source, if one is given or to be looked for.
func (t *tuning) teacher() error {
	switch {
	case t.Distill != nil && *t.Distill == 0 && t.Source != "":
		return optionf("Distill", 0, "then {Source} says nothing: leave it out")
	case t.Source == "" && (t.Distill != nil && *t.Distill == 0 || t.Distill == nil && t.LabelWeight != nil):
		return nil
	case t.Source == "":
		found, why, err := FindSource(t.Model)
		if err != nil {
			return err
		}
		if found == "" && t.Distill == nil {
			return optionf("LabelWeight", nil, "nothing to learn from: %s. Give {Source}, or {LabelWeight} 1 where the clips have labels", why)
		}
		if found == "" {
			return optionf("Distill", *t.Distill, "no source to learn from: %s. Give {Source}", why)
		}
		t.Source = found
	}
	t.step("reading " + t.Source)
	m, err := openModel(t.Source, t.Output)
	if err != nil {
		return err
	}
	t.in.Source, _, err = networkOf(m, recognize.Options{Frames: t.SourceFrames})
	return err
}

// clips lists the clips.
func (t *tuning) clips(ctx context.Context) error {
	s := &verify.Subject{Frames: t.in.Net.Frames, Channels: t.in.Net.Stem.Conv.In(), Layout: layoutOf(t.in.Net)}
	var err error
	if t.in.Videos, err = t.Clips.videos(ctx, s, t.step); err != nil {
		return err
	}
	if t.Val.Input != "" || t.Val.Videos != "" {
		t.in.Val, err = t.Val.videos(ctx, s, t.step)
	}
	return err
}

// settle chooses what was left open.
func (t *tuning) settle() error {
	o := &t.opt
	o.Labels, o.Distill = t.weights()
	taught := o.Labels == 0
	o.Seed, o.Threads, o.Resume, o.SaveEvery, o.Log, o.Flip = t.Seed, t.Threads, t.Resume, t.SaveEvery, t.Log, t.Flip
	o.Batch = pick(t.Batch, taught, 16, 32)
	o.Epochs = pick(t.Epochs, taught, fewEpochs(t.in.Videos.Len()/o.Batch), 55)
	o.Lambda, o.Dropout = or(t.Lambda, 0.5), or(t.Dropout, pick(0, taught, 0, 0.5))
	o.Norm = train.Norm(pick(t.Bn, true, string(train.Batch), ""))
	if err := t.learns(taught); err != nil {
		return err
	}
	if err := t.optimizer(taught); err != nil {
		return err
	}
	o.Variants = taught && t.in.Videos.Len() < fewClips
	if t.Variants != nil {
		o.Variants = *t.Variants
	}
	if o.State = t.State; o.State == "" && t.Output != "" {
		o.State = strings.TrimSuffix(t.Output, ".onnx") + ".tune.safetensors"
	}
	if _, err := os.Stat(o.State); err == nil && o.State != "" && !o.Resume {
		return filef("%s is the state of a training that did not end: go on with --resume, or delete it to begin anew", o.State)
	}
	if o.Resume && o.State == "" {
		return optionf("Resume", nil, "nothing says where the state is: give {State} or {Output}")
	}
	o.Progress = t.told
	return nil
}

// fewEpochs is how many epochs, of some steps each, a source teaches unless it is
// said otherwise: fitted weights get worse before they get better (docs/TUNE.md).
func fewEpochs(steps int) int {
	const leastEpochs, leastSteps = 10, 400
	return max(leastEpochs, (leastSteps+steps-1)/max(steps, 1))
}

// pick is a value that was given, or one of two defaults.
func pick[T comparable](given T, first bool, a, b T) T {
	var none T
	switch {
	case given != none:
		return given
	case first:
		return a
	}
	return b
}

func or(given *float64, def float64) float64 {
	if given != nil {
		return *given
	}
	return def
}

// weights are those of labels and of the source.
func (t *tuning) weights() (labels, distill float64) {
	if t.in.Source != nil {
		distill = or(t.Distill, 1)
	}
	def := 0.0
	if distill == 0 {
		def = 1
	}
	return or(t.LabelWeight, def), distill
}

// learns settles which weights learn, under which masks.
func (t *tuning) learns(taught bool) error {
	o := &t.opt
	fixed := !slices.ContainsFunc(t.in.Net.Navigation(), func(n *afblock.Navigation) bool { return n.Fixed == nil })
	switch {
	case t.Budgets != nil && t.Rt != nil:
		return optionf("Budgets", nil, "weights serve several budgets, or navigation learns to choose {Rt} of the frames")
	case t.Budgets != nil:
		o.Masks, o.Budgets = train.Random, t.Budgets
	case t.Rt != nil || !fixed:
		o.Masks, o.Ratio = train.Choose, or(t.Rt, 0.5)
	default:
		o.Masks = train.Schedule
	}
	if o.Ratio < 0 || o.Ratio > 1 {
		return optionf("Rt", o.Ratio, "a ratio lies between 0 and 1")
	}
	if t.Lambda != nil && o.Masks != train.Choose {
		return optionf("Lambda", nil, "no ratio is learned; it goes with {Rt}")
	}
	var err error
	o.Groups, err = groups(pick(t.Train, taught, "body", "all"))
	if err == nil && o.Masks != train.Choose && slices.Equal(o.Groups, []train.Group{train.Navigation}) {
		return optionf("Train", t.Train, "navigation learns where it chooses: give {Rt}")
	}
	return err
}

// groups reads what learns.
func groups(spec string) ([]train.Group, error) {
	switch spec {
	case "all":
		return train.Groups, nil
	case "body":
		return train.Groups[1:], nil
	}
	var list []train.Group
	for name := range strings.SplitSeq(spec, ",") {
		g := train.Group(strings.TrimSpace(name))
		if !slices.Contains(train.Groups, g) {
			return nil, optionf("Train", spec, "expected all, body, or some of %s", List(train.Groups))
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b train.Group) int { return slices.Index(train.Groups, a) - slices.Index(train.Groups, b) })
	return slices.Compact(list), nil
}

// optimizer settles how weights follow gradients: with labels as the authors,
// else as was measured to do well from fitted weights (docs/TUNE.md).
func (t *tuning) optimizer(taught bool) error {
	o := &t.opt
	u := &o.Update
	switch u.Optimizer = train.Optimizer(pick(t.Optimizer, taught, string(train.AdamW), string(train.SGD))); u.Optimizer {
	case train.SGD:
		u.Momentum, u.Decay, o.Rate, o.Decay, o.Rates = or(t.Momentum, 0.9), 5e-4, 0.01, train.Steps, train.Authors
	case train.AdamW:
		u.Decay, o.Rate, o.Decay, o.Rates = 0.01, 3e-4, train.Cosine, train.Even
		if t.Momentum != nil {
			return optionf("Momentum", *t.Momentum, "it goes with {Optimizer} sgd")
		}
	default:
		return optionf("Optimizer", t.Optimizer, "expected sgd or adamw")
	}
	u.Decay, u.ClipGradient = or(t.WeightDecay, u.Decay), or(t.ClipGradient, 20)
	if t.Lr != 0 {
		o.Rate = t.Lr
	}
	o.Decay = train.Decay(pick(t.LrSchedule, true, string(o.Decay), ""))
	o.Rates = train.Multiples(pick(t.LrGroups, true, string(o.Rates), ""))
	switch {
	case o.Decay != train.Steps && o.Decay != train.Cosine:
		return optionf("LrSchedule", o.Decay, "expected steps or cosine")
	case o.Rates != train.Authors && o.Rates != train.Even:
		return optionf("LrGroups", o.Rates, "expected authors or even")
	case o.Norm != train.Batch && o.Norm != train.Frozen:
		return optionf("Bn", o.Norm, "expected batch or frozen")
	}
	return nil
}

// identify says what the networks and clips are, for the state.
func (t *tuning) identify() error {
	t.in.Origin = map[string]string{"videos": t.Clips.Videos, "val": t.Val.Videos}
	for name, path := range map[string]string{
		"model": t.Model, "source": t.Source, "input": t.Clips.Input, "list": t.Clips.Read.List, "val-input": t.Val.Input, "val-list": t.Val.Read.List,
	} {
		if path == "" {
			continue
		}
		digest, err := fileDigest(path)
		if err != nil {
			return filef("%v", err)
		}
		t.in.Origin[name] = digest
	}
	pre := t.Clips.Read.Preprocessing
	t.in.Origin["preprocessing"] = fmt.Sprint(pre.Scale, pre.Mean, pre.Std, pre.BGR)
	return nil
}

// dump writes the step's graph.
func (t *tuning) dump() error {
	if t.DumpStep == "" {
		return nil
	}
	s, err := t.opt.Step(t.in.Net)
	if err != nil {
		return tuneFailed(t.Model, err)
	}
	_, err = writeModel(context.Background(), s.Model, t.DumpStep, false)
	return err
}

// conversion is how the trained network is written.
func (t *tuning) conversion() *ConvertOptions {
	return &ConvertOptions{Output: t.Output, ExternalData: t.ExternalData, Target: t.Target, Form: t.Form, PassOptions: PassOptions{Progress: t.Progress}, origin: t.origin}
}

// write writes the network as the AFNet was written, but for what the options
// say.
func (t *tuning) write(ctx context.Context, r *TuneReport) error {
	conv := t.conversion()
	popt, err := conv.pipeline()
	if err != nil {
		return err
	}
	popt.Lower.MasksOutput, popt.Lower.Sampling = t.file.Masks, t.file.Sampling
	if t.Precision == "" {
		popt.Lower.Precision, popt.Lower.IO = t.file.Precision, t.file.IO
	}
	popt.Lower.Dial = t.file.Dial || t.opt.Masks == train.Random
	result, err := passes.Run(passes.ToConvert, passes.Input{Network: r.Tune.Net}, popt)
	if err != nil {
		return passFailed(err, conv.PassOptions)
	}
	written, err := conv.report(ctx, result)
	if err != nil {
		return err
	}
	r.RewriteReport = *written
	if t.in.Source != nil && r.Tune.Net.Tune.Masks == string(train.Schedule) {
		r.Cost, err = fitCost(t.in.Source, r.Tune.Net)
	}
	return err
}

// told says in a line where training stands.
func (t *tuning) told(p train.Progress) {
	if v := p.Val; v != nil {
		t.step(fmt.Sprintf("epoch %d of %d: validation %s", p.Epoch, t.opt.Epochs, v))
		return
	}
	line := fmt.Sprintf("epoch %d of %d %s step %d of %d: loss %.4f", p.Epoch, t.opt.Epochs, bar(p), p.Step, p.Steps, p.Facts["loss"])
	for _, name := range []string{"classes", "teacher", "ratio"} {
		if x, ok := p.Facts["loss_"+name]; ok {
			line += fmt.Sprintf(", %s %.4f", name, x)
		}
	}
	if low, high, ok := selected(p.Facts); ok && t.opt.Masks == train.Choose {
		line += fmt.Sprintf(", frames %.0f–%.0f %%", 100*low, 100*high)
	}
	t.step(fmt.Sprintf("%s, %.1f clips/s, %v left", line, p.Speed, p.Left.Round(time.Second)))
}

// bar is how much of an epoch is done.
func bar(p train.Progress) string {
	const width = 20
	n := width * p.Step / max(p.Steps, 1)
	return "[" + strings.Repeat("=", n) + strings.Repeat(".", width-n) + "]"
}

// selected are the smallest and the largest ratio of a block.
func selected(facts map[string]float64) (low, high float64, ok bool) {
	low = 1
	for i := 0; ; i++ {
		x, there := facts[fmt.Sprintf("selected_%d", i)]
		if !there {
			return low, high, ok
		}
		low, high, ok = min(low, x), max(high, x), true
	}
}

// tuneFailed says which file a training could not take, or go on from.
func tuneFailed(model string, err error) error {
	var state *train.StateError
	var diverged *train.DivergedError
	var refused *train.RefusedError
	switch {
	case errors.As(err, &state):
		return filef("%v", err)
	case errors.As(err, &diverged):
		return err
	case errors.As(err, &refused):
		return &graph.Error{File: model, Reason: err.Error()}
	}
	return err
}
