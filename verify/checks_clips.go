package verify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// checkRepeat runs the model twice in one session and once in another. Equal
// bytes are asked of the CPU alone.
func (p *prover) checkRepeat() (Check, error) {
	first, err := p.run(p.s.Model, p.optimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	second, err := p.run(p.s.Model, p.optimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	var fresh sessionCache
	defer fresh.close()
	s, err := fresh.open(p.s.Model, p.optimised())
	if err != nil {
		return Check{}, err
	}
	inputs, err := p.inputs(p.s.Model, s, p.clips, nil)
	if err != nil {
		return Check{}, err
	}
	third, err := p.runSession(s, inputs)
	if err != nil {
		return Check{}, err
	}
	if !p.opt.Provider.CPU() {
		// GPU kernels may be chosen by timing and sum in another order.
		return p.same("repeat", p.clips, third, first, p.tol(Reordered))
	}
	for i, again := range []*outcome{second, third} {
		for _, name := range first.names {
			a, err := first.outputs[name].Bytes()
			if err != nil {
				return Check{}, err
			}
			b, err := again.outputs[name].Bytes()
			if err != nil {
				return Check{}, err
			}
			if bytes.Equal(a, b) {
				continue
			}
			c, err := p.same("repeat", p.clips, again, first, Exact)
			c.Status, c.Limit = Fail, "equal bytes"
			c.Where = []string{"same session: ", "new session: "}[i] + c.Where
			return c, err
		}
	}
	return Check{Status: Pass, Figure: "equal", Limit: "equal bytes"}, nil
}

// clipRows returns the outputs that belong to clips, each output cut along its
// first dimension.
func (o *outcome) clipRows(clips, lo, hi int) (*outcome, error) {
	cut := &outcome{names: o.names, outputs: map[string]*graph.Tensor{}}
	for _, name := range o.names {
		t := o.outputs[name]
		if len(t.Dims) == 0 || t.Dims[0]%int64(clips) != 0 {
			return nil, fmt.Errorf("output %q is %v: its rows do not divide by %d clips", name, t.Dims, clips)
		}
		raw, err := t.Bytes()
		if err != nil {
			return nil, err
		}
		dims := slices.Clone(t.Dims)
		dims[0] = t.Dims[0] / int64(clips) * int64(hi-lo)
		size := len(raw) / clips
		if cut.outputs[name], err = graph.NewTensor(t.DType, dims, raw[size*lo:size*hi]); err != nil {
			return nil, err
		}
	}
	return cut, nil
}

// wantRows are operators that ONNX Runtime does not run over no rows: it breaks
// off in a Scan, and divides by zero in TopK.
var wantRows = []string{"Scan", "TopK"}

// checkEmpty runs the model on a batch of no clips.
func (p *prover) checkEmpty() (Check, error) {
	if n := p.input.Batch(); n > 0 {
		return Check{}, &InapplicableError{fmt.Sprintf("the model takes batches of %d only", n)}
	}
	for n := range p.s.Model.Graph.AllNodes() {
		if n.Is(wantRows...) {
			return Check{}, &InapplicableError{fmt.Sprintf("give it one clip or more: ONNX Runtime's %s does not run over none", n.OpType)}
		}
	}
	o, err := p.runEmpty(p.s.Model)
	if refusal := (*ort.RunError)(nil); errors.As(err, &refusal) {
		return p.refusesEmpty(refusal)
	}
	if err != nil {
		return Check{}, err
	}
	for _, name := range o.names {
		if dims := o.outputs[name].Dims; len(dims) == 0 || dims[0] != 0 {
			return Check{Status: Fail, Figure: "answers", Limit: "0 rows", Where: fmt.Sprintf("output %q is %v", name, dims)}, nil
		}
	}
	return Check{Status: Pass, Figure: "none", Limit: "0 rows"}, nil
}

// refusesEmpty is what it means that the model breaks off on a batch of no clips:
// nothing, where the mask lowering, which has the same around its trunk, does so
// too.
func (p *prover) refusesEmpty(refusal *ort.RunError) (Check, error) {
	m, err := p.reference(false)
	if err == nil && p.s.TrunkIn != "" {
		_, err = p.runEmpty(m)
	}
	if errors.As(err, new(*ort.RunError)) {
		return Check{}, &InapplicableError{"give it one clip or more: what its source has around the trunk does not take none"}
	}
	return Check{Status: Fail, Figure: "breaks off", Limit: "0 rows", Where: refusal.Error()}, nil
}

// runEmpty runs a model on no clips.
func (p *prover) runEmpty(m *graph.Model) (*outcome, error) {
	in, err := p.clipsInput(m, p.sample())
	if err != nil {
		return nil, err
	}
	s, err := p.sessions.open(m, p.unoptimised())
	if err != nil {
		return nil, err
	}
	inputs := make([]*graph.Tensor, len(s.Inputs()))
	for i, io := range s.Inputs() {
		if i == in.Index {
			inputs[i], err = in.Tensor(nil, p.sample(), [2]int{p.h, p.w})
		} else {
			inputs[i], err = zeros(io.Type, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: input %s %s: %w", ort.ModelName(m), io.Name, io.Type, err)
		}
	}
	return p.runSession(s, inputs)
}

// severalClips returns the model's answer to the batch, if it takes batches of
// several clips.
func (p *prover) severalClips() (*outcome, error) {
	if len(p.clips) < 2 {
		return nil, &InapplicableError{"the model takes one clip at a time"}
	}
	return p.run(p.s.Model, p.optimised(), p.clips)
}

func (p *prover) checkBatch() (Check, error) {
	batch, err := p.severalClips()
	if err != nil {
		return Check{}, err
	}
	worst := Check{Status: Pass}
	for i, clip := range p.clips {
		// A batch that is fixed is filled with the one clip.
		n := int(max(p.input.Batch(), 1))
		alone, err := p.run(p.s.Model, p.optimised(), slices.Repeat([][]float32{clip}, n))
		if err != nil {
			return Check{}, err
		}
		want, err := alone.clipRows(n, n-1, n)
		if err != nil {
			return Check{}, err
		}
		got, err := batch.clipRows(len(p.clips), i, i+1)
		if err != nil {
			return Check{}, err
		}
		c, err := p.same("batch", p.clips[i:i+1], got, want, p.tol(Reordered))
		if err != nil || c.Status == Fail {
			c.Where = fmt.Sprintf("clip %d: %s", i, c.Where)
			return c, err
		}
		if i == 0 || c.size > worst.size {
			worst = c
		}
	}
	return worst, nil
}

func (p *prover) checkPermute() (Check, error) {
	straight, err := p.severalClips()
	if err != nil {
		return Check{}, err
	}
	n := len(p.clips)
	rotated := slices.Concat(p.clips[1:], p.clips[:1])
	turned, err := p.run(p.s.Model, p.optimised(), rotated)
	if err != nil {
		return Check{}, err
	}
	var worst Check
	for i := range p.clips {
		got, err := turned.clipRows(n, i, i+1)
		if err != nil {
			return Check{}, err
		}
		from := (i + 1) % n
		want, err := straight.clipRows(n, from, from+1)
		if err != nil {
			return Check{}, err
		}
		c, err := p.same("permute", p.clips[from:from+1], got, want, p.tol(Reordered))
		if err != nil || c.Status == Fail {
			c.Where = fmt.Sprintf("clip %d moved to place %d: %s", from, i, c.Where)
			return c, err
		}
		if i == 0 || c.size > worst.size {
			worst = c
		}
	}
	return worst, nil
}

// badPixels are values that no clip should have; where pixels are integers,
// the extremes.
func (p *prover) badPixels() []float32 {
	if p.pixels {
		return []float32{0, 255}
	}
	return []float32{float32(math.NaN()), float32(math.Inf(1)), 1e30}
}

// checkIsolation replaces the first clip by NaN, infinity and huge numbers:
// the others' answers must stay, or, where a run takes one clip, that of the
// run behind it.
func (p *prover) checkIsolation() (Check, error) {
	clean, err := p.run(p.s.Model, p.optimised(), p.clips)
	if err != nil {
		return Check{}, err
	}
	n, first, beside := len(p.clips), 1, "beside"
	if n == 1 {
		first, beside = 0, "in the run behind"
	}
	want, err := clean.clipRows(n, first, n)
	if err != nil {
		return Check{}, err
	}
	var worst Check
	for i, bad := range p.badPixels() {
		clips := slices.Clone(p.clips)
		clips[0] = slices.Repeat([]float32{bad}, len(clips[0]))
		dirty, err := p.run(p.s.Model, p.optimised(), clips)
		if err == nil && n == 1 {
			dirty, err = p.run(p.s.Model, p.optimised(), p.clips)
		}
		if err != nil {
			return Check{}, fmt.Errorf("a clip of %g: %w", bad, err)
		}
		got, err := dirty.clipRows(n, first, n)
		if err != nil {
			return Check{}, err
		}
		c, err := p.same("isolation", p.clips[first:], got, want, p.tol(Reordered))
		if err != nil || c.Status == Fail {
			c.Where = fmt.Sprintf("%s a clip of %g: %s", beside, bad, c.Where)
			return c, err
		}
		if i == 0 || c.size > worst.size {
			worst = c
		}
	}
	if n == 1 {
		worst.Figure += ", run by run"
	}
	return worst, nil
}

func (p *prover) checkOptimised() (Check, error) {
	want, err := p.baseline(0)
	if err != nil {
		return Check{}, err
	}
	got, err := p.run(p.shown(p.s.Model), ort.SessionOptions{Threads: p.opt.Threads}, p.clips)
	if err != nil {
		return Check{}, err
	}
	if err := p.readMasks(got, len(p.clips)); err != nil {
		return Check{}, err
	}
	return p.sameButForTies("optimised", got, want, p.tol(Folded))
}
