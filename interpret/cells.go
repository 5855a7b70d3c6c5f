package interpret

import (
	"math"
	"slices"

	"github.com/afc-project/afc/afblock"
)

// cells chooses inside the frames.
type cells struct {
	grid         int
	look, choose conv
	fixed        []bool // the same for all frames; nil: look chooses
}

// cellsOf reads the cells of the block-th focal block.
func cellsOf(c *afblock.Cells, block int) *cells {
	if c == nil {
		return nil
	}
	read := &cells{grid: c.Grid}
	if c.Fixed != nil {
		read.fixed = c.Fixed.Select(c.Grid, block)
		return read
	}
	read.look, read.choose = convOf(&c.Look), convOf(&c.Choice)
	return read
}

// certain is the margin of a cell that nothing weighs.
const certain = 1e30

// margins says how far each cell's keep exceeds its drop, for each frame.
func (c *cells) margins(ample []*Map) [][]float64 {
	out := make([][]float64, len(ample))
	for t, m := range ample {
		out[t] = make([]float64, c.grid*c.grid)
		if c.fixed != nil {
			copy(out[t], signs(c.fixed, certain))
			continue
		}
		logits := c.choose.apply(c.look.apply(m).relu().adaptive(c.grid))
		for i := range out[t] {
			out[t][i] = logits.plane(1)[i] - logits.plane(0)[i]
		}
	}
	return out
}

// signs is a margin where on, its opposite where not.
func signs(on []bool, margin float64) []float64 {
	out := make([]float64, len(on))
	for i, x := range on {
		if out[i] = -margin; x {
			out[i] = margin
		}
	}
	return out
}

// adaptive averages g×g windows of each channel, as PyTorch's
// AdaptiveAvgPool2d does: from floor(i·n/g) to before ceil((i+1)·n/g).
func (m *Map) adaptive(g int) *Map {
	out := m.like(m.C, g, g)
	end := func(i, n int) int { return int(math.Ceil(float64((i+1)*n) / float64(g))) }
	for c := range m.C {
		from, to := m.plane(c), out.plane(c)
		for i := range to {
			y0, y1, x0, x1 := i/g*m.H/g, end(i/g, m.H), i%g*m.W/g, end(i%g, m.W)
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					to[i] += from[y*m.W+x]
				}
			}
			to[i] /= float64((y1 - y0) * (x1 - x0))
		}
	}
	return out
}

// chooseCells says which cells of each frame a block would compute, whether
// the frame is selected or not; nil where it chooses whole frames.
func (r *run) chooseCells(c *cells, block int, ample []*Map) [][]bool {
	if c == nil {
		r.answer.Cells, r.answer.CellMargins = append(r.answer.Cells, nil), append(r.answer.CellMargins, nil)
		return nil
	}
	var margins [][]float64
	if r.given.ForceCells != nil {
		for range ample {
			margins = append(margins, signs(r.given.ForceCells[block], certain))
		}
	} else {
		margins = c.margins(ample)
	}
	chosen := make([][]bool, len(ample))
	for t, row := range margins {
		chosen[t] = make([]bool, len(row))
		for i, m := range row {
			chosen[t][i] = m > 0
		}
	}
	r.answer.Cells, r.answer.CellMargins = append(r.answer.Cells, chosen), append(r.answer.CellMargins, margins)
	if r.given.FollowCells != nil {
		return r.given.FollowCells[block]
	}
	return chosen
}

// picked is what a focal block computes: frames, and of each its cells.
type picked struct {
	frames []bool
	grid   int      // cells a side; 0: whole frames
	cells  [][]bool // [frame][cell]
}

// withinCells leaves, of the chosen cells of chosen frames, as many as a budget
// of cells has: those with the largest margins, a cell's being the smaller of
// its own and its frame's; of equal ones the first.
func (p picked) withinCells(frameMargins []float64, cellMargins [][]float64, budget int) picked {
	var on []bool
	var margins []float64
	for t, row := range p.cells {
		for i, cell := range row {
			on = append(on, cell && p.frames[t])
			margins = append(margins, min(frameMargins[t], cellMargins[t][i]))
		}
	}
	kept := within(on, margins, budget)
	n := p.grid * p.grid
	out := picked{make([]bool, len(p.frames)), p.grid, make([][]bool, len(p.frames))}
	for t := range p.frames {
		out.cells[t] = kept[t*n : (t+1)*n]
		out.frames[t] = slices.Contains(out.cells[t], true)
	}
	return out
}

// count is how many cells, or frames, are computed.
func (p picked) count() int {
	if p.grid == 0 {
		return count(p.frames)
	}
	n := 0
	for t, row := range p.cells {
		if p.frames[t] {
			n += count(row)
		}
	}
	return n
}

// blend puts what a frame not selected answers where a cell is not.
func (p picked) blend(t int, m, unchosen *Map) *Map {
	if p.grid == 0 {
		return m
	}
	for c := range m.C {
		to, from := m.plane(c), unchosen.plane(c)
		for i := range to {
			row, col := i/m.W*p.grid/m.H, i%m.W*p.grid/m.W
			if !p.cells[t][row*p.grid+col] {
				to[i] = from[i]
			}
		}
	}
	return m
}
