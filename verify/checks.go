package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// checks is the table of checks, in the order they run: first what the others
// rest on.
var checks = []check{
	{"file", "keeps the rules of ONNX", (*prover).checkFile},
	{"seal", "holds the weights that were written", (*prover).checkSeal},
	{"onnx-go", "onnx-go reads the same nodes", (*prover).checkOnnxGo},
	{"load", "ONNX Runtime loads it without a warning", (*prover).checkLoad},
	{"reference", "equals its own mask lowering", (*prover).checkReference},
	{"masks", "chooses the frames the mask lowering chooses", (*prover).checkMasks},
	{"none", "no frame selected", (*prover).checkNone},
	{"all", "every frame selected", (*prover).checkAll},
	{"mixed", "every second frame selected, staggered", (*prover).checkMixed},
	{"tie", "a tie selects nothing", (*prover).checkTie},
	{"provider", "the provider computes what the CPU does", (*prover).checkProvider},
	{"repeat", "repeated runs give equal bytes", (*prover).checkRepeat},
	{"batch", "a batch equals its clips one by one", (*prover).checkBatch},
	{"permute", "permuted clips give permuted answers", (*prover).checkPermute},
	{"isolation", "a bad clip leaves its neighbours alone", (*prover).checkIsolation},
	{"optimised", "optimised by ONNX Runtime equals unoptimised", (*prover).checkOptimised},
	{"skipping", "convolutions run on selected frames only", (*prover).checkSkipping},
	{"identity", "with all frames and the gate open equals the source", (*prover).checkIdentity},
	{"agreement", "answers like the source", (*prover).checkAgreement},
	{"latency", "time against the source", (*prover).checkLatency},
}

// baseline is the model's answer to a batch as written, on the CPU,
// unoptimised, with its choices.
func (p *prover) baseline(batch int) (*outcome, error) {
	if p.base[batch] == nil {
		o, err := p.runShown(p.s.Model, p.batches[batch])
		if err != nil {
			return nil, err
		}
		p.base[batch] = o
	}
	return p.base[batch], nil
}

// runShown runs a model unoptimised and reads its choices.
func (p *prover) runShown(m *graph.Model, clips [][]float32) (*outcome, error) {
	if p.showing[m] == nil {
		p.showing[m] = p.shown(m)
	}
	o, err := p.run(p.showing[m], p.unoptimised(), clips)
	if err != nil {
		return nil, err
	}
	return o, p.readMasks(o, len(clips))
}

// runForced runs the reference with given choices.
func (p *prover) runForced(clips [][]float32, masks [][][]uint8) (*outcome, error) {
	m, err := p.reference(true)
	if err != nil {
		return nil, err
	}
	s, err := p.sessions.open(m, p.unoptimised())
	if err != nil {
		return nil, err
	}
	inputs, err := p.inputs(m, s, clips, masksTensor(masks))
	if err != nil {
		return nil, err
	}
	o, err := p.runSession(s, inputs)
	if err != nil {
		return nil, err
	}
	o.take(masksOutput)
	return o, nil
}

// withinBudget refuses choices of more frames than a block computes: what is
// dropped then, the reference does not drop.
func (p *prover) withinBudget(masks [][][]uint8) error {
	for _, clip := range masks {
		for b, block := range clip {
			selected := 0
			for _, on := range block {
				selected += int(on)
			}
			if budget := p.budget(b); selected > budget {
				return &InapplicableError{fmt.Sprintf("%s selects %d frames, its budget is %d", p.s.Blocks[b].Name, selected, budget)}
			}
		}
	}
	return nil
}

// budget is how many frames of a clip a block computes at most.
func (p *prover) budget(block int) int {
	switch n := len(p.s.Budget); {
	case n == 0:
		return p.frames
	case n == 1:
		return p.s.Budget[0]
	default:
		return p.s.Budget[block]
	}
}

