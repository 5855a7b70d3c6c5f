package main

import (
	"github.com/afc-project/afc/codegen"
)

// cell is one figure of the table: the time of a model over that of another.
type cell struct {
	of, over  model
	threads   int
	bar, goal float64 // 0: none
}

// bars are the figures that the project is held to.
func bars() []cell {
	tsn, tsm := source(false, 224, 1), source(true, 224, 1)
	four, small := source(false, 224, 4), source(false, 64, 1)
	quarter := tsn.afnet(8, 0.25)
	return []cell{
		{quarter, tsn, 2, 0.70, 0.58},
		{tsn.afnet(8, 0.5), tsn, 2, 0.80, 0.65},
		{quarter, tsn, 1, 0.59, 0.55},
		{tsn.afnet(8, 0.5), tsn, 1, 0.66, 0.62},
		{tsm.afnet(8, 0.25), tsm.optimized(), 1, 0.64, 0.58},
		{tsm.afnet(8, 0.5), tsm.optimized(), 1, 0.71, 0.64},
		{tsm.afnet(12, 0.4), tsm.optimized(), 1, 1.02, 0.92},
		{tsm.afnet(8, 0.25), tsm.optimized(), 2, 0.74, 0.66},
		{tsm.afnet(8, 0.5), tsm.optimized(), 2, 0.82, 0.72},
		{tsn.afnet(12, 0.4), tsn, 1, 0.94, 0.88},
		{tsm.optimized(), tsn, 1, 1.05, 1.03},
		{tsm.afnet(8, 0.5), tsm, 2, 0.65, 0.52},
		{tsm.afnet(12, 0.4), tsm, 2, 0.90, 0.75},
		{tsn.afnet(8, 1), tsn.afnet(8, 1).lowered(codegen.Mask), 2, 1.05, 1},
		{quarter, quarter.lowered(codegen.Mask), 2, 0.75, 0.60},
		{four.afnet(8, 0.25), four, 1, 1, 0},
		{small.afnet(8, 0.25), small, 1, 1, 0},
		{small.afnet(8, 0.5), small, 1, 1, 0},
		{source(true, 64, 1).afnet(8, 0.25), source(true, 64, 1).optimized(), 1, 1, 0},
		{source(true, 112, 1).afnet(8, 0.25), source(true, 112, 1).optimized(), 1, 1, 0},
		{source(true, 224, 4).afnet(8, 0.25), source(true, 224, 4).optimized(), 1, 1, 0},
	}
}

// worths measure each step of the CPU's lowering: the time without it over the
// time with all, on the network it is for.
func worths() []cell {
	var cells []cell
	for _, info := range codegen.Steps {
		af := source(false, 224, 1).afnet(8, 0.25)
		switch info.Step {
		case codegen.SplitStream, codegen.Unroll, codegen.PieceScans:
			af = source(true, 224, 1).afnet(8, 0.5)
		case codegen.ShiftSelect: // of models that take any number of clips
			af = source(true, 224, 4).afnet(8, 0.5)
		case codegen.CellBoxes:
			af = source(false, 224, 1).afnet(8, 0.5).inside(0.25)
		case codegen.SmallGather:
			af = source(false, 64, 1).afnet(8, 0.25)
		}
		cells = append(cells, cell{of: af.lowered(codegen.Branch, info.Step), over: af.lowered(codegen.Branch), threads: 1})
	}
	return cells
}

// insides measure what it is worth to compute a share of the cells of half the
// frames: over the same network that computes whole ones in the fastest way, and
// over the same network with all cells selected.
func insides() []cell {
	var cells []cell
	for _, shift := range []bool{false, true} {
		half := source(shift, 224, 1).afnet(8, 0.5)
		for _, share := range []float64{1, 0.5, 0.25} {
			cells = append(cells, cell{of: half.inside(share), over: half, threads: 1})
			if share < 1 {
				cells = append(cells, cell{of: half.inside(share), over: half.inside(1), threads: 1})
			}
		}
	}
	return cells
}
