package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// Result is what a training made.
type Result struct {
	Net     *afblock.Network `json:"-"`
	Clips   int              `json:"clips"`
	Epochs  int              `json:"epochs"`
	Steps   int              `json:"steps"` // of all epochs
	Resumed int              `json:"resumed_at,omitempty"`
	// Before, Best and Last are scores on the validation clips: of the weights
	// given, of those kept, of the last.
	Before *Score `json:"before,omitempty"`
	Best   *Score `json:"best,omitempty"`
	Of     int    `json:"best_epoch,omitempty"`
	Last   *Score `json:"last,omitempty"`

	Curve  []Moment `json:"-"`
	Scores []Moment `json:"-"` // those of validations alone
	Blocks []string `json:"-"` // keys of the focal blocks' navigation
}

// Tune trains an AFNet's weights. The networks of the input are not changed.
// Weights whose loss is not a finite number end it with a *DivergedError.
func Tune(ctx context.Context, in Input, opt Options) (*Result, error) {
	if err := opt.check(in); err != nil {
		return nil, &RefusedError{err}
	}
	t := &tuner{in: in, opt: opt}
	defer t.close()
	if err := t.prepare(); err != nil {
		return nil, err
	}
	if opt.Resume {
		if err := t.resume(); err != nil {
			return nil, err
		}
	}
	if err := t.openLog(); err != nil {
		return nil, err
	}
	if err := t.run(ctx); err != nil {
		return nil, err
	}
	return t.result()
}

// tuner is one training.
type tuner struct {
	in      Input
	opt     Options
	size    afblock.Size
	step    *Step
	data    *batches
	machine *machine
	val     *validator // nil: none
	state   state
	log     *log
	options map[string]string
	report  Result
}

// prepare makes what the steps need.
func (t *tuner) prepare() error {
	t.size = t.in.Net.FrameSize()
	var err error
	if t.step, err = t.opt.Step(t.in.Net); err != nil {
		return err
	}
	weights, statistics, err := t.step.Layout.Of(t.in.Net)
	if err != nil {
		return err
	}
	v := vectors{weights: vector(weights), moments: zeros(t.opt.Update.Moments() * int64(len(weights)))}
	if len(statistics) > 0 && t.opt.Norm == Batch {
		v.statistics = vector(statistics)
	}
	if t.machine, err = newMachine(t.step, v, t.opt.Threads); err != nil {
		return err
	}
	t.data = &batches{opt: &t.opt, net: t.in.Net, videos: t.in.Videos, blocks: t.step.Blocks}
	if t.data.frames, err = newFrames(t.in.Net, t.size, t.opt.Threads); err != nil {
		return err
	}
	if t.in.Source != nil {
		source := t.in.Source.Clone()
		source.Frames = t.in.Net.Frames
		if t.data.teacher, err = newTeacher(source, t.size, t.opt.Threads); err != nil {
			return err
		}
	}
	if t.data.steps() == 0 {
		return &RefusedError{fmt.Errorf("%s: fewer than a batch of %d", t.in.Videos, t.opt.Batch)}
	}
	t.options = t.opt.told(t.in.Origin)
	return t.prepareValidation()
}

func (t *tuner) prepareValidation() error {
	if t.in.Val == nil {
		return nil
	}
	layout := *t.step.Layout
	if t.machine.current().statistics == nil {
		layout.Statistics = nil
	}
	m, err := newAnswers(t.in.Net, &layout, t.opt.Batch, t.size, t.opt.selection())
	if err != nil {
		return err
	}
	v := &validator{net: t.in.Net, frames: t.data.frames, videos: t.in.Val, batch: t.opt.Batch, teacher: t.data.teacher}
	if v.session, err = ort.NewSession(m, ort.SessionOptions{Threads: t.opt.Threads, Config: quiet}); err != nil {
		return err
	}
	t.val = v
	if t.opt.selection() == Given {
		v.masks = t.validationMasks
	}
	return nil
}

// validationMasks are the schedule's, or for random budgets a mask of each in
// turn, always the same.
func (t *tuner) validationMasks(clip int) []float32 {
	if t.opt.Masks == Schedule {
		var v []float32
		for i, n := range t.in.Net.Navigation() {
			v = append(v, bits(n.Fixed.Select(t.in.Net.Frames, i))...)
		}
		return v
	}
	rng := rand.New(rand.NewPCG(t.opt.Seed, 1<<63|uint64(clip)))
	var v []float32
	for range t.in.Net.Navigation() {
		v = append(v, drawn(rng, t.in.Net.Frames, t.opt.Budgets[clip%len(t.opt.Budgets)])...)
	}
	return v
}

func (t *tuner) close() {
	if t.machine != nil {
		t.machine.close()
	}
	if t.data != nil {
		t.data.frames.close()
		t.data.teacher.close()
	}
	t.val.close()
	t.log.close()
}

// resume goes on from the state.
func (t *tuner) resume() error {
	s, err := load(t.opt.State, t.options, t.machine.current())
	if err != nil {
		return err
	}
	t.state = *s
	t.machine.places[t.machine.now] = s.at
	t.report.Resumed = s.Done
	return nil
}

