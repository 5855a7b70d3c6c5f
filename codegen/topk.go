package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// topk is the strategy that computes a budget of frames of each clip, those that
// navigation is most certain to keep. Those among them that are not selected are
// masked; selected frames beyond the budget are answered as if they were not,
// and counted as dropped. A block that chooses inside the frames computes as many
// tiles as those frames have cells, of any frames: those whose cell and whose frame
// it is most certain to keep.
type topk struct{ *lowerer }

func (l topk) check() error {
	if err := l.checkSized(); err != nil {
		return err
	}
	return checkBudget(l.net, l.opt.Budget)
}

func (l topk) module(x stream, s *afblock.Stage, _ []span) (stream, error) {
	return l.batchModule(x, s, l.focal)
}

func (l topk) focal(x feature, blk *afblock.Block, s selection) (feature, error) {
	if s.cells != nil {
		return l.focalCells(x, blk, s)
	}
	budget := l.opt.budgetOf(s.index)
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.residual(residual, blk)
	if budget >= l.net.Frames {
		l.nav.dropped(s, l.frameChoices(s), s.mask, l.net.Frames) // none: a column stands for every block
		return l.join(l.maskedConvs(main, blk, s.mask), residual, blk), nil
	}
	rows := l.topRows(blk.Key, l.node("Sub", blk.Key+".margin", in(s.keep, s.drop)), l.net.Frames, budget)
	mask := l.node("GatherND", blk.Key+".kept", in(s.mask, rows))
	l.nav.dropped(s, l.frameChoices(s), mask, budget)

	y := l.maskedConvs(l.gatherRows(main, rows, blk.Key+".gather"), blk, mask)
	y = l.add(y, l.gatherRows(residual, rows, blk.Key+".gather_residual"), names.Sum(blk.Key))
	rest := residual
	if l.net.Unselected == afblock.UnselectedBias {
		zero, err := l.zeroMap(blk, main)
		if err != nil {
			return feature{}, err
		}
		rest = l.add(residual, residual.with(zero), blk.Key+".unselected")
	}
	y = rest.with(l.node("ScatterND", blk.Key+".place", in(rest.v, rows, y.v)))
	return l.end(y, blk), nil
}

// choices are what a block chose among, float32 0/1, so many of a clip.
type choices struct {
	v    *graph.Value
	each int
}

func (l topk) frameChoices(s selection) choices { return choices{s.mask, l.net.Frames} }

// focalCells emits a focal block that chooses inside the frames.
func (l topk) focalCells(x feature, blk *afblock.Block, s selection) (feature, error) {
	cells, budget := s.cells.grid*s.cells.grid, l.opt.budgetOf(s.index)
	all := choices{l.reshape(s.cells.picked, blk.Key+".picked_list", -1), l.net.Frames * cells}
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.residual(residual, blk)
	kept, rows, mine := s.cells.picked, (*graph.Value)(nil), all.v
	if budget < l.net.Frames {
		rows = l.topRows(blk.Key, l.cellMargins(blk.Key, s), all.each, budget*cells)
		mine = l.node("GatherND", blk.Key+".kept", in(all.v, rows))
		kept = l.reshape(l.scattered(all.v, rows, mine, blk.Key+".kept_cells"), blk.Key+".kept_map", -1, int64(s.cells.grid), int64(s.cells.grid))
	}
	l.nav.dropped(s, all, mine, min(budget, l.net.Frames)*cells)
	t, why := l.topTiling(blk, s.cells.grid, main, budget)
	if why != "" {
		y := l.convs(main, blk)
		y, err := l.blended(y, blk, main, l.pixels(kept, s.cells.grid, y, blk.Key+".pixels"))
		return l.join(y, residual, blk), err
	}
	list := l.reshape(rows, names.Tiles(blk.Key), -1)
	var place *graph.Value
	if l.singleClip {
		place = l.floats(countUp(budget * cells)...)
	} else {
		ones := l.node("Add", blk.Key+".ones", in(l.node("Mul", blk.Key+".none", in(mine, l.floats(0))), l.floats(1)))
		place = l.node("Sub", blk.Key+".places", in(l.node("CumSum", blk.Key+".counted", in(ones, l.scalar(0))), l.floats(1)))
	}
	ranks := l.node("Cast", blk.Key+".ranks", in(l.scattered(all.v, rows, place, blk.Key+".ranked")), graph.Int("to", int64(graph.Int64)))
	y, err := l.tilesAt(main, blk, t, list, kept, ranks)
	return l.join(y, residual, blk), err
}

