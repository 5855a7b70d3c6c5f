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
// and counted as dropped.
type topk struct{ *lowerer }

func (l topk) check() error {
	if err := l.checkSized(); err != nil {
		return err
	}
	if l.net.HasCells() {
		return fmt.Errorf("lowering topk does not choose inside the frames")
	}
	return checkBudget(l.net, l.opt.Budget)
}

func (l topk) module(x stream, s *afblock.Stage, _ []span) (stream, error) {
	return l.batchModule(x, s, l.focal)
}

func (l topk) focal(x feature, blk *afblock.Block, s selection) (feature, error) {
	budget := l.opt.budgetOf(s.index)
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.residual(residual, blk)
	if budget >= l.net.Frames {
		l.nav.dropped(s, s.mask, l.net.Frames) // none: a column stands for every block
		return l.join(l.maskedConvs(main, blk, s.mask), residual, blk), nil
	}
	rows := l.topRows(blk.Key, s, budget)
	mask := l.node("GatherND", blk.Key+".kept", in(s.mask, rows))
	l.nav.dropped(s, mask, budget)

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

// topRows returns which frames of the batch to compute, [N·budget, 1].
func (l *lowerer) topRows(key string, s selection, budget int) *graph.Value {
	frames := int64(l.net.Frames)
	margin := l.node("Sub", key+".margin", in(s.keep, s.drop))
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