// same compares the outputs that are wanted and reports the worst. A lowering
// may have outputs of its own beside them.
func (p *prover) same(name string, got, want *outcome, tol Tolerance) (Check, error) {
	c := Check{Status: Pass}
	var worst Difference
	for i, output := range want.names {
		if got.outputs[output] == nil {
			return c, fmt.Errorf("outputs are %s, want %s", strings.Join(got.names, ", "), strings.Join(want.names, ", "))
		}
		limit := tol.atLeast(want.outputs[output].DType)
		d, err := Compare(output, got.outputs[output], want.outputs[output], limit)
		if err != nil {
			return c, err
		}
		if i == 0 || d.worse(worst) {
			worst, c.Limit = d, limit.String()
		}
		shown := d
		shown.Check = name
		p.r.Errors = append(p.r.Errors, shown)
	}
	c.Figure, c.Where, c.size = worst.Figure(), worst.Where(), worst.Needed
	if !worst.OK() {
		c.Status = Fail
	}
	return c, nil
}

func (d Difference) worse(than Difference) bool {
	if d.OK() != than.OK() {
		return !d.OK()
	}
	if d.NonFinite != than.NonFinite {
		return d.NonFinite > than.NonFinite
	}
	return d.Needed > than.Needed
}

// checkLoad loads the file itself, where there is one, on the CPU: what another
// provider says of nodes it leaves to the CPU is the provider's check.
func (p *prover) checkLoad() (Check, error) {
	var s *ort.Session
	var err error
	if path := p.s.Model.Path; path != "" {
		s, err = ort.OpenSession(path, ort.SessionOptions{Threads: p.opt.Threads})
	} else {
		s, err = ort.NewSession(p.s.Model, ort.SessionOptions{Threads: p.opt.Threads})
	}
	if err != nil {
		return Check{}, err
	}
	defer s.Close()
	c := Check{Status: Pass, Figure: fmt.Sprintf("%d warnings", len(s.Warnings)), Limit: "0"}
	if len(s.Warnings) > 0 {
		c.Status, c.Where = Fail, s.Warnings[0]
	}
	return c, nil
}

// checkReference compares the model with its mask lowering given the same
// choices, so that a flip at a tie does not look like a wrong number.
func (p *prover) checkReference() (Check, error) {
	ref, err := p.reference(false)
	if err != nil {
		return Check{}, err
	}
	var worst Check
	for i, clips := range p.batches {
		got, err := p.baseline(i)
		if err != nil {
			return Check{}, err
		}
		if err := p.withinBudget(got.masks); err != nil {
			return Check{}, err
		}
		var want *outcome
		if got.masks != nil {
			want, err = p.runForced(clips, got.masks)
		} else {
			want, err = p.runShown(ref, clips)
		}
		if err != nil {
			return Check{}, err
		}
		c, err := p.same("reference", got, want, Reordered)
		if err != nil {
			return c, err
		}
		if c.Status == Fail {
			c.Where = fmt.Sprintf("batch %d: %s", i, c.Where)
			if i == 0 { // the clips that blame runs
				c.Where += p.blame(p.s.Model, ref)
			}
			return c, nil
		}
		if i == 0 || c.size > worst.size {
			worst = c
		}
	}
	return worst, nil
}

func (p *prover) checkMasks() (Check, error) {
	ref, err := p.reference(false)
	if err != nil {
		return Check{}, err
	}
	var got, want [][][]uint8
	var margins []float64
	for i, clips := range p.batches {
		g, err := p.baseline(i)
		if err != nil {
			return Check{}, err
		}
		if g.masks == nil {
			return Check{}, &InapplicableError{"the model does not show its choices at its top level"}
		}
		w, err := p.runShown(ref, clips)
		if err != nil {
			return Check{}, err
		}
		got, want, margins = append(got, g.masks...), append(want, w.masks...), append(margins, w.margins...)
	}
	p.r.Masks = p.describeMasks(got, margins)
	flips, ties, where := p.flips(got, want, margins, p.r.Masks.Scale)
	c := Check{Status: Pass, Limit: "0 but for ties"}
	c.Figure = fmt.Sprintf("%d flips, %.1f %% selected", flips, 100*p.r.Masks.Ratio())
	if p.r.Masks.Scale > 0 {
		c.Where = fmt.Sprintf("smallest margin %.2e of %.2e", p.r.Masks.Margin, p.r.Masks.Scale)
	}
	if ties > 0 {
		c.Figure += fmt.Sprintf(", %d ties apart", ties)
	}
	if flips > 0 {
		c.Status, c.Where = Fail, where
	}
	return c, nil
}

