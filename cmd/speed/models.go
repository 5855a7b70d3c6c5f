package main

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/testmodels"
)

// model says what to build: a source as an exporter writes it or, with a
// lowering, the AFNet that convert makes of it.
type model struct {
	shift bool // TSM, else TSN
	best  bool // what "afc optimize" makes of the source, else its raw export
	size  int
	batch int

	af       bool
	lowering codegen.Lowering // "": the CPU's choice
	frames   int              // T of the AFNet
	ratio    float64          // of the frames selected
	without  []codegen.Step
	cells    float64 // of the cells selected, near the middle; 0: whole frames
}

// grids are how many cells a side the modules' maps of 56, 28 and 14 pixels have.
var grids = []int{4, 4, 2}

// sourceFrames is T of the sources.
const sourceFrames = 8

func source(shift bool, size, batch int) model { return model{shift: shift, size: size, batch: batch} }

func (m model) optimized() model {
	m.best = true
	return m
}

func (m model) afnet(frames int, ratio float64) model {
	m.af, m.frames, m.ratio = true, frames, ratio
	return m
}

// inside chooses a share of the cells.
func (m model) inside(cells float64) model {
	m.cells = cells
	return m
}

func (m model) lowered(l codegen.Lowering, without ...codegen.Step) model {
	m.lowering, m.without = l, without
	return m
}

func (m model) String() string {
	name := "TSN"
	if m.shift {
		name = "TSM"
	}
	switch {
	case !m.af && m.best:
		return name + " (afc optimize)"
	case !m.af && m.shift:
		return name + " (raw export)"
	case !m.af:
		return name
	}
	name = fmt.Sprintf("AFNet-%s T=%d %.0f %%", name, m.frames, 100*m.ratio)
	if m.cells > 0 {
		name += fmt.Sprintf(" cells %.0f %%", 100*m.cells)
	}
	if m.lowering != "" {
		name += " " + string(m.lowering)
	}
	for _, s := range m.without {
		name += " without " + string(s)
	}
	return name
}

// build makes the model and counts its multiply–accumulates a clip.
func (m model) build() (*graph.Model, float64, error) {
	spec := testmodels.Spec{Depth: 50, Frames: sourceFrames, Size: m.size, Batch: m.batch}
	if m.shift {
		spec.Shift = testmodels.ShiftScatter
	}
	opt := passes.Convert{
		Recognize: recognize.Options{Frames: sourceFrames},
		Lower:     codegen.Options{Lowering: m.lowering, Without: m.without},
	}
	if m.af {
		opt.Rewrite = &afblock.RewriteOptions{Frames: m.frames, Navigation: afblock.Pattern{Ratio: m.ratio}}
		if m.cells > 0 {
			opt.Checkpoint.Grid, opt.Cells = grids, &afblock.CellPattern{Kind: "center", Ratio: m.cells}
		}
	}
	result, err := passes.Run(passes.ToConvert, passes.Input{Model: spec.Build()}, passes.Options{Convert: opt})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", m, err)
	}
	cost, err := result.Network.Cost(afblock.CostOptions{Ratios: []float64{m.share()}})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", m, err)
	}
	switch {
	case m.best && !m.af:
		if result, err = passes.Run(passes.ToOptimize, passes.Input{Model: spec.Build()}, passes.Options{}); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", m, err)
		}
	case !m.af:
		return spec.Build(), cost.Total().MACs, nil
	}
	return result.Model, cost.Total().MACs, nil
}

// share is the part of the frames that focal blocks compute: those that
// navigation really selects, or all.
func (m model) share() float64 {
	if !m.af || m.lowering == codegen.Mask {
		return 1
	}
	return float64(afblock.Pattern{Ratio: m.ratio}.Count(m.frames)) / float64(m.frames)
}
