package afblock

import "github.com/afc-project/afc/graph"

// meter notes the cost of a network's units. Amounts are of one frame until
// note multiplies them.
type meter struct {
	net    *Network
	table  *CostTable
	ratios []float64 // of focal blocks still to come
}

// note adds an item: ops a frame of which ratio are computed, and the layers
// that do it.
func (m *meter) note(u Unit, part Part, layers []Layer, perFrame Ops, ratio float64) {
	m.noteClip(u, part, layers, perFrame.times(float64(m.table.Frames)), ratio)
}

func (m *meter) noteClip(u Unit, part Part, layers []Layer, perClip Ops, ratio float64) {
	m.table.Items = append(m.table.Items, CostItem{
		Stage: u.Name(), Key: u.Key, Part: part,
		Ops: perClip.times(ratio), Full: perClip, Ratio: ratio, Params: params(layers),
	})
}

// params counts the elements of the layers' trained tensors.
func params(layers []Layer) int64 {
	var n int64
	for _, l := range layers {
		l.Tensors(func(_ string, at **graph.Tensor, trained bool) bool {
			if !trained {
				return true
			}
			size := int64(1)
			for _, d := range (*at).Dims {
				size *= d
			}
			n += size
			return true
		})
	}
	return n
}

// elementwise is an operation that makes n elements, one step each.
func elementwise(n float64) Ops { return Ops{Elementwise: n, Activations: n} }

func globalPool(x Map) Ops {
	return Ops{Elementwise: x.Elements(), Authors: x.Elements(), Activations: float64(x.C)}
}

// path is the work of layers on x, and what they make; the walk has seen to it
// that they can.
func path(x Map, layers []Layer) (Map, Ops) {
	var sum Ops
	for _, l := range layers {
		sum = sum.plus(l.Cost(x))
		x, _ = l.Through(x)
	}
	return x, sum
}

func (m *meter) unit(u Unit) {
	switch u.Part {
	case PartNavigation:
		m.navigation(u)
	case PartCells:
		_, ops := path(u.In, u.Layers)
		m.note(u, PartCells, u.Layers, ops, 1)
	case PartMix:
		m.mix(u)
	case PartHead:
		m.head(u)
	case PartFocal:
		y, main := path(u.In, u.Layers)
		m.note(u, PartFocal, u.Layers, main, m.ratios[0])
		m.ratios = m.ratios[1:]
		m.note(u, PartResidual, u.Block.Residual.Layers(), join(u, y), 1)
	case PartPlain:
		y, main := path(u.In, u.Layers)
		if s := u.Block.Schedule; s != nil {
			m.note(u, PartPlain, u.Layers, main, s.Pattern.share(m.table.Frames))
			m.note(u, PartResidual, u.Block.Residual.Layers(), join(u, y), 1)
			return
		}
		m.note(u, PartPlain, u.All(), main.plus(join(u, y)), 1)
	default:
		y, ops := path(u.In, u.Layers)
		if u.Block != nil {
			ops = ops.plus(join(u, y))
		}
		m.note(u, u.Part, u.All(), ops, 1)
	}
}

// join is a block's residual path, the addition that joins it to y, the end of
// the main path, and the activation behind.
func join(u Unit, y Map) Ops {
	if u.Block.Residual.None {
		return u.Block.Act.Cost(y)
	}
	_, side := path(u.In, u.Block.Residual.Layers())
	return elementwise(y.Elements()).plus(u.Block.Act.Cost(y)).plus(side)
}

// navigation is a look at every frame and one choice a clip.
func (m *meter) navigation(u Unit) {
	look, act := &u.Navigation.Look, u.Layers[1]
	seen := Map{u.In.C, Size{1, 1}}
	perFrame := globalPool(u.In).plus(look.Cost(seen)).plus(act.Cost(Map{look.Out(), Size{1, 1}}))
	frames := float64(m.table.Frames)
	// The choice is made for net.Frames; for another number of them it has as
	// many rows, and dense as many columns.
	rows, cols := 2*frames, 2.0
	if u.Navigation.Dense() {
		cols = rows
	}
	choice := Ops{MACs: rows * cols, Elementwise: rows + frames, Authors: frames * rows * cols, Activations: rows + frames}
	m.noteClip(u, PartNavigation, u.Layers, perFrame.times(frames).plus(choice), 1)
}

// mix is the base transform, the gate over the enlarged ample and the focal
// map, and their mix: a+f for the gate, g·a, (1−g)·f, their sum, the activation.
func (m *meter) mix(u Unit) {
	gate, f := &u.Stage.AF.Gate, u.Focal
	ops := gate.Squeeze.Cost(f).plus(gate.Excite.Cost(f))
	ops.Authors = authorsAttention(f.C, 16)
	ops = ops.plus(globalPool(f))
	if t := u.Stage.AF.Transform; t != nil {
		ops = ops.plus(t.Cost(u.In))
	}
	hidden := float64(gate.Squeeze.Out())
	ops.Elementwise += hidden + 2*float64(f.C) // ReLU, sigmoid, 1−g
	ops.Elementwise += 4 * f.Elements()
	ops.Activations += hidden + 2*float64(f.C) + 5*f.Elements() // the enlarged map too
	m.note(u, PartMix, u.Layers, ops.plus(u.Stage.AF.Act.Cost(f)), 1)
}

func (m *meter) head(u Unit) {
	h := &m.net.Head
	frames := float64(m.table.Frames)
	x, ops := path(u.In, h.Before())
	pool := globalPool(x)
	if h.Last != nil {
		pool.Authors = 0 // not counted in their AF-MobileNetV3
	}
	ops = ops.plus(pool).times(frames)
	_, fc := path(Map{x.C, Size{1, 1}}, h.Classify())
	if h.Consensus == MeanBeforeFC {
		ops = ops.plus(fc).plus(elementwise(float64(x.C) * frames))
	} else {
		ops = ops.plus(fc.times(frames))
	}
	if h.Consensus == MeanAfterFC {
		ops.Elementwise += float64(h.FC.Out()) * frames
		ops.Activations += float64(h.FC.Out())
	}
	m.noteClip(u, PartHead, u.Layers, ops, 1)
}