// flips counts the choices that differ from the reference's: those that
// rounding explains apart.
func (p *prover) flips(got, want [][][]uint8, margins []float64, scale float64) (flips, ties int, where string) {
	i := 0
	for clip := range got {
		for b := range got[clip] {
			for t := range got[clip][b] {
				margin := -1.0
				if margins != nil {
					margin = margins[i]
				}
				i++
				if got[clip][b][t] == want[clip][b][t] {
					continue
				}
				if margin >= 0 && margin <= tieMargin*scale {
					ties++
					continue
				}
				if flips++; flips == 1 {
					where = fmt.Sprintf("%s, clip %d, frame %d: chosen %d, want %d", p.s.Blocks[b].Name, clip, t, got[clip][b][t], want[clip][b][t])
					if margin >= 0 {
						where += fmt.Sprintf(", margin %.2e", margin)
					}
				}
			}
		}
	}
	return flips, ties, where
}

func (p *prover) describeMasks(masks [][][]uint8, margins []float64) *Masks {
	m := &Masks{Frames: p.frames, Chosen: masks}
	for _, b := range p.s.Blocks {
		m.Blocks = append(m.Blocks, b.Name)
	}
	if len(margins) > 0 {
		m.Margin, m.Scale = slices.Min(margins), slices.Max(margins)
	}
	return m
}

func (p *prover) checkNone() (Check, error) {
	return p.checkForced("none", p.pattern(func(int, int) bool { return false }), false)
}

func (p *prover) checkAll() (Check, error) {
	return p.checkForced("all", p.pattern(func(int, int) bool { return true }), false)
}

func (p *prover) checkMixed() (Check, error) {
	return p.checkForced("mixed", p.pattern(func(block, frame int) bool { return (block+frame)%2 == 0 }), false)
}

func (p *prover) checkTie() (Check, error) {
	return p.checkForced("tie", p.pattern(func(int, int) bool { return false }), true)
}

// checkForced gives the file's own graph navigation weights that decide, and
// compares it with the reference under those choices.
func (p *prover) checkForced(name string, choose [][]uint8, equal bool) (Check, error) {
	if _, err := p.reference(true); err != nil {
		return Check{}, err
	}
	m, err := p.forced(p.s.Model, choose, equal)
	if err != nil {
		return Check{}, err
	}
	got, err := p.runShown(m, p.clips)
	if err != nil {
		return Check{}, err
	}
	masks := make([][][]uint8, len(p.clips)*p.crops)
	for i := range masks {
		masks[i] = choose
	}
	if got.masks != nil {
		if flips, _, where := p.flips(got.masks, masks, nil, 0); flips > 0 {
			return Check{Status: Fail, Figure: fmt.Sprintf("%d flips", flips), Limit: "0", Where: where}, nil
		}
	}
	if err := p.withinBudget(masks); err != nil {
		return Check{}, err
	}
	want, err := p.runForced(p.clips, masks)
	if err != nil {
		return Check{}, err
	}
	c, err := p.same(name, got, want, Reordered)
	if err == nil && c.Status == Fail {
		ref, err := p.reference(false)
		if err != nil {
			return c, err
		}
		if ref, err = p.forced(ref, choose, equal); err == nil {
			c.Where += p.blame(m, ref)
		}
	}
	return c, err
}
