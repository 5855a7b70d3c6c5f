package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// A cell that is selected is computed as a tile: its pixels and a halo, as wide as
// the block's convolutions reach, out of the shifted frame. Tiles are taken and
// put back pixel by pixel, a pixel being a row of channels:
//
//	x [N·T, C, h, w] → pixels [N·T·h·w, C] → tiles [K, C, rows, columns] → convolutions → pixels
//
// All tiles are as large as the largest cell; what a tile makes beyond a smaller
// cell nobody reads. Beyond the image's border lies what the convolutions pad
// with: zeros, in front of each that looks beyond a pixel. Every pixel of the
// answer is then that of its tile or, where its cell is not selected, F(0).

// tiling is how a block's cells lie on a map.
type tiling struct {
	grid, halo int
	h, w       int // of the map
	rows, cols int // of a tile without its halo
}

// newTiling lays a block's cells on a map of x's size, which stays as large. It
// says why it cannot, "" if it can.
func newTiling(blk *afblock.Block, x feature, grid int) (tiling, string) {
	t := tiling{grid: grid, h: x.h, w: x.w}
	for _, l := range blk.Main {
		switch l := l.(type) {
		case *afblock.Conv:
			if l.Stride != 1 || l.Kernel() != 2*l.Pad+1 {
				return t, "its convolutions change the size of maps"
			}
			t.halo += l.Pad
		case afblock.Act:
		default:
			return t, "a layer of it sees whole maps"
		}
	}
	for c := range grid {
		t.rows = max(t.rows, afblock.CellStart(c+1, t.h, grid)-afblock.CellStart(c, t.h, grid))
		t.cols = max(t.cols, afblock.CellStart(c+1, t.w, grid)-afblock.CellStart(c, t.w, grid))
	}
	return t, ""
}

// overhead is the work of all tiles of a frame in parts of the frame's: halos are
// computed too.
func (t tiling) overhead(blk *afblock.Block) float64 {
	tiles, whole, halo := 0.0, 0.0, t.halo
	for _, c := range blk.Convs() {
		halo -= c.Pad
		macs := c.Cost(afblock.Map{C: c.In(), Size: afblock.Size{t.h, t.w}}).MACs / float64(t.h*t.w)
		tiles += macs * float64((t.rows+2*halo)*(t.cols+2*halo))
		whole += macs * float64(t.h*t.w)
	}
	return tiles * float64(t.grid*t.grid) / whole
}

// expectedShare is the share of cells that a block is expected to select where it
// chooses by what it sees.
const expectedShare = 0.5

// tilePays is how much of a whole frame's work a frame's tiles may be at most: what
// takes them out and puts them back costs passes over the map.
const tilePays = 0.75

// tilesOf says whether a block of a network computes its cells as tiles, and why
// not.
func tilesOf(blk *afblock.Block, c *afblock.Cells, index int, x feature) (tiling, string) {
	t, why := newTiling(blk, x, c.Grid)
	if why != "" {
		return t, why
	}
	share := expectedShare
	if c.Fixed != nil {
		on := 0.0
		for _, selected := range c.Fixed.Select(c.Grid, index) {
			if selected {
				on++
			}
		}
		share = on / float64(c.Grid*c.Grid)
	}
	if work := share * t.overhead(blk); work > tilePays {
		return t, fmt.Sprintf("tiles of %d×%d and their halos would be %.2f of a frame's work", t.rows, t.cols, work)
	}
	return t, ""
}

// focalTiles emits a focal block that computes the selected cells of main, the
// shifted map: its main path for every frame.
func (l *lowerer) focalTiles(main feature, blk *afblock.Block, c *cellChoice, t tiling) (feature, error) {
	key := blk.Key
	picked := l.reshape(c.picked, key+".cells", -1)
	tiles := l.reshape(l.node("NonZero", names.Tiles(key), in(picked)), key+".tile_list", -1) // [K], frame·g² + cell
	// Tile q is the rank(q)-th; summed in float32, exact to 2^24 tiles.
	counted := l.node("CumSum", key+".running", in(picked, l.scalar(0)))
	ranks := l.node("Cast", key+".ranks", in(l.node("Sub", key+".rank", in(counted, l.floats(1)))), graph.Int("to", int64(graph.Int64)))
	return l.tilesAt(main, blk, t, tiles, c.picked, ranks)
}

// tilesAt emits the map that a block's tiles make: those of a list [K] of frame·g² +
// cell. Picked, [N·T, g, g], says which cells are answered by them, the others being
// as those of a frame not selected, and ranks, [N·T·g²], where in the list each
// stands.
func (l *lowerer) tilesAt(main feature, blk *afblock.Block, t tiling, list, picked, ranks *graph.Value) (feature, error) {
	key, g := blk.Key, int64(t.grid*t.grid)
	frame := l.node("Div", key+".tile_frames", in(list, l.scalar(g)))
	cell := l.node("Mod", key+".tile_cells", in(list, l.scalar(g)))
	y := l.tileConvs(l.takeTiles(main, key, t, frame, cell), blk, t, cell)
	return l.placeTiles(y, main, blk, t, picked, ranks)
}