// topTiling lays a block's cells on a map, if a budget of frames' worth of tiles is
// less work than all frames; else it says why not.
func (l *lowerer) topTiling(blk *afblock.Block, grid int, main feature, budget int) (tiling, string) {
	t, why := newTiling(blk, main, grid)
	if why != "" {
		return t, why
	}
	if work := float64(budget) / float64(l.net.Frames) * t.overhead(blk); budget >= l.net.Frames || work > tilePays {
		return t, fmt.Sprintf("a budget of %d of %d frames' tiles and their halos would be %.2f of the frames' work", budget, l.net.Frames, work)
	}
	return t, ""
}

// scattered puts values into rows [K, 1] of zeros as long as like.
func (l *lowerer) scattered(like, rows, values *graph.Value, hint string) *graph.Value {
	return l.node("ScatterND", hint, in(l.node("Mul", hint+".zeros", in(like, l.floats(0))), rows, values))
}

// countUp is 0, 1, … of n numbers.
func countUp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return v
}

// cellMargins are how certain each cell of each frame of a clip is to be kept,
// [N, T·g²]: as its frame or, if less, as itself.
func (l *lowerer) cellMargins(key string, s selection) *graph.Value {
	c, g := s.cells, int64(s.cells.grid)
	frame := l.reshape(l.node("Sub", key+".margin", in(s.keep, s.drop)), key+".frame_margin", -1, 1, 1)
	var own *graph.Value
	if c.keep != nil {
		own = l.node("Sub", key+".cell_margin", in(c.keep, c.drop))
	} else {
		const certain = 1e30
		own = l.node("Where", key+".cell_margin", in(c.chosen, l.floats(certain), l.floats(-certain)))
	}
	return l.reshape(l.node("Min", key+".margins", in(frame, own)), key+".clip_margins", -1, int64(l.net.Frames)*g*g)
}

// topRows returns which rows of the batch to compute, [N·budget, 1], by the margins
// [N, each].
func (l *lowerer) topRows(key string, margin *graph.Value, each, budget int) *graph.Value {
	frames := int64(each)
	k := l.vec(int64(budget))
	if l.singleClip {
		// Frames are rows already; no index arithmetic, which GPU providers
		// would hand to the CPU.
		return l.nodes("TopK", key+".top", in(l.reshape(margin, key+".scores", frames, 1), k), 2, graph.Int("axis", 0))[1]
	}
	top := l.nodes("TopK", key+".top", in(margin, k), 2, graph.Int("axis", 1))[1]
	clips := l.node("Shape", key+".shape", in(margin))
	last := l.node("Mul", key+".frames", in(l.node("Gather", key+".clips", in(clips, l.scalar(0))), l.scalar(frames)))
	first := l.node("Range", key+".first", in(l.scalar(0), last, l.scalar(frames)))
	rows := l.node("Add", key+".rows", in(top, l.reshape(first, key+".first_column", -1, 1)))
	return l.reshape(rows, key+".row_indices", -1, 1)
}

func (b *builder) gatherRows(x feature, rows *graph.Value, hint string) feature {
	return x.with(b.node("GatherND", hint, in(x.v, rows)))
}

// budgetOf is the frames that focal block i, in network order, computes.
func (o *Options) budgetOf(i int) int {
	if len(o.Budget) == 1 {
		return o.Budget[0]
	}
	return o.Budget[i]
}

// checkBudget refuses budgets that do not fit the network.
func checkBudget(net *afblock.Network, budget []int) error {
	blocks := len(compiled.FocalBlocks(net))
	if len(budget) != 1 && len(budget) != blocks {
		return fmt.Errorf("lowering topk needs a budget of frames for each of the %d focal blocks, or one for all; got %d", blocks, len(budget))
	}
	for i, k := range budget {
		if k >= 1 && k <= net.Frames {
			continue
		}
		which := ""
		if len(budget) > 1 {
			which = fmt.Sprintf(" for focal block %d", i)
		}
		return fmt.Errorf("a budget of %d frames%s: want 1 to %d, the frames of a clip", k, which, net.Frames)
	}
	return nil
}
