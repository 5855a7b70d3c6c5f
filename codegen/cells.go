package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// cellChoice is one focal block's choice inside the frames.
type cellChoice struct {
	grid       int
	keep, drop *graph.Value // what is compared, float32 [N·T, g, g]; nil where the cells are fixed
	chosen     *graph.Value // bool [N·T, g, g], or [1, g, g] where they are fixed
	picked     *graph.Value // float32 0/1 [N·T, g, g]: of the frames selected
}

// chooseCells emits a focal block's choice inside the frames, by the answers to its
// cells. A tie is not chosen.
func (n *navigator) chooseCells(nav *afblock.Navigation, s selection, look feature) *cellChoice {
	if nav.Cells == nil {
		return nil
	}
	g := int64(nav.Cells.Grid)
	c := &cellChoice{grid: nav.Cells.Grid}
	switch fixed := nav.Cells.Fixed; {
	case n.cells != nil:
		c.keep, c.drop = n.reshape(n.cells[s.index], nav.Key+".cell_keep", -1, g, g), n.floats(0.5)
		c.chosen = n.node("Greater", nav.Key+".cells", in(c.keep, c.drop))
	case fixed != nil:
		c.chosen = n.weight(param{nav.Key + ".cells", boolTensor(fixed.Select(nav.Cells.Grid, s.index), 1, g, g)})
	default:
		logits := n.reshape(look.v, nav.Key+".cell_logits", -1, 2, g, g)
		c.drop = n.node("Gather", nav.Key+".cell_drop", in(logits, n.scalar(0)), graph.Int("axis", 1))
		c.keep = n.node("Gather", nav.Key+".cell_keep", in(logits, n.scalar(1)), graph.Int("axis", 1))
		c.chosen = n.node("Greater", nav.Key+".cells", in(c.keep, c.drop))
	}
	both := n.node("And", nav.Key+".both", in(n.reshape(s.chosen, nav.Key+".frames", -1, 1, 1), c.chosen))
	c.picked = n.node("Where", nav.Key+".picked", in(both, n.floats(1), n.floats(0)))
	return c
}

// cellLook emits navigation's answers to each cell of x, [batch, 2, g, g]: drop,
// keep. There is none where cells are fixed or an input.
func (b *builder) cellLook(nav *afblock.Navigation, x stream) feature {
	if !nav.Looks() || b.opt.MasksInput {
		return feature{}
	}
	look := b.relu(b.convOver(x, convOf(&nav.Cells.Look)), names.Relu(nav.Key+".cells"))
	return b.conv(b.cellPool(look, afblock.CellPool(nav.Cells.Grid), nav.Key+".cells.pool"), convOf(&nav.Cells.Choice))
}

// cellPool emits an adaptive average pool: windows of one size where the grid
// divides the map, else products with matrices of means.
func (b *builder) cellPool(x feature, p afblock.CellPool, hint string) feature {
	g := int(p)
	y := feature{c: x.c, h: g, w: g}
	if x.h%g == 0 && x.w%g == 0 {
		kh, kw := int64(x.h/g), int64(x.w/g)
		y.v = b.node("AveragePool", hint, in(x.v), graph.Ints("kernel_shape", kh, kw), graph.Ints("strides", kh, kw))
		return y
	}
	means := func(n int) []float32 { // [g, n]
		m := make([]float32, g*n)
		for i := range g {
			from, to := p.Window(i, n)
			for k := from; k < to; k++ {
				m[i*n+k] = 1 / float32(to-from)
			}
		}
		return m
	}
	rows := graph.Float32s([]int64{int64(g), int64(x.h)}, means(x.h)...)
	cols := graph.Float32s([]int64{int64(x.w), int64(g)}, transposed(means(x.w), g, x.w)...)
	v := b.node("MatMul", hint+".rows", in(b.weight(param{"afc." + hint + ".row_means", rows}), x.v))
	y.v = b.node("MatMul", hint, in(v, b.weight(param{"afc." + hint + ".column_means", cols})))
	return y
}

func transposed(m []float32, rows, cols int) []float32 {
	t := make([]float32, len(m))
	for i, x := range m {
		t[i%cols*rows+i/cols] = x
	}
	return t
}

func boolTensor(v []bool, dims ...int64) *graph.Tensor {
	raw := make([]byte, len(v))
	for i, x := range v {
		if x {
			raw[i] = 1
		}
	}
	return newTensor(graph.Bool, dims, raw)
}

// pixels emits picked cells as pixels of a map of y's size, float32 0/1
// [rows, 1, h, w], with the indices that nearest upsampling has.
func (b *builder) pixels(picked *graph.Value, grid int, y feature, hint string) *graph.Value {
	v := picked
	for axis, n := range y.size() {
		from := make([]int64, n)
		for i := range from {
			from[i] = int64(afblock.CellOf(i, n, grid))
		}
		if n > grid {
			v = b.node("Gather", fmt.Sprintf("%s.%s", hint, []string{"rows", "columns"}[axis]), in(v, b.vec(from...)), graph.Int("axis", int64(axis+1)))
		}
	}
	return b.reshape(v, hint, -1, 1, int64(y.h), int64(y.w))
}

// blended puts what a frame not selected answers where a pixel, of [rows, 1, h, w],
// is not picked. Main is what the block reads.
func (l *lowerer) blended(y feature, blk *afblock.Block, main feature, pixels *graph.Value) (feature, error) {
	rest := l.floats(0)
	if l.net.Unselected == afblock.UnselectedBias {
		var err error
		if rest, err = l.zeroMap(blk, main); err != nil {
			return feature{}, err
		}
	}
	on := l.node("Greater", blk.Key+".pixels.on", in(pixels, l.floats(0.5)))
	return y.with(l.node("Where", blk.Key+".blended", in(on, y.v, rest))), nil
}

// cellsOutput is what the i-th block chooses inside the frames, float32 0/1
// [N, T, g, g]: of the frames selected; nil where it chooses whole frames.
func (n *navigator) cellsOutput(i int) *graph.Value {
	c := n.made[i].cells
	if c == nil {
		return nil
	}
	g := int64(c.grid)
	return n.reshape(c.picked, names.Cells(i), -1, n.frames, g, g)
}
