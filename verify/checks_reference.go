package verify

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/afc-project/afc/afblock/compiled/names"
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
		var want *outcome
		if got.masks != nil && (got.cells != nil || !p.hasCells()) {
			masks, cells := p.withinBudget(got)
			want, err = p.runForced(clips, masks, cells)
		} else {
			want, err = p.runShown(ref, clips)
		}
		if err != nil {
			return Check{}, err
		}
		c, err := p.same("reference", clips, got, want, p.tol(Reordered))
		if err != nil {
			return c, err
		}
		if c.Status == Fail {
			c.Where = fmt.Sprintf("batch %d: %s", i, c.Where)
			if i == 0 { // the clips that blame runs
				c.Where += p.blame(p.s.Model, ref, p.clips, nil, nil)
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
	if len(p.s.Blocks) == 0 {
		return Check{}, &InapplicableError{"no block chooses frames"}
	}
	ref, err := p.reference(false)
	if err != nil {
		return Check{}, err
	}
	var got, want [][][]uint8
	var margins []float64
	dropped, cellFlips, cellTies, cellWhere := false, 0, 0, ""
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
		masks, cells := p.withinBudget(g)
		dropped = dropped || !reflect.DeepEqual(g.masks, masks) || !reflect.DeepEqual(g.selectedCells(), (&outcome{masks: masks, cells: cells}).selectedCells())
		if g.cells != nil && w.cells != nil {
			f, t, where := p.flipsOfCells(g, w)
			if cellTies += t; f > 0 && cellFlips == 0 {
				cellWhere = where
			}
			cellFlips += f
		}
	}
	p.r.Masks = p.describeMasks(got, margins)
	if dropped {
		// Behind a dropped frame choices may differ with reason.
		return Check{}, &InapplicableError{"a budget drops frames, and the mask lowering does not: see interpreter"}
	}
	flips, ties, where := p.flips(got, want, margins, p.r.Masks.Scale)
	if flips == 0 {
		where = cellWhere
	}
	flips, ties = flips+cellFlips, ties+cellTies
	c := Check{Status: Pass, Limit: "0 but for ties"}
	c.Figure = fmt.Sprintf("%d flips, %.1f %% selected", flips, 100*p.r.Masks.Ratio())
	if p.r.Masks.Scale > 0 {
		c.Where = fmt.Sprintf("smallest margin %.2e of %.2e", p.r.Masks.Margin, p.r.Masks.Scale)
	}
	if ties > 0 {
		c.Figure += fmt.Sprintf(", %d ties apart", ties)
		if p.s.Rounding > 0 {
			c.Figure = fmt.Sprintf("%d flips, %.1f %% selected, %d turned by rounding", flips, 100*p.r.Masks.Ratio(), ties)
		}
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
				if margin >= 0 && margin <= p.tieMargin()*scale {
					ties++
					continue
				}
				if flips++; flips == 1 {
					where = fmt.Sprintf("%s, clip %d, frame %d: chosen %d, want %d", names.InWords(p.s.Blocks[b].Key), clip, t, got[clip][b][t], want[clip][b][t])
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
		m.Blocks = append(m.Blocks, b.Key)
	}
	if len(margins) > 0 {
		m.Margin, m.Scale = slices.Min(margins), slices.Max(margins)
	}
	return m
}

// withinBudget returns which of the chosen frames and cells are computed: of each
// clip as many as a block's budget, those with the largest leads, of equal ones
// the first.
func (p *prover) withinBudget(o *outcome) ([][][]uint8, cellMasks) {
	if p.s.Budget == nil {
		return o.masks, o.cells
	}
	computed, cells := newMasks(len(o.masks), len(p.s.Blocks), p.frames), cellMasks(nil)
	for i, clip := range o.masks {
		if o.cells != nil {
			cells = append(cells, make([][]uint8, len(clip)))
		}
		for b, block := range clip {
			var leads []float64
			if o.leads != nil {
				at := (i*len(clip) + b) * p.frames
				leads = o.leads[at : at+p.frames]
			}
			if o.cells != nil && o.cells[i][b] != nil {
				computed[i][b] = block
				cells[i][b] = p.cellsWithinBudget(b, block, o.cells[i][b], leads, o.cellLeadsOf(i, b))
				continue
			}
			order := make([]int, p.frames)
			for t := range order {
				order[t] = t
			}
			lead := func(t int) float64 {
				if leads == nil {
					return float64(block[t])
				}
				return leads[t]
			}
			slices.SortStableFunc(order, func(s, t int) int { return cmp.Compare(lead(t), lead(s)) })
			for _, t := range order[:min(p.budget(b), p.frames)] {
				computed[i][b][t] = block[t]
			}
		}
	}
	return computed, cells
}

// cellLeadsOf are the leads of a block's cells, nil where they are not shown.
func (o *outcome) cellLeadsOf(clip, block int) []float64 {
	if o.cellLeads == nil {
		return nil
	}
	return o.cellLeads[clip][block]
}

// selectedCells are the cells of the frames selected.
func (o *outcome) selectedCells() cellMasks {
	var out cellMasks
	for c := range o.cells {
		out = append(out, o.selectedCellsOf(c))
	}
	return out
}

// selectedCellsOf is selectedCells of a clip, nil of every block where the model
// shows none.
func (o *outcome) selectedCellsOf(clip int) [][]uint8 {
	out := make([][]uint8, len(o.masks[clip]))
	if o.cells == nil {
		return out
	}
	for b, block := range o.cells[clip] {
		for i, bit := range block {
			out[b] = append(out[b], bit&o.masks[clip][b][i*len(o.masks[clip][b])/len(block)])
		}
	}
	return out
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
	return p.checkForced("none", p.clips, p.pattern(func(int, int) bool { return false }), false)
}

// checkOne lets every block compute a single frame of a single clip.
func (p *prover) checkOne() (Check, error) {
	return p.checkForced("one", p.clips[:max(1, int(p.input.Batch()))], p.pattern(func(block, frame int) bool { return frame == block%p.frames }), false)
}

func (p *prover) checkAll() (Check, error) {
	return p.checkForced("all", p.clips, p.pattern(func(int, int) bool { return true }), false)
}

func (p *prover) checkMixed() (Check, error) {
	return p.checkForced("mixed", p.clips, p.pattern(func(block, frame int) bool { return (block+frame)%2 == 0 }), false)
}

func (p *prover) checkTie() (Check, error) {
	return p.checkForced("tie", p.clips, p.pattern(func(int, int) bool { return false }), true)
}

// checkForced gives the file's own graph navigation weights that decide, and
// compares it with the reference under those choices.
func (p *prover) checkForced(name string, clips [][]float32, choose [][]uint8, equal bool) (Check, error) {
	return p.checkForcedCells(name, clips, choose, nil, equal)
}

// checkForcedCells is checkForced with cells [block][cell] forced too; nil: those
// that the model chooses.
func (p *prover) checkForcedCells(name string, clips [][]float32, choose, cells [][]uint8, equal bool) (Check, error) {
	if _, err := p.reference(true); err != nil {
		return Check{}, err
	}
	m, err := p.forced(p.s.Model, choose, cells, equal)
	if err != nil {
		return Check{}, err
	}
	got, err := p.runShown(m, clips)
	if err != nil {
		return Check{}, err
	}
	masks := make([][][]uint8, len(clips)*p.crops)
	for i := range masks {
		masks[i] = choose
	}
	if got.masks != nil {
		if flips, _, where := p.flips(got.masks, masks, nil, 0); flips > 0 {
			return Check{Status: Fail, Figure: fmt.Sprintf("%d flips", flips), Limit: "0", Where: where}, nil
		}
	}
	given := &outcome{masks: masks, leads: got.leads, cells: p.sameCells(len(masks), cells), cellLeads: got.cellLeads}
	if cells == nil {
		given.cells = got.cells
	}
	computed, computedCells := p.withinBudget(given)
	want, err := p.runForced(clips, computed, computedCells)
	if err != nil {
		return Check{}, err
	}
	c, err := p.same(name, clips, got, want, p.tol(Reordered))
	if err == nil && c.Status == Fail {
		ref, err := p.reference(false)
		if err != nil {
			return c, err
		}
		if ref, err = p.forced(ref, choose, cells, equal); err == nil {
			c.Where += p.blame(m, ref, clips, choose, cells)
		}
	}
	return c, err
}
