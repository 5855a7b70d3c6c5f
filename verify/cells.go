package verify

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// cellMasks are choices inside the frames, [clip][block]: the cells of each
// frame, row by row, selected frame or not; nil for a block that chooses whole
// frames.
type cellMasks [][][]uint8

// hasCells reports whether a block chooses inside the frames.
func (p *prover) hasCells() bool {
	return slices.ContainsFunc(p.s.Blocks, func(b names.Focal) bool { return b.Grid > 0 })
}

// showCells adds the choices inside the frames, and their logits, to a model's
// outputs. Fixed ones are a constant, which a node shows.
func (p *prover) showCells(g *graph.Graph) {
	for _, b := range p.s.Blocks {
		if b.Grid == 0 {
			continue
		}
		v := g.Value(b.Cells)
		switch {
		case v == nil:
			continue
		case v.Initializer() != nil:
			v = g.NewNode("Identity", shownCells(b), []*graph.Value{v}, 1).Output(0)
			v.Rename(shownCells(b))
			v.Type = graph.TensorType(graph.Bool, graph.ShapeOf(1, int64(b.Grid), int64(b.Grid)))
		}
		for _, v := range []*graph.Value{v, g.Value(b.CellLogits)} {
			if v != nil && !v.IsOutput() {
				g.AddOutput(v)
			}
		}
	}
}

// shownCells is the output that shows a block's fixed cells.
func shownCells(b names.Focal) string { return b.Cells + ".shown" }

// readCells takes the choices inside the frames out of the outputs of a shown
// model.
func (p *prover) readCells(o *outcome, clips int) error {
	if !p.hasCells() {
		return nil
	}
	o.cells, o.cellLeads = make(cellMasks, clips), make([][][]float64, clips)
	for c := range clips {
		o.cells[c], o.cellLeads[c] = make([][]uint8, len(p.s.Blocks)), make([][]float64, len(p.s.Blocks))
	}
	for i, b := range p.s.Blocks {
		if b.Grid == 0 {
			continue
		}
		o.take(names.Cells(i)) // of the frames selected alone
		chosen, logits := o.take(b.Cells), o.take(b.CellLogits)
		if fixed := o.take(shownCells(b)); fixed != nil {
			chosen = fixed
		}
		if chosen == nil {
			o.cells, o.cellLeads = nil, nil
			return nil
		}
		if err := o.readBlockCells(i, b, chosen, logits, p.frames); err != nil {
			return err
		}
	}
	return nil
}

// readBlockCells reads a block's cells, bool [N·T, g, g] or [1, g, g], and their
// logits, [N·T, 2, g, g].
func (o *outcome) readBlockCells(block int, b names.Focal, chosen, logits *graph.Tensor, frames int) error {
	v, err := float64s(chosen)
	if err != nil {
		return err
	}
	cells := b.Grid * b.Grid
	if len(v) == cells {
		v = slices.Repeat(v, len(o.cells)*frames)
	}
	if len(v) != len(o.cells)*frames*cells {
		return fmt.Errorf("value %q is %v, want [%d %d %d]", b.Cells, chosen.Dims, len(o.cells)*frames, b.Grid, b.Grid)
	}
	for c := range o.cells {
		for _, x := range v[c*frames*cells : (c+1)*frames*cells] {
			o.cells[c][block] = append(o.cells[c][block], bit(x))
		}
	}
	if logits == nil {
		return nil
	}
	l, err := float64s(logits)
	if err != nil {
		return err
	}
	if len(l) != 2*len(v) {
		return fmt.Errorf("value %q is %v, want [%d 2 %d %d]", b.CellLogits, logits.Dims, len(o.cells)*frames, b.Grid, b.Grid)
	}
	for i := range v {
		frame, at := i/cells, i%cells
		lead := l[(2*frame+1)*cells+at] - l[2*frame*cells+at]
		o.cellLeads[frame/frames][block] = append(o.cellLeads[frame/frames][block], lead)
	}
	return nil
}

