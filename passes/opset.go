package passes

import (
	"fmt"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// OldestOpset and NewestOpset bound the opsets that a model can be written in.
const (
	OldestOpset = newOpset
	NewestOpset = 24
)

// OpsetError is a model that cannot be written in the opset asked for.
type OpsetError struct {
	Opset int64
	Err   error // names the node
}

func (e *OpsetError) Error() string { return fmt.Sprintf("opset %d: %v", e.Opset, e.Err) }

func (e *OpsetError) Unwrap() error { return e.Err }

// setOpset writes the model in the opset asked for, older or newer than its own.
// Operators whose form or meaning differs are rewritten version by version;
// graph.Check then refuses what the opset has not: an operator, an attribute, an
// input.
func setOpset(s *State) error {
	m, to := s.Model, s.opt.Opset
	from := m.Opset("")
	if to == 0 || from == to {
		return nil
	}
	op.Infer(m)
	for v := from + 1; v <= to; v++ {
		if err := s.cross(v, opsetSteps[v].up); err != nil {
			return err
		}
	}
	for v := from; v > to; v-- {
		if err := s.cross(v, opsetSteps[v].down); err != nil {
			return err
		}
	}
	for i, o := range m.Opsets {
		if graph.CanonicalDomain(o.Domain) == "" {
			m.Opsets[i].Version = to
		}
	}
	for g := range graphs(m) {
		g.RemoveUnusedInitializers() // axes that became attributes
	}
	m.IRVersion = graph.IRVersionOf(to)
	s.changed(1)
	if err := graph.Check(m); err != nil {
		return &OpsetError{to, err}
	}
	return nil
}

// cross takes the operators over the border between an opset and the one before.
func (s *State) cross(version int64, steps map[string]upgrade) error {
	for n := range nodes(s.Model) {
		if step := steps[n.OpType]; step != nil && n.Is(n.OpType) {
			if err := step(s, n); err != nil {
				return &OpsetError{s.opt.Opset, err}
			}
		}
	}
	return nil
}

// opsetSteps holds, by the opset that brought a change, how operators are
// rewritten on the way to it and back. What only gained types, inputs or
// attributes whose default is the old meaning is not among up; of those, down
// drops what says the default.
var opsetSteps = map[int64]struct{ up, down map[string]upgrade }{
	14: {down: map[string]upgrade{"Reshape": dropDefault("allowzero", 0), "BatchNormalization": dropDefault("training_mode", 0)}},
	15: {down: map[string]upgrade{"Shape": dropDefault("start", 0)}},
	16: {
		up: map[string]upgrade{"RoiAlign": func(_ *State, n *graph.Node) error {
			n.SetAttr(graph.Str("coordinate_transformation_mode", "output_half_pixel"))
			return nil
		}},
		down: map[string]upgrade{
			"ScatterND": dropWord("reduction", "none"), "ScatterElements": dropWord("reduction", "none"), "RoiAlign": roiAlignBack,
		},
	},
	18: {up: reductions(axesToInput, "Split", countOutputs), down: reductions(axesToAttr, "Split", uncountOutputs, "Resize", plainResize)},
	19: {down: map[string]upgrade{"Cast": dropDefault("saturate", 1), "QuantizeLinear": dropDefault("saturate", 1), "AveragePool": undilated}},
	20: {
		up:   map[string]upgrade{"GridSample": renameModes("bilinear", "linear", "bicubic", "cubic"), "DFT": differs(20)},
		down: map[string]upgrade{"GridSample": gridSampleBack, "DFT": differs(20)},
	},
	21: {up: map[string]upgrade{"GroupNormalization": differs(21)}, down: map[string]upgrade{"GroupNormalization": differs(21)}},
}

// reductions makes steps of those that have axes since opset 18 as an input, and
// of others, given by name.
func reductions(step upgrade, others ...any) map[string]upgrade {
	steps := map[string]upgrade{}
	for _, name := range []string{"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"} {
		steps[name] = step
	}
	for i := 0; i < len(others); i += 2 {
		steps[others[i].(string)] = others[i+1].(func(*State, *graph.Node) error)
	}
	return steps
}

// differs refuses an operator that means something else on the other side.
func differs(version int64) upgrade {
	return func(s *State, n *graph.Node) error {
		return graphError(s.Model, n, "operator %s changed its meaning with opset %d, and afc does not translate it", n.OpType, version)
	}
}

// dropDefault removes an integer attribute that says the default; Check refuses
// any other.
func dropDefault(name string, value int64) upgrade {
	return func(_ *State, n *graph.Node) error {
		if n.AttrInt(name, value) == value {
			n.RemoveAttr(name)
		}
		return nil
	}
}

func dropWord(name, value string) upgrade {
	return func(_ *State, n *graph.Node) error {
		if n.AttrString(name, value) == value {
			n.RemoveAttr(name)
		}
		return nil
	}
}

// renameModes gives values of the attribute mode their other names.
func renameModes(pairs ...string) upgrade {
	return func(_ *State, n *graph.Node) error {
		for i := 0; i < len(pairs); i += 2 {
			if n.AttrString("mode", "") == pairs[i] {
				n.SetAttr(graph.Str("mode", pairs[i+1]))
				return nil
			}
		}
		return nil
	}
}

// axesToInput: since opset 18 a reduction's axes are an input.
func axesToInput(s *State, n *graph.Node) error {
	return attrsToInputs("axes")(s, n)
}

// axesToAttr: before opset 18 a reduction's axes are an attribute, known when
// the model is written; none are all.
func axesToAttr(s *State, n *graph.Node) error {
	axes := n.Input(1)
	if axes == nil {
		if n.AttrInt("noop_with_empty_axes", 0) != 0 {
			return graphError(s.Model, n, "%s over no axis came with opset 18", n.OpType)
		}
		n.RemoveAttr("noop_with_empty_axes")
		n.TrimInputs(1)
		return nil
	}
	ints, ok := constInts(axes)
	if !ok {
		return graphError(s.Model, n, "%s has axes that are computed at run time, which opset 18 brought", n.OpType)
	}
	if len(ints) == 0 {
		return graphError(s.Model, n, "%s over an empty list of axes came with opset 18", n.OpType)
	}
	n.TrimInputs(1)
	n.RemoveAttr("noop_with_empty_axes")
	n.SetAttr(graph.Ints("axes", ints...))
	return nil
}

// countOutputs: since opset 18 a Split into equal parts says how many.
func countOutputs(_ *State, n *graph.Node) error {
	if n.Input(1) == nil && n.Attr("num_outputs") == nil {
		n.SetAttr(graph.Int("num_outputs", int64(len(n.Outputs()))))
	}
	return nil
}

// uncountOutputs: before opset 18 parts of a Split without sizes are equal, and
// counted by the outputs.
func uncountOutputs(s *State, n *graph.Node) error {
	parts := n.AttrInt("num_outputs", 0)
	if parts == 0 {
		return nil
	}
	shape, axis := n.Input(0).Type.Shape, n.AttrInt("axis", 0)
	if axis < 0 {
		axis += int64(len(shape))
	}
	if axis < 0 || axis >= int64(len(shape)) || !shape[axis].Known() || shape[axis].Size%parts != 0 {
		return graphError(s.Model, n, "Split into %d parts that are not known to be equal came with opset 18", parts)
	}
	n.RemoveAttr("num_outputs")
	return nil
}

// plainResize drops what Resize learned with opset 18 and does not use.
func plainResize(_ *State, n *graph.Node) error {
	if n.AttrInt("antialias", 0) == 0 {
		n.RemoveAttr("antialias")
	}
	if n.AttrString("keep_aspect_ratio_policy", "stretch") == "stretch" {
		n.RemoveAttr("keep_aspect_ratio_policy")
	}
	return nil
}

// undilated drops the dilations of a pool that has none.
func undilated(_ *State, n *graph.Node) error {
	for _, d := range n.AttrInts("dilations") {
		if d != 1 {
			return nil // Check refuses it
		}
	}
	n.RemoveAttr("dilations")
	return nil
}

// roiAlignBack: before opset 16 RoiAlign has no half-pixel shift.
func roiAlignBack(s *State, n *graph.Node) error {
	if n.AttrString("coordinate_transformation_mode", "half_pixel") != "output_half_pixel" {
		return graphError(s.Model, n, "RoiAlign with half-pixel coordinates came with opset 16")
	}
	n.RemoveAttr("coordinate_transformation_mode")
	return nil
}

// gridSampleBack: before opset 20 GridSample samples images alone.
func gridSampleBack(s *State, n *graph.Node) error {
	if shape := n.Input(0).Type.Shape; len(shape) != 4 {
		return graphError(s.Model, n, "GridSample of other than images came with opset 20")
	}
	return renameModes("linear", "bilinear", "cubic", "bicubic")(s, n)
}