// run runs the epochs that are left.
func (t *tuner) run(ctx context.Context) error {
	if t.val != nil && t.state.Done == 0 {
		var err error
		if t.report.Before, err = t.val.score(ctx, t.machine.current()); err != nil {
			return err
		}
		t.state.Scores = []Moment{{Val: t.report.Before}}
		t.tell(Progress{Val: t.report.Before})
	}
	for t.state.Epoch < t.opt.Epochs {
		if err := t.epoch(ctx); err != nil {
			return err
		}
		t.state.Epoch, t.state.Step = t.state.Epoch+1, 0
		if err := t.validate(ctx); err != nil {
			return err
		}
		if err := t.save(); err != nil {
			return err
		}
	}
	return nil
}

// epoch runs what is left of an epoch.
func (t *tuner) epoch(ctx context.Context) (err error) {
	steps := t.data.steps()
	made, stop := t.data.ahead(ctx, t.state.Epoch, t.state.Step)
	defer func() {
		if failed := stop(); err == nil {
			err = failed
		}
	}()
	began, from := time.Now(), t.state.Done
	for b := range made {
		p := Progress{Epoch: t.state.Epoch + 1, Step: t.state.Step + 1, Steps: steps}
		if err := t.one(ctx, b, &p); err != nil {
			return err
		}
		t.state.Step, t.state.Done = t.state.Step+1, t.state.Done+1
		each := time.Since(began) / time.Duration(t.state.Done-from)
		t.state.Curve = add(t.state.Curve, t.opt.Epochs*steps, t.state.Done, p)
		p.Speed = float64(t.opt.Batch) / each.Seconds()
		p.Left = each * time.Duration(steps*t.opt.Epochs-t.state.Done)
		t.tell(p)
		if t.opt.SaveEvery > 0 && t.state.Step%t.opt.SaveEvery == 0 && t.state.Step < steps {
			if err := t.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// one runs a step.
func (t *tuner) one(ctx context.Context, b *batch, p *Progress) error {
	all := t.data.steps() * t.opt.Epochs
	progress := float64(t.state.Done) / float64(all)
	p.Rate = t.opt.Decay.rate(t.opt.Rate, t.state.Done, all)
	b.inputs[RateIn] = graph.Float32s(nil, float32(p.Rate))
	if t.opt.Masks == Choose {
		p.Tau, p.Target = temperature(progress), targetRatio(progress, t.opt.Ratio)
		for name, x := range map[string]float64{TauIn: p.Tau, RatioIn: p.Target, LambdaIn: t.opt.Lambda} {
			b.inputs[name] = graph.Float32s(nil, float32(x))
		}
	}
	b.inputs[CorrectIn] = corrections(t.state.Done + 1)
	facts, err := t.machine.run(ctx, b.inputs)
	p.Facts = facts
	if d := (*DivergedError)(nil); errors.As(err, &d) {
		d.Epoch, d.Step = t.state.Epoch, t.state.Step
		t.tell(*p)
		if t.opt.State != "" {
			if err := t.save(); err != nil {
				return err
			}
			d.State = t.opt.State
		}
	}
	return err
}

// validate scores the weights, and keeps the best.
func (t *tuner) validate(ctx context.Context) error {
	if t.val == nil {
		return nil
	}
	s, err := t.val.score(ctx, t.machine.current())
	if err != nil {
		return err
	}
	t.report.Last = s
	t.state.Scores = append(t.state.Scores, Moment{Step: t.state.Done, Val: s})
	if s.better(t.state.Best, t.opt.Labels > 0) {
		now := t.machine.current()
		t.state.Best, t.state.Of = s, t.state.Epoch
		t.state.best = vectors{weights: copied(now.weights), statistics: copied(now.statistics)}
	}
	t.tell(Progress{Epoch: t.state.Epoch, Val: s})
	return nil
}

// copied is a tensor that later steps do not write.
func copied(t *graph.Tensor) *graph.Tensor {
	if t == nil {
		return nil
	}
	raw, err := t.Bytes()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return graph.MustTensor(t.DType, slices.Clone(t.Dims), slices.Clone(raw))
}

func (t *tuner) save() error {
	if t.opt.State == "" {
		return nil
	}
	t.state.at, t.state.Options, t.state.Log = t.machine.current(), t.options, t.log.size()
	return t.state.save(t.opt.State)
}

func (t *tuner) tell(p Progress) {
	t.log.write(p)
	if t.opt.Progress != nil {
		t.opt.Progress(p)
	}
}

// result puts the weights kept into the network.
func (t *tuner) result() (*Result, error) {
	kept := t.machine.current()
	if t.state.Best != nil {
		kept = t.state.best
	}
	weights, err := kept.weights.Float32s()
	if err != nil {
		return nil, err
	}
	layout := *t.step.Layout
	var statistics []float32
	if kept.statistics == nil {
		layout.Statistics = nil
	} else if statistics, err = kept.statistics.Float32s(); err != nil {
		return nil, err
	}
	r := t.report
	r.Net = layout.Put(t.in.Net, weights, statistics)
	r.Clips, r.Epochs, r.Steps, r.Best, r.Of = t.in.Videos.Len(), t.opt.Epochs, t.state.Done, t.state.Best, t.state.Of
	r.Curve, r.Scores = t.state.Curve, t.state.Scores
	for _, n := range t.in.Net.Navigation() {
		r.Blocks = append(r.Blocks, n.Key)
	}
	t.record(&r)
	return &r, t.log.failed()
}