// forceCells makes a model choose the given cells [block][cell] of every frame.
func (p *prover) forceCells(g *graph.Graph, choose [][]uint8) error {
	for i, b := range p.s.Blocks {
		if b.Grid == 0 {
			continue
		}
		raw := slices.Clone(choose[i])
		on, err := graph.NewTensor(graph.Bool, []int64{1, int64(b.Grid), int64(b.Grid)}, raw)
		if err != nil {
			return err
		}
		v := g.Value(b.Cells)
		switch logits := g.Value(b.CellLogits); {
		case logits != nil && v != nil:
			forceLogits(g, logits, raw, int64(b.Grid))
			continue
		case v == nil:
			return &InapplicableError{fmt.Sprintf("the model does not show the cells of %s at its top level", names.InWords(b.Key))}
		case v.Initializer() != nil:
			g.SetInitializer(v, on)
			continue
		}
		// (cells or on) and on: whatever navigation says.
		given := g.NewInitializer("afc.forced", on)
		at := v.Producer().Next()
		either := g.NewNode("Or", "afc.either", []*graph.Value{v, given}, 1)
		both := g.NewNode("And", "afc.forced_cells", []*graph.Value{either.Output(0), given}, 1)
		if at != nil {
			g.MoveBefore(either, at)
			g.MoveBefore(both, at)
		}
		for _, u := range slices.Clone(v.Uses()) {
			if u.Node != either {
				u.Node.SetInput(u.Index, both.Output(0))
			}
		}
		v.Rename(b.Cells + ".own")
		both.Output(0).Rename(b.Cells)
	}
	return nil
}

// forceLogits makes answers to cells [N·T, 2, g, g] say that the given cells are
// chosen: whatever navigation says, times zero, and as certain as no frame is.
func forceLogits(g *graph.Graph, logits *graph.Value, cells []uint8, grid int64) {
	const certain = 1e4 // half precision has it, too
	v := make([]float32, 2*len(cells))
	for i, on := range cells {
		v[int(on)*len(cells)+i] = certain
	}
	given := g.NewInitializer("afc.forced_logits", graph.Float32s([]int64{1, 2, grid, grid}, v...))
	zero := g.NewInitializer("afc.forced_zero", graph.Float32s(nil, 0))
	at := logits.Producer().Next()
	none := g.NewNode("Mul", "afc.forced_none", []*graph.Value{logits, zero}, 1)
	sum := g.NewNode("Add", "afc.forced_cells", []*graph.Value{none.Output(0), given}, 1)
	if at != nil {
		g.MoveBefore(none, at)
		g.MoveBefore(sum, at)
	}
	for _, u := range slices.Clone(logits.Uses()) {
		if u.Node != none {
			u.Node.SetInput(u.Index, sum.Output(0))
		}
	}
	name := logits.Name()
	logits.Rename(name + ".own")
	sum.Output(0).Rename(name)
}

// cellsTensors writes choices inside the frames as the inputs "cells_in_0" …
// take them.
func (p *prover) cellsTensors(cells cellMasks) map[string]*graph.Tensor {
	out := map[string]*graph.Tensor{}
	for i, b := range p.s.Blocks {
		if b.Grid == 0 || cells == nil {
			continue
		}
		var v []float32
		for _, clip := range cells {
			for _, bit := range clip[i] {
				v = append(v, float32(bit))
			}
		}
		g := int64(b.Grid)
		out[names.CellsIn(i)] = graph.Float32s([]int64{int64(len(cells)), int64(p.frames), g, g}, v...)
	}
	return out
}

// sameCells are the cells [block][cell] of all frames of so many clips.
func (p *prover) sameCells(clips int, choose [][]uint8) cellMasks {
	if choose == nil {
		return nil
	}
	cells := make(cellMasks, clips)
	for c := range cells {
		for i, b := range p.s.Blocks {
			cells[c] = append(cells[c], nil)
			if b.Grid > 0 {
				cells[c][i] = slices.Repeat(choose[i], p.frames)
			}
		}
	}
	return cells
}

