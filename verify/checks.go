package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// checks is the table of checks, in the order they run: first what the others
// rest on.
var checks = []check{
	{"file", "keeps the rules of ONNX", (*prover).checkFile},
	{"seal", "holds the weights that were written (no proof that they are right)", (*prover).checkSeal},
	{"onnx-go", "onnx-go reads the same nodes", (*prover).checkOnnxGo},
	{"load", "ONNX Runtime loads it without a warning", (*prover).checkLoad},
	{"reference", "equals its own mask lowering", (*prover).checkReference},
	{"interpreter", "equals the network's definition in float64", (*prover).checkInterpreter},
	{"compiler", "so do networks like it with other weights, sizes and frames", (*prover).checkCompiler},
	{"dial", "at other margins too, from no frame to every frame", (*prover).checkDial},
	{"masks", "chooses the frames the mask lowering chooses", (*prover).checkMasks},
	{"none", "no frame selected", (*prover).checkNone},
	{"one", "one frame selected", (*prover).checkOne},
	{"all", "every frame selected", (*prover).checkAll},
	{"mixed", "every second frame selected, staggered", (*prover).checkMixed},
	{"cells", "no cell, every cell, every second, one at each corner", (*prover).checkCells},
	{"tie", "a tie selects nothing", (*prover).checkTie},
	{"provider", "the provider computes what the CPU does", (*prover).checkProvider},
	{recordedCheck, "answers as it was recorded to", (*prover).checkRecorded},
	{"repeat", "repeated runs give equal bytes", (*prover).checkRepeat},
	{"batch", "a batch equals its clips one by one", (*prover).checkBatch},
	{"empty", "a batch of no clips has no answers", (*prover).checkEmpty},
	{"permute", "permuted clips give permuted answers", (*prover).checkPermute},
	{"isolation", "a bad clip leaves its neighbours alone", (*prover).checkIsolation},
	{"optimised", "optimised by ONNX Runtime equals unoptimised", (*prover).checkOptimised},
	{"skipping", "convolutions run on selected frames only", (*prover).checkSkipping},
	{"source", "is made of this source", (*prover).checkSource},
	{"export", "equals the AFNet that was exported, choices too", (*prover).checkExport},
	{"identity", "with all frames and the gate open equals the source", (*prover).checkIdentity},
	{"agreement", "answers like the source", (*prover).checkAgreement},
	{"latency", "time against the source", (*prover).checkLatency},
}

// baseline is the model's answer to a batch as written, on the CPU,
// unoptimised, with its choices.
func (p *prover) baseline(batch int) (*outcome, error) {
	if p.base[batch] == nil {
		o, err := p.runShown(p.s.Model, p.batches[batch])
		if err != nil {
			return nil, err
		}
		p.base[batch] = o
	}
	return p.base[batch], nil
}

// runShown runs a model unoptimised and reads its choices.
func (p *prover) runShown(m *graph.Model, clips [][]float32) (*outcome, error) {
	if p.showing[m] == nil {
		p.showing[m] = p.shown(m)
	}
	o, err := p.run(p.showing[m], p.unoptimised(), clips)
	if err != nil {
		return nil, err
	}
	return o, p.readMasks(o, len(clips))
}

// runForced runs the reference with given choices.
func (p *prover) runForced(clips [][]float32, masks [][][]uint8, cells cellMasks) (*outcome, error) {
	m, err := p.reference(true)
	if err != nil {
		return nil, err
	}
	s, err := p.sessions.open(m, p.unoptimised())
	if err != nil {
		return nil, err
	}
	choices := p.cellsTensors(cells)
	choices[names.MasksIn] = masksTensor(masks)
	inputs, err := p.inputs(m, s, clips, choices)
	if err != nil {
		return nil, err
	}
	o, err := p.runSession(s, inputs)
	if err != nil {
		return nil, err
	}
	o.take(names.Masks)
	for i := range p.s.Blocks {
		o.take(names.Cells(i))
	}
	return o, nil
}

// same compares the outputs for clips that are wanted and reports the worst. A lowering
// may have outputs of its own beside them.
func (p *prover) same(name string, clips [][]float32, got, want *outcome, tol Tolerance) (Check, error) {
	c := Check{Status: Pass}
	var worst Difference
	for i, output := range want.names {
		if got.outputs[output] == nil {
			return c, fmt.Errorf("outputs are %s, want %s", strings.Join(got.names, ", "), strings.Join(want.names, ", "))
		}
		limit := tol.atLeast(want.outputs[output].DType)
		answer, err := p.inFloat32(got.outputs[output], want.outputs[output])
		if err != nil {
			return c, err
		}
		d, err := CompareFully(output, answer, want.outputs[output], limit)
		if err != nil {
			return c, err
		}
		if !d.OK() && d.NonFinite == 0 && d.Needed <= maxPairRounding {
			moved, err := p.ran(clips, got).rounding()
			if err != nil {
				return c, err
			}
			limit = limit.easedBy(moved, 2*roundings, maxPairRounding)
			if d, err = CompareFully(output, answer, want.outputs[output], limit); err != nil {
				return c, err
			}
		}
		if i == 0 || d.worse(worst) {
			worst, c.Limit = d, limit.String()
		}
		shown := d
		shown.Check = name
		p.r.Errors = append(p.r.Errors, shown)
	}
	c.Figure, c.Where, c.size = worst.Figure(), worst.Where(), worst.Needed
	if !worst.OK() {
		c.Status = Fail
	}
	return c, nil
}

// inFloat32 returns an answer as float32 where its file rounds and what is
// wanted does not.
func (p *prover) inFloat32(got, want *graph.Tensor) (*graph.Tensor, error) {
	if p.s == nil || p.s.Rounding == 0 || got.DType == want.DType || !got.DType.IsFloat() || want.DType != graph.Float32 {
		return got, nil
	}
	v, err := got.Float32s()
	if err != nil {
		return nil, err
	}
	return graph.Float32s(got.Dims, v...), nil
}

// ran is a run of clips, with its choices where it shows them.
func (p *prover) ran(clips [][]float32, got *outcome) *beside {
	b := &beside{p: p, t: trial{clips: clips}, frames: clips}
	if len(got.masks) == len(clips) {
		b.masks, b.cells = got.masks, got.cells
	}
	return b
}

func (d Difference) worse(than Difference) bool {
	if d.OK() != than.OK() {
		return !d.OK()
	}
	if d.NonFinite != than.NonFinite {
		return d.NonFinite > than.NonFinite
	}
	return d.Needed > than.Needed
}

// sameButForTies compares two runs that rounded differently. Where a tie of
// navigation fell the other way, the outputs have no reason to agree.
func (p *prover) sameButForTies(name string, got, want *outcome, tol Tolerance) (Check, error) {
	if got.masks != nil && want.masks != nil && want.margins != nil {
		scale := slices.Max(want.margins)
		flips, ties, where := p.flips(got.masks, want.masks, want.margins, scale)
		switch {
		case flips > 0:
			return Check{Status: Fail, Figure: fmt.Sprintf("%d flips", flips), Limit: "0", Where: where}, nil
		case ties > 0:
			return Check{}, &InapplicableError{fmt.Sprintf("%d ties of navigation fell the other way: outputs cannot be compared", ties)}
		}
	}
	return p.same(name, p.clips, got, want, tol)
}
