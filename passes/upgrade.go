package passes

import (
	"math"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// oldestOpset is the first opset that upgradeOpset starts from: exporters of
// video networks never wrote an older one.
const oldestOpset = 9

// newOpset is what upgradeOpset raises older models to. Newer ones stay.
const newOpset = 13

// upgradeOpset rewrites operators whose form or meaning changed from opset 9
// to 13, version by version, exactly.
func upgradeOpset(s *State) error {
	m := s.Model
	from := m.Opset("")
	if from >= newOpset {
		return nil
	}
	if from < oldestOpset {
		return graphError(m, nil, "it is written for opset %d; afc reads opset %d and later: export it again, with opset %d for example",
			from, oldestOpset, newOpset)
	}
	op.Infer(m)
	for version := from + 1; version <= newOpset; version++ {
		for n := range nodes(m) {
			up := upgrades[version][n.OpType]
			if up == nil || !n.Is(n.OpType) {
				continue
			}
			if err := up(s, n); err != nil {
				return err
			}
			s.changed(1)
		}
	}
	for i, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			m.Opsets[i].Version = newOpset
		}
	}
	m.IRVersion = max(m.IRVersion, 7) // the IR version that came with opset 13's time
	return nil
}

// upgrade rewrites a node of the version before into one of the version; it
// may replace the node by others.
type upgrade func(s *State, n *graph.Node) error

// upgrades holds, by version and operator, what changed. Operators that only
// gained types, inputs or defaults that keep the old meaning are not in it.
var upgrades = map[int64]map[string]upgrade{
	10: {
		"Slice": attrsToInputs("starts", "ends", "axes"),
		"TopK":  attrsToInputs("k"),
	},
	11: {
		"Clip":     clipBounds,
		"Pad":      padInputs,
		"Resize":   resizeModes,
		"Scatter":  scatterElements,
		"Upsample": upsampleToResize, // gone since opset 10
	},
	12: {
		"Dropout": dropoutRatio,
	},
	13: {
		"Squeeze":    attrsToInputs("axes"),
		"Unsqueeze":  attrsToInputs("axes"),
		"ReduceSum":  attrsToInputs("axes"),
		"Split":      attrsToInputs("split"),
		"Softmax":    flattenedSoftmax,
		"LogSoftmax": flattenedSoftmax,
		"Hardmax":    flattenedSoftmax,
	},
}

// attrsToInputs moves integer attributes to inputs 1, 2, …, as vectors.
func attrsToInputs(names ...string) upgrade {
	return func(s *State, n *graph.Node) error {
		for i, name := range names {
			a := n.Attr(name)
			if a == nil {
				continue
			}
			ints := a.Ints
			if a.Type == graph.AttrInt {
				ints = []int64{a.I}
			}
			n.SetInput(1+i, n.Graph().NewInitializer(n.Output(0).String()+"."+name, graph.Vec(ints...)))
			n.RemoveAttr(name)
		}
		return nil
	}
}

// upsampleToResize writes Upsample, which only enlarges, as Resize.
func upsampleToResize(_ *State, n *graph.Node) error {
	n.OpType = "Resize"
	asymmetric(n, "floor")
	return nil
}

// asymmetric spells out what Upsample and the Resize of opset 10 did without
// saying: coordinates are mapped by dividing by the scale, and rounded as given
// for mode nearest.
func asymmetric(n *graph.Node, rounding string) {
	n.SetInput(2, n.Input(1))
	n.SetInput(1, nil) // roi
	n.SetAttr(graph.Str("coordinate_transformation_mode", "asymmetric"))
	if n.AttrString("mode", "nearest") == "nearest" {
		n.SetAttr(graph.Str("nearest_mode", rounding))
	}
}

// resizeModes finds how Resize of opset 10 rounds for mode nearest: down where
// it enlarges, up where it shrinks.
func resizeModes(s *State, n *graph.Node) error {
	if n.AttrString("mode", "nearest") != "nearest" {
		asymmetric(n, "")
		return nil
	}
	t := n.Input(1).Const()
	if t == nil {
		return graphError(s.Model, n, "its scales are computed at run time, so opset 10's rounding cannot be spelled out; export with opset 11 or later")
	}
	factors, err := t.Float32s()
	if err != nil {
		return graphError(s.Model, n, "scales: %v", err)
	}
	mode, enlarges := "floor", false
	for _, f := range factors {
		if f < 1 {
			mode = "ceil"
		}
		enlarges = enlarges || f > 1
	}
	if enlarges && mode == "ceil" {
		return graphError(s.Model, n, "it enlarges and shrinks at once, which later opsets cannot round as opset 10 did; export with opset 11 or later")
	}
	asymmetric(n, mode)
	return nil
}

// clipBounds moves min and max to inputs, in the type of the clipped value.
func clipBounds(s *State, n *graph.Node) error {
	for i, bound := range []struct {
		name string
		none float32
	}{{"min", -math.MaxFloat32}, {"max", math.MaxFloat32}} {
		a := n.AttrFloat(bound.name, bound.none)
		n.RemoveAttr(bound.name)
		if a != bound.none {
			n.SetInput(1+i, scalarLike(s, n, bound.name, a))
		}
	}
	return nil
}

// padInputs moves pads and value to inputs.
func padInputs(s *State, n *graph.Node) error {
	if err := attrsToInputs("pads")(s, n); err != nil {
		return err
	}
	value := n.AttrFloat("value", 0)
	n.RemoveAttr("value")
	if value != 0 {
		n.SetInput(2, scalarLike(s, n, "value", value))
	}
	return nil
}

// scalarLike makes a scalar of the element type of n's first input.
func scalarLike(s *State, n *graph.Node, name string, x float32) *graph.Value {
	v := n.Graph().NewInitializer(n.Output(0).String()+"."+name, graph.Float32s(nil, x))
	if elem := n.Input(0).Type.Elem; elem != graph.Float32 && elem != graph.Undefined {
		v = s.insert(n, "Cast", v.Name()+".cast", []*graph.Value{v}, graph.Int("to", int64(elem))).Output(0)
	}
	return v
}

func scatterElements(_ *State, n *graph.Node) error {
	n.OpType = "ScatterElements"
	return nil
}

// dropoutRatio drops the ratio: before opset 12 Dropout is inference only, and
// does nothing whatever its ratio.
func dropoutRatio(_ *State, n *graph.Node) error {
	n.RemoveAttr("ratio")
	return nil
}

// flattenedSoftmax: before opset 13 softmax runs over all dimensions from axis
// on, taken as one; since then over that dimension alone.
func flattenedSoftmax(s *State, n *graph.Node) error {
	x := n.Input(0)
	axis := n.AttrInt("axis", 1)
	if shape := x.Type.Shape; shape.Ranked() {
		rank := int64(len(shape))
		if axis == rank-1 || axis == -1 {
			n.SetAttr(graph.Int("axis", -1))
			return nil
		}
	}
	name := n.Output(0).String()
	flat := s.insert(n, "Flatten", name+".flat", []*graph.Value{x}, graph.Int("axis", axis))
	soft := s.insert(n, n.OpType, name, []*graph.Value{flat.Output(0)}, graph.Int("axis", -1))
	shape := s.insert(n, "Shape", name+".shape", []*graph.Value{x})
	back := s.insert(n, "Reshape", name, []*graph.Value{soft.Output(0), shape.Output(0)})
	s.supplant(n, back.Output(0))
	return nil
}