// takeTiles emits tiles with their halos, of frames and cells [K].
func (l *lowerer) takeTiles(x feature, key string, t tiling, frame, cell *graph.Value) feature {
	h, w := t.rows+2*t.halo, t.cols+2*t.halo
	from := t.places(func(row, col, _ int) int64 {
		return int64(min(max(row, 0), t.h-1)*t.w + min(max(col, 0), t.w-1))
	})
	inFrame := l.node("Gather", key+".tile_pixels", in(l.weight(param{"afc." + key + ".pixels", graph.Int64s([]int64{int64(t.grid * t.grid), int64(h), int64(w)}, from...)}), cell), graph.Int("axis", 0))
	first := l.node("Mul", key+".tile_first", in(frame, l.scalar(int64(t.h*t.w))))
	rows := l.node("Add", key+".tile_rows", in(inFrame, l.reshape(first, key+".tile_base", -1, 1, 1)))
	pixels := l.reshape(l.node("Transpose", key+".pixels_last", in(x.v), graph.Ints("perm", 0, 2, 3, 1)), key+".pixel_rows", -1, int64(x.c))
	taken := l.node("Gather", key+".take", in(pixels, rows), graph.Int("axis", 0)) // [K, h, w, C]
	return feature{v: l.node("Transpose", key+".taken", in(taken), graph.Ints("perm", 0, 3, 1, 2)), c: x.c, h: h, w: w}
}

// places are a value for each pixel of each cell's tile with its halo, from the
// pixel's row and column on the map, which may lie beyond it.
func (t tiling) places(value func(row, col, cell int) int64) []int64 {
	var v []int64
	for cell := range t.grid * t.grid {
		top, left := afblock.CellStart(cell/t.grid, t.h, t.grid), afblock.CellStart(cell%t.grid, t.w, t.grid)
		for r := range t.rows + 2*t.halo {
			for c := range t.cols + 2*t.halo {
				v = append(v, value(top+r-t.halo, left+c-t.halo, cell))
			}
		}
	}
	return v
}

// tileConvs emits a block's main path over tiles, whose halo each convolution
// that looks beyond a pixel eats a part of.
func (l *lowerer) tileConvs(x feature, blk *afblock.Block, t tiling, cell *graph.Value) feature {
	inside := t.places(func(row, col, _ int) int64 {
		if row < 0 || row >= t.h || col < 0 || col >= t.w {
			return 0
		}
		return 1
	})
	key, left := blk.Key, t.halo
	for _, layer := range blk.Main {
		c, ok := layer.(*afblock.Conv)
		if !ok {
			x = l.layers(x, []afblock.Layer{layer}, key)
			continue
		}
		if c.Pad > 0 {
			x = x.with(l.node("Mul", c.Key+".inside", in(x.v, l.insideOf(t, inside, left, cell, c.Key))))
			left -= c.Pad
		}
		valid := *c
		valid.Pad = 0
		x, key = l.conv(x, convOf(&valid)), c.Key
	}
	return x
}

// insideOf is 0 where a tile with so wide a halo lies beyond the image, else 1:
// [K, 1, rows, columns].
func (l *lowerer) insideOf(t tiling, inside []int64, halo int, cell *graph.Value, key string) *graph.Value {
	h, w, cut := t.rows+2*t.halo, t.cols+2*t.halo, t.halo-halo
	var v []float32
	for i, x := range inside {
		if r, c := i/w%h, i%w; r >= cut && r < h-cut && c >= cut && c < w-cut {
			v = append(v, float32(x))
		}
	}
	all := graph.Float32s([]int64{int64(t.grid * t.grid), 1, int64(h - 2*cut), int64(w - 2*cut)}, v...)
	return l.node("Gather", key+".inside_of", in(l.weight(param{"afc." + key + ".inside", all}), cell), graph.Int("axis", 0))
}

