package afblock

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Cells chooses inside the frames, too (spatial navigation): the focal map is cut
// into Grid×Grid cells, and a focal block computes those chosen of the frames
// selected; the others answer as a frame not selected does. Of the ample feature
// that navigation looks at: Look → ReLU → adaptive average pool to the grid →
// Choice, for each cell the logits of leaving it out and of selecting it. A cell
// is selected when the second exceeds the first. Pixel y of a map of h rows is
// of row floor(y·Grid/h) of the cells (CellOf).
//
// With Fixed the cells are the same for all clips, and there is nothing to
// look at: Look and Choice have no tensors.
type Cells struct {
	Grid   int // cells a side
	Look   Conv
	Choice Conv // 1×1, to 2 channels
	Fixed  *CellPattern
}

// MaxGrid bounds what a file may say of a grid.
const MaxGrid = 64

// Layers returns the layers that look at the ample feature; none if the cells are
// fixed.
func (c *Cells) Layers() []Layer {
	if c.Fixed != nil {
		return nil
	}
	return []Layer{&c.Look, ReLU, CellPool(c.Grid), &c.Choice}
}

// Selection is the shape of a focal block's selection: which of the frames of a
// clip, and which cells of each.
type Selection struct {
	Frames int
	Grid   int // cells a side; 1: whole frames
}

// Cells is how many cells a frame has.
func (s Selection) Cells() int { return s.Grid * s.Grid }

// Selections returns the shape of every focal block's selection, in network
// order.
func (net *Network) Selections() []Selection {
	var list []Selection
	for _, n := range net.Navigation() {
		s := Selection{net.Frames, 1}
		if n.Cells != nil {
			s.Grid = n.Cells.Grid
		}
		list = append(list, s)
	}
	return list
}

// HasCells reports whether a focal block chooses inside the frames.
func (net *Network) HasCells() bool {
	return slices.ContainsFunc(net.Navigation(), func(n *Navigation) bool { return n.Cells != nil })
}

// CellOf is the row of cells, of grid of them, that row i of n pixels is of: as
// nearest upsampling has it.
func CellOf(i, n, grid int) int { return i * grid / n }

// CellStart is the first row of n pixels that is of row c of the cells.
func CellStart(c, n, grid int) int { return (c*n + grid - 1) / grid }

// CellPool averages a map over the windows of an adaptive average pool to a grid
// of that many cells a side: window i of n pixels begins at floor(i·n/grid) and
// ends before ceil((i+1)·n/grid) (PyTorch).
type CellPool int

// Window is where window i over n pixels begins, and behind its end.
func (p CellPool) Window(i, n int) (from, to int) {
	g := int(p)
	return i * n / g, ((i+1)*n + g - 1) / g
}

func (p CellPool) Through(x Map) (Map, error) {
	for _, n := range x.Size {
		if n > 0 && n < int(p) {
			return x, fmt.Errorf("a grid of %d×%d cells on maps of %s", p, p, x.Size)
		}
	}
	return Map{x.C, Size{int(p), int(p)}}, nil
}

func (p CellPool) Tensors(func(string, **graph.Tensor, bool) bool) bool { return true }

// Cost counts each element that a window reads.
func (p CellPool) Cost(x Map) Ops {
	rows, cols := 0, 0
	for i := range int(p) {
		from, to := p.Window(i, x.Size[0])
		rows += to - from
		from, to = p.Window(i, x.Size[1])
		cols += to - from
	}
	read := float64(x.C) * float64(rows) * float64(cols)
	return Ops{Elementwise: read, Authors: read, Activations: float64(x.C * int(p) * int(p))}
}

func (p CellPool) respond(*image) (*image, error) { return nil, errNoResponse }
func (p CellPool) clone() Layer                   { return p }

// CellPattern is a fixed choice of cells: "all" of them, every second one
// ("checker"), or the share of them that lies nearest to the middle
// ("center:R"). Successive blocks take turns where cells are equally near, and
// with the two colours of the board.
type CellPattern struct {
	Kind  string  // "all", "checker" or "center"
	Ratio float64 // of "center"
}

// ParseCellPattern reads "all", "checker" or "center:R".
func ParseCellPattern(s string) (CellPattern, error) {
	ratio, center := strings.CutPrefix(s, "center:")
	switch {
	case s == "all", s == "checker":
		return CellPattern{Kind: s}, nil
	case center:
		if r, err := strconv.ParseFloat(ratio, 64); err == nil && r >= 0 && r <= 1 {
			return CellPattern{"center", r}, nil
		}
	}
	return CellPattern{}, fmt.Errorf("cells %q: expected center:R with R from 0 to 1, checker or all", s)
}

func (p CellPattern) String() string {
	if p.Kind == "center" {
		return "center:" + strconv.FormatFloat(p.Ratio, 'g', -1, 64)
	}
	return p.Kind
}

// Select says which cells the block-th block selects, row by row.
func (p CellPattern) Select(grid, block int) []bool {
	cells := make([]bool, grid*grid)
	switch p.Kind {
	case "all":
		for i := range cells {
			cells[i] = true
		}
	case "checker":
		for i := range cells {
			cells[i] = (i/grid+i%grid+block)%2 == 0
		}
	case "center":
		for _, i := range fromMiddle(grid, block)[:p.count(len(cells))] {
			cells[i] = true
		}
	}
	return cells
}

// count is how many of n cells a share is: at least one unless it is nothing.
func (p CellPattern) count(n int) int {
	if p.Ratio <= 0 {
		return 0
	}
	return min(max(int(math.Round(p.Ratio*float64(n))), 1), n)
}

// fromMiddle orders cells by their distance from the middle; of equal ones each
// block begins with another.
func fromMiddle(grid, block int) []int {
	order := make([]int, grid*grid)
	for i := range order {
		order[i] = i
	}
	distance := func(i int) int {
		y, x := 2*(i/grid)-grid+1, 2*(i%grid)-grid+1
		return y*y + x*x
	}
	turn := func(i int) int { return (i + block) % len(order) }
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(distance(a), distance(b)), cmp.Compare(turn(a), turn(b)))
	})
	return order
}

// FixCells gives every focal block of a network without cells the pattern's, on a
// grid a module; one grid serves all.
func (net *Network) FixCells(grids []int, p CellPattern) (*Network, error) {
	out, module := net.Clone(), 0
	modules := 0
	for _, s := range net.Stages {
		if s.AF != nil {
			modules++
		}
	}
	if len(grids) != 1 && len(grids) != modules {
		return nil, fmt.Errorf("%d grids for %d modules: give one a module, or one for all", len(grids), modules)
	}
	for _, s := range out.Stages {
		if s.AF == nil {
			continue
		}
		for _, n := range s.AF.Navigation {
			if n.Cells != nil && n.Cells.Fixed == nil {
				return nil, fmt.Errorf("navigation %s has trained cells", n.Key)
			}
			n.Cells = &Cells{Grid: grids[min(module, len(grids)-1)], Fixed: &p}
		}
		module++
	}
	return out, out.Check()
}

// Looks reports whether the navigation chooses cells by what it sees.
func (n *Navigation) Looks() bool { return n.Cells != nil && n.Cells.Fixed == nil }