// flipsOfCells counts the cells of selected frames that differ from the
// reference's: those that rounding explains apart.
func (p *prover) flipsOfCells(got, want *outcome) (flips, ties int, where string) {
	scale := 0.0
	for _, clip := range want.cellLeads {
		for _, block := range clip {
			for _, lead := range block {
				scale = max(scale, math.Abs(lead))
			}
		}
	}
	for c := range got.cells {
		for b, block := range got.cells[c] {
			for i, bit := range block {
				cells := p.s.Blocks[b].Grid * p.s.Blocks[b].Grid
				if bit == want.cells[c][b][i] || got.masks != nil && got.masks[c][b][i/cells] == 0 {
					continue
				}
				if lead := want.cellLeads[c][b]; lead != nil && math.Abs(lead[i]) <= p.tieMargin()*scale {
					ties++
					continue
				}
				if flips++; flips == 1 {
					where = fmt.Sprintf("%s, clip %d, frame %d, cell %d: chosen %d, want %d", names.InWords(p.s.Blocks[b].Key), c, i/cells, i%cells, bit, want.cells[c][b][i])
				}
			}
		}
	}
	return flips, ties, where
}

// cellsWithinBudget leaves, of a block's chosen cells of chosen frames, as many
// as the frames of its budget have: those with the largest leads, a cell's being the smaller
// of its own and its frame's, of equal ones the first.
func (p *prover) cellsWithinBudget(block int, frames, cells []uint8, leads, cellLeads []float64) []uint8 {
	each := p.s.Blocks[block].Grid * p.s.Blocks[block].Grid
	order := make([]int, len(cells))
	for i := range order {
		order[i] = i
	}
	lead := func(i int) float64 {
		x := math.Inf(1)
		if leads != nil {
			x = leads[i/each]
		}
		switch {
		case cellLeads != nil:
			return min(x, cellLeads[i])
		case cells[i] == 0:
			return math.Inf(-1)
		}
		return x
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lead(b), lead(a)) })
	kept := make([]uint8, len(cells))
	for _, i := range order[:min(p.budget(block)*each, len(order))] {
		kept[i] = cells[i] & frames[i/each]
	}
	return kept
}

// cellPatterns are the ways to choose cells that a tile may get wrong: none,
// all, every second one, and one at each corner, whose halos lie on the border.
var cellPatterns = []struct {
	name string
	on   func(row, col, last int) bool
}{
	{"no cell", func(_, _, _ int) bool { return false }},
	{"every cell", func(_, _, _ int) bool { return true }},
	{"checkerboard", func(r, c, _ int) bool { return (r+c)%2 == 0 }},
	{"top left cell", func(r, c, _ int) bool { return r == 0 && c == 0 }},
	{"top right cell", func(r, c, last int) bool { return r == 0 && c == last }},
	{"bottom left cell", func(r, c, last int) bool { return r == last && c == 0 }},
	{"bottom right cell", func(r, c, last int) bool { return r == last && c == last }},
}

// cellPattern spells a pattern out, [block][cell].
func cellPattern(blocks []names.Focal, on func(row, col, last int) bool) [][]uint8 {
	choose := make([][]uint8, len(blocks))
	for i, b := range blocks {
		for k := range b.Grid * b.Grid {
			choose[i] = append(choose[i], 0)
			if on(k/b.Grid, k%b.Grid, b.Grid-1) {
				choose[i][k] = 1
			}
		}
	}
	return choose
}

// checkCells forces patterns of cells in every second frame.
func (p *prover) checkCells() (Check, error) {
	if !p.hasCells() {
		return Check{}, &InapplicableError{"no block chooses cells inside the frames"}
	}
	frames := p.pattern(func(block, frame int) bool { return (block+frame)%2 == 0 })
	var worst Check
	for _, pattern := range cellPatterns {
		c, err := p.checkForcedCells("cells", p.clips, frames, cellPattern(p.s.Blocks, pattern.on), false)
		if err != nil || c.Status == Fail {
			c.Where = pattern.name + ": " + c.Where
			return c, err
		}
		if c.size >= worst.size {
			worst = c
		}
	}
	worst.Figure += fmt.Sprintf(" in %d runs", len(cellPatterns))
	return worst, nil
}
