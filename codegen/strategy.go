package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
)

// strategy is a way to write a network's stages: what a Lowering stands for.
type strategy interface {
	// check refuses networks and options that the strategy cannot write.
	check() error
	// lead emits the stem and as many of the first stages as the strategy runs
	// in one with it. It returns how many.
	lead(x feature) (stream, int, error)
	// module emits an AF module: its two branches, their mix and the fusion. Ends
	// is how what reads it would have it cut.
	module(x stream, s *afblock.Stage, ends []span) (stream, error)
}

// strategy returns what l.opt.Lowering stands for.
func (l *lowerer) strategy() (strategy, error) {
	switch l.opt.Lowering {
	case Mask:
		return mask{l}, nil
	case Gather:
		return gather{l}, nil
	case Branch:
		return branch{l}, nil
	case TopK:
		return topk{l}, nil
	case Plain:
		return plain{l}, nil
	}
	return nil, fmt.Errorf("unknown lowering %q: want one of %v", l.opt.Lowering, Lowerings)
}

// lead is that of a strategy that runs each stage on its own.
func (l *lowerer) lead(x feature) (stream, int, error) {
	return streamOf(l.stem(x, &l.net.Stem)), 0, nil
}

// checkSized refuses frames of open height and width.
func (l *lowerer) checkSized() error {
	if l.net.Size[0] <= 0 || l.net.Size[1] <= 0 {
		return fmt.Errorf("lowering %s needs to know height and width of a frame, which the network leaves open: fix the input's shape (--input-shapes), or use gather", l.opt.Lowering)
	}
	return nil
}

// ample is what a module's ample branch leaves for the rest of the module.
type ample struct {
	x, a   feature       // the module's input, and the ample branch's end
	chosen []selection   // one a focal block
	cells  []*cellInputs // likewise, of branch; nil where a block computes whole frames
}

// choices emits a module's ample branch and, from what it sees there, all
// choices: none of them depends on the focal branch.
func (l *lowerer) choices(x stream, m *afblock.AFModule) ample {
	var a ample
	a.a = l.ampleBranch(x, m, l.net.Frames, func(nav *afblock.Navigation, seen feature, x stream) {
		a.chosen = append(a.chosen, l.nav.choose(nav, seen, l.cellLook(nav, x)))
	})
	return a
}

// ampleBranch emits an ample branch and shows what each navigation sees, which
// is nothing where masks are an input: the average of a map, and the map.
func (b *builder) ampleBranch(x stream, m *afblock.AFModule, frames int, see func(nav *afblock.Navigation, seen feature, x stream)) feature {
	return b.blocks(x, m.Ample, frames, func(n int, x stream) {
		nav, seen := m.Navigation[n], feature{}
		if !b.opt.MasksInput {
			seen = b.poolOver(x, nav.Key+".pool")
		}
		see(nav, seen, x)
	})
}

// batchModule emits an AF module whose branches each take all frames as one
// batch; focal emits a focal block.
func (l *lowerer) batchModule(x stream, s *afblock.Stage, focal func(feature, *afblock.Block, selection) (feature, error)) (stream, error) {
	a := l.choices(x, s.AF)
	f := l.joined(x, s.Name+".whole")
	for n, blk := range s.AF.Focal {
		var err error
		if f, err = focal(f, blk, a.chosen[n]); err != nil {
			return nil, err
		}
	}
	return streamOf(l.blocks(streamOf(l.mixed(a.a, f, s, false)), []*afblock.Block{s.AF.Fusion}, l.net.Frames, nil)), nil
}
