package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// Work says what share of its main path each focal block of a lowered network
// executes for a clip, given what it selects: halos are executed, too, and where a
// lowering computes whole frames for the sake of a few cells, so are these.
type Work struct {
	l      *lowerer
	blocks []blockWork
}

// blockWork is how a block is executed.
type blockWork struct {
	blk    *afblock.Block
	grid   int // 0: it chooses whole frames
	tiling     // where it computes tiles
	tiles  bool
	budget int       // of topk, in frames; else 0
	plan   *cellPlan // of branch's Ifs; else nil
}

// NewWork lowers the network to see how each block is executed.
func NewWork(net *afblock.Network, opt Options) (*Work, error) {
	opt.Lowering = Choose(net, opt).Lowering
	l, err := newLowerer(net, opt)
	if err != nil {
		return nil, err
	}
	if _, _, err := l.network(); err != nil {
		return nil, err
	}
	w := &Work{l: l}
	for i, s := range net.Stages {
		if s.AF == nil {
			continue
		}
		size := l.sizes[i]
		for n, blk := range s.AF.Focal {
			w.blocks = append(w.blocks, l.blockWork(blk, s.AF.Navigation[n].Cells, len(w.blocks), size))
			size = blk.Through(size)
		}
	}
	return w, nil
}

// blockWork is how the index-th block, which reads maps of the given size, is
// executed.
func (l *lowerer) blockWork(blk *afblock.Block, c *afblock.Cells, index int, size afblock.Size) blockWork {
	w := blockWork{blk: blk, plan: l.cells[blk]}
	if l.opt.Lowering == TopK {
		w.budget = min(l.opt.budgetOf(index), l.net.Frames)
	}
	if c == nil {
		return w
	}
	w.grid = c.Grid
	main, why := feature{c: blk.In(), h: size[0], w: size[1]}, "mask computes all"
	switch l.opt.Lowering {
	case TopK:
		w.tiling, why = l.topTiling(blk, c.Grid, main, w.budget)
	case Gather, Branch:
		w.tiling, why = tilesOf(blk, c, index, main)
	}
	w.tiles = why == ""
	return w
}

// Shares is, for each focal block, the share of all frames' work that it executes
// for a clip: masks are the frames selected, cells those of each frame, row by row,
// selected frame or not; nil where they are not known, and of a block of
// whole frames. Tiles with their halos
// can be more than all frames.
func (w *Work) Shares(masks, cells [][]uint8) []float64 {
	shares := make([]float64, len(w.blocks))
	for i := range w.blocks {
		shares[i] = w.share(&w.blocks[i], masks[i], cells[i])
	}
	return shares
}

func (w *Work) share(b *blockWork, frames, cells []uint8) float64 {
	each := b.grid * b.grid
	switch {
	case w.l.opt.Lowering == Mask, b.budget > 0 && b.grid > 0 && !b.tiles:
		return 1
	case b.budget > 0 && b.grid > 0:
		return float64(b.budget) / float64(len(frames)) * b.overhead(b.blk)
	case b.budget > 0:
		return float64(b.budget) / float64(len(frames))
	}
	sum := 0.0
	for f, on := range frames {
		switch {
		case on == 0:
		case b.grid == 0 || cells == nil || b.plan == nil && !b.tiles:
			sum++
		case b.plan != nil:
			sum += b.plan.work(cells[f*each : (f+1)*each])
		default:
			sum += count(cells[f*each:(f+1)*each]) / float64(each) * b.overhead(b.blk)
		}
	}
	return sum / float64(len(frames))
}

func count(bits []uint8) float64 {
	n := 0.0
	for _, bit := range bits {
		n += float64(bit)
	}
	return n
}

// work is what the block computes of a frame with the given cells, in parts of the
// whole frame's multiply–accumulates.
func (p *cellPlan) work(cells []uint8) float64 {
	if count(cells) == 0 {
		return 0
	}
	on := make([]bool, len(cells))
	for i, bit := range cells {
		on[i] = bit != 0
	}
	if p.use == boxNever || p.use == boxAtRun && p.boxShare(on) >= boxPays {
		return 1
	}
	areas := p.boxAreas(on)
	made, whole := 0.0, 0.0
	for i, c := range p.blk.Convs() {
		macs := c.Cost(afblock.Map{C: c.In(), Size: afblock.Size{p.h, p.w}}).MACs
		whole += macs
		if area, ok := areas[i]; ok {
			macs *= area / float64(p.h*p.w)
		}
		made += macs
	}
	return made / whole
}

// boxAreas are the pixels that convolutions make of the box around cells, by
// number; those that make whole maps are missing.
func (p *cellPlan) boxAreas(cells []bool) map[int]float64 {
	at, areas := p.boxOf(cells), map[int]float64{}
	convs := p.hidden.Convs()
	for i := len(convs) - 1; i >= 0 && (p.lead == 0 || i > 0); i-- {
		areas[i] = float64((at.to[0] - at.from[0]) * (at.to[1] - at.from[1]))
		at = at.grown(convs[i].Pad, [2]int{p.h, p.w})
	}
	return areas
}