// placeTiles emits the map [N·T, C, h, w] of what tiles, y, made and, elsewhere,
// what a frame not selected answers.
func (l *lowerer) placeTiles(y, like feature, blk *afblock.Block, t tiling, picked, ranks *graph.Value) (feature, error) {
	key, size, cells := blk.Key, int64(t.rows*t.cols), int64(t.grid*t.grid)
	made := l.reshape(l.node("Transpose", key+".made", in(y.v), graph.Ints("perm", 0, 2, 3, 1)), key+".made_rows", -1, int64(y.c))
	rest, class, err := l.restRows(blk, like, t)
	if err != nil {
		return feature{}, err
	}
	table := l.node("Concat", key+".rows", in(made, rest), graph.Int("axis", 0))

	var cellOf, within []int64
	for i := range t.h * t.w {
		r, c := afblock.CellOf(i/t.w, t.h, t.grid), afblock.CellOf(i%t.w, t.w, t.grid)
		cellOf = append(cellOf, int64(r*t.grid+c))
		within = append(within, int64((i/t.w-afblock.CellStart(r, t.h, t.grid))*t.cols+i%t.w-afblock.CellStart(c, t.w, t.grid)))
	}
	plane := func(name string, v []int64) *graph.Value {
		return l.weight(param{"afc." + key + "." + name, graph.Int64s([]int64{int64(len(v))}, v...)})
	}
	flat := l.reshape(picked, key+".picked_list", -1)
	first := l.node("Mul", key+".first_rows", in(ranks, l.scalar(size)))
	at := plane("cell_of", cellOf)
	byPixel := func(v *graph.Value, hint string) *graph.Value { // [N·T, h·w]
		return l.node("Gather", key+"."+hint, in(l.reshape(v, key+"."+hint+"_cells", -1, cells), at), graph.Int("axis", 1))
	}
	mine := l.node("Add", key+".own_rows", in(byPixel(first, "first_of"), plane("within", within)))
	count := l.node("Gather", key+".made_count", in(l.node("Shape", key+".made_shape", in(made)), l.scalar(0)))
	others := l.node("Add", key+".rest_rows", in(plane("class", class), count))
	on := l.node("Greater", key+".on", in(byPixel(flat, "picked_of"), l.floats(0.5)))
	rows := l.node("Where", key+".row_of", in(on, mine, others))
	placed := l.reshape(l.node("Gather", key+".place", in(table, rows), graph.Int("axis", 0)), key+".placed_map", -1, int64(t.h), int64(t.w), int64(y.c))
	return feature{v: l.node("Transpose", key+".placed", in(placed), graph.Ints("perm", 0, 3, 1, 2)), c: y.c, h: t.h, w: t.w}, nil
}

// restRows are the pixels that a frame not selected answers, [rows, C], and which
// of them each pixel of a map has.
func (l *lowerer) restRows(blk *afblock.Block, like feature, t tiling) (*graph.Value, []int64, error) {
	class := make([]int64, t.h*t.w)
	if l.net.Unselected == afblock.UnselectedZero {
		zeros := graph.Float32s([]int64{1, int64(blk.Out())}, make([]float32, blk.Out())...)
		return l.weight(param{"afc." + blk.Key + ".zero_row", zeros}), class, nil
	}
	z, err := l.zeroResponse(blk, like.size())
	if err != nil {
		return nil, nil, err
	}
	cols := z.Values.Dims[3]
	for i := range class {
		class[i] = z.Rows[i/t.w]*cols + z.Cols[i%t.w]
	}
	v := l.weight(param{"afc." + blk.Key + ".zero", z.Values})
	v = l.node("Transpose", blk.Key+".zero_pixels", in(v), graph.Ints("perm", 0, 2, 3, 1))
	return l.reshape(v, blk.Key+".zero_rows", -1, int64(blk.Out())), class, nil
}

// cellNotes says of which blocks that choose cells whole frames are computed, and
// why.
func (l *lowerer) cellNotes() []string {
	var notes []string
	block := 0
	for i, s := range l.net.Stages {
		if s.AF == nil {
			continue
		}
		var whys []string
		count, size := map[string]int{}, l.sizes[i]
		for n, blk := range s.AF.Focal {
			if why := l.wholeFrames(blk, s.AF.Navigation[n].Cells, block, size); why != "" {
				if count[why]++; count[why] == 1 {
					whys = append(whys, why)
				}
			}
			block, size = block+1, blk.Through(size)
		}
		for _, why := range whys {
			notes = append(notes, fmt.Sprintf("%s computes whole frames in %d of its %d focal blocks: %s", s.Name, count[why], len(s.AF.Focal), why))
		}
	}
	return notes
}

// wholeFrames says why a block that reads maps of the given size computes whole
// frames, "" where it does not or chooses nothing else.
func (l *lowerer) wholeFrames(blk *afblock.Block, c *afblock.Cells, index int, size afblock.Size) string {
	if c == nil {
		return ""
	}
	main := feature{c: blk.In(), h: size[0], w: size[1]}
	switch p := l.cells[blk]; {
	case p != nil:
		return p.why
	case l.opt.Lowering == TopK:
		_, why := l.topTiling(blk, c.Grid, main, l.opt.budgetOf(index))
		return why
	}
	_, why := tilesOf(blk, c, index, main)
	return why
}
