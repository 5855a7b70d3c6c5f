package verify

import (
	"fmt"
	"slices"
)

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
