package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// ShiftAt is a temporal shift that stands in a model, in whatever spelling.
type ShiftAt struct {
	afblock.Shift
	Value  *graph.Value // what it makes, [N·T, C, H, W]
	Base   *graph.Value // of which, of the same shape
	Frames int          // T
}

// Shifts returns the temporal shifts of a model, whatever trunk they stand in, in
// the order of its nodes. They hold for every size that the model takes: where
// it is open they are looked for at several, and a model that takes T from its
// input's shape, so that its shifts differ from T to T, gives an *Error.
func Shifts(m *graph.Model, opt Options) ([]ShiftAt, error) {
	inputs, err := clipInputs(m)
	if err != nil {
		return nil, err
	}
	if err := refuseInputs(m, inputs); err != nil {
		return nil, err
	}
	in := inputs[0]
	left := int64(dataflow.MostElements) // of all attempts together
	look := func(dims []int64) []ShiftAt {
		r := &recognizer{Analysis: dataflow.Analyze(m, map[string][]int64{in.Name(): dims}), where: "shift"}
		r.Left = left
		found := placed(m, r.shifts())
		if left = r.Left; left < 0 {
			return nil
		}
		return found
	}
	axes := axesOf(m, in.Type.Shape)
	for _, batch := range batches(m, in, opt) {
		found := look(batch[in.Name()])
		if len(found) == 0 {
			continue
		}
		t := int64(found[0].Frames)
		if opt.Frames == 0 && axes.openFrames() && differ(found, look(axes.dims(probeSizes(t+1)))) {
			r := &recognizer{where: "frames"}
			return nil, r.needFrames("frames a clip that the graph says", fmt.Sprintf("an input %q of shape %s, clips of any number of frames", in, in.Type.Shape))
		}
		if other := axes.dims(clipSizes{3, t, 192, 160}); !slices.Equal(other, batch[in.Name()]) && !slices.Equal(found, look(other)) {
			continue
		}
		return found, nil
	}
	return nil, nil
}

// differ reports whether a shift of one list is another in the second.
func differ(a, b []ShiftAt) bool {
	return slices.ContainsFunc(b, func(s ShiftAt) bool {
		return slices.ContainsFunc(a, func(o ShiftAt) bool { return o.Value == s.Value && o != s })
	})
}

// shifts returns the shifts that computing nodes read.
func (r *recognizer) shifts() []ShiftAt {
	var found []ShiftAt
	seen := map[*graph.Value]bool{}
	for n := range r.Model.Graph.Nodes() {
		if !r.Live(n) || !r.computes(n) {
			continue
		}
		for _, v := range n.Inputs() {
			if v == nil || seen[v] || len(r.Dims(v)) != 4 || v.Producer() == nil || r.Constant(v) != nil {
				continue
			}
			seen[v] = true
			f, no := r.readFlow(v)
			if no != nil || f.fold == 0 {
				continue
			}
			found = append(found, ShiftAt{Shift: afblock.Shift{Fold: f.fold, PastFirst: f.past}, Value: v, Base: f.base, Frames: f.frames})
		}
	}
	return found
}

// computes reports whether a node makes anything that is neither constant nor
// moved.
func (r *recognizer) computes(n *graph.Node) bool {
	return slices.ContainsFunc(n.Outputs(), func(v *graph.Value) bool {
		return v != nil && v.NumUses() > 0 && r.Constant(v) == nil && !r.moved(v)
	})
}

// placed are shifts found in a copy of the model at the model's own values.
func placed(m *graph.Model, found []ShiftAt) []ShiftAt {
	var here []ShiftAt
	for _, s := range found {
		s.Value, s.Base = m.Graph.Value(s.Value.Name()), m.Graph.Value(s.Base.Name())
		if s.Value != nil && s.Base != nil {
			here = append(here, s)
		}
	}
	return here
}
