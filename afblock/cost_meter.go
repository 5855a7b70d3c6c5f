package afblock

import "github.com/afc-project/afc/graph"

// meter walks a network with the size of its maps and notes costs. Amounts are
// of one frame until note multiplies them.
type meter struct {
	net    *Network
	table  *CostTable
	ratios []float64 // of focal blocks still to come
	stage  string

	params int64 // since the last note
}

// area is the size of a map.
type area struct{ c, h, w int }

func (a area) elements() float64 { return float64(a.c) * float64(a.h) * float64(a.w) }

// window is the map that a k×k window makes.
func (a area) window(k, stride, pad, out int) area {
	return area{out, (a.h+2*pad-k)/stride + 1, (a.w+2*pad-k)/stride + 1}
}

// note adds an item: ops a frame, of which ratio are computed.
func (m *meter) note(block string, part Part, perFrame Ops, ratio float64) {
	m.noteClip(block, part, perFrame.times(float64(m.table.Frames)), ratio)
}

func (m *meter) noteClip(block string, part Part, perClip Ops, ratio float64) {
	m.table.Items = append(m.table.Items, CostItem{
		Stage: m.stage, Block: block, Part: part,
		Ops: perClip.times(ratio), Full: perClip, Ratio: ratio, Params: m.params,
	})
	m.params = 0
}

func (m *meter) weigh(tensors ...*graph.Tensor) {
	for _, t := range tensors {
		if t == nil {
			continue
		}
		n := int64(1)
		for _, d := range t.Dims {
			n *= d
		}
		m.params += n
	}
}

// elementwise is an operation that makes n elements, one step each.
func elementwise(n float64) Ops { return Ops{Elementwise: n, Activations: n} }

// conv is a convolution with what stands on it: bias, batch normalisation.
func (m *meter) conv(x area, c *Conv) (area, Ops) {
	k := c.Kernel()
	y := x.window(k, c.Stride, c.Pad, c.Out())
	macs := y.elements() * float64(int(c.Weight.Dims[1])*k*k)
	ops := Ops{MACs: macs, Authors: macs, Activations: y.elements()}
	m.weigh(c.Weight, c.Bias)
	if c.Bias != nil {
		ops.Elementwise += y.elements()
	}
	if c.BN != nil {
		ops.Elementwise += 2 * y.elements()
		m.weigh(c.BN.Gamma, c.BN.Beta)
	}
	return y, ops
}

// pool is a pooling window. The authors count 9 an element, their windows
// being 3×3.
func (m *meter) pool(x area, p Pool) (area, Ops) {
	y := x.window(p.Kernel, p.Stride, p.Pad, x.c)
	n := y.elements() * float64(p.Kernel*p.Kernel)
	return y, Ops{Elementwise: n, Authors: n, Activations: y.elements()}
}

func globalPool(x area) Ops {
	return Ops{Elementwise: x.elements(), Authors: x.elements(), Activations: float64(x.c)}
}

func (m *meter) linear(w, bias *graph.Tensor) Ops {
	m.weigh(w, bias)
	ops := Ops{MACs: float64(w.Dims[0] * w.Dims[1]), Activations: float64(w.Dims[0])}
	ops.Authors = ops.MACs
	if bias != nil {
		ops.Elementwise = float64(w.Dims[0])
	}
	return ops
}

func (m *meter) network() {
	m.stage = "stem"
	x, ops := m.conv(area{m.net.Stem.Conv.In(), m.table.Size[0], m.table.Size[1]}, &m.net.Stem.Conv)
	ops = ops.plus(elementwise(x.elements())) // ReLU
	x, pool := m.pool(x, m.net.Stem.Pool)
	m.note("", PartStem, ops.plus(pool), 1)
	for _, s := range m.net.Stages {
		m.stage = s.Name
		if s.AF != nil {
			x = m.module(x, s.AF)
			continue
		}
		for _, b := range s.Blocks {
			x = m.block(x, b, PartPlain)
		}
	}
	m.stage = "head"
	m.head(x)
}

// block notes a block whose every frame is computed.
func (m *meter) block(x area, b *Block, part Part) area {
	y, main := m.mainPath(x, b)
	m.note(b.Key, part, main.plus(m.residual(x, y, b)), 1)
	return y
}

// mainPath is the block's convolutions with the ReLUs between them.
func (m *meter) mainPath(x area, b *Block) (area, Ops) {
	var sum Ops
	for i, c := range b.Convs {
		if i > 0 {
			sum = sum.plus(elementwise(x.elements()))
		}
		y, ops := m.conv(x, c)
		x, sum = y, sum.plus(ops)
	}
	return x, sum
}

// residual is the block's residual path, the addition that joins it and the
// last ReLU.
func (m *meter) residual(x, y area, b *Block) Ops {
	sum := elementwise(y.elements())
	if b.FinalReLU {
		sum = sum.plus(elementwise(y.elements()))
	}
	if p := b.Downsample.Pool; p != nil {
		pooled, ops := m.pool(x, *p)
		x, sum = pooled, sum.plus(ops)
	}
	if c := b.Downsample.Conv; c != nil {
		_, ops := m.conv(x, c)
		sum = sum.plus(ops)
	}
	return sum
}

func (m *meter) module(x area, af *AFModule) area {
	a, f := x, x
	for i, focal := range af.Focal {
		m.navigation(a, af.Navigation[i])
		a = m.block(a, af.Ample[i], PartAmple)
		y, main := m.mainPath(f, focal)
		m.note(focal.Key, PartFocal, main, m.ratios[0])
		m.ratios = m.ratios[1:]
		m.note(focal.Key, PartResidual, m.residual(f, y, focal), 1)
		f = y
	}
	_, ops := m.conv(a, &af.Transform)
	ops = ops.plus(m.gate(f, &af.Gate))
	m.note(af.Transform.Key, PartMix, ops, 1)
	return m.block(f, af.Fusion, PartFusion)
}

func (m *meter) navigation(a area, n *Navigation) {
	_, ops := m.conv(area{a.c, 1, 1}, &n.Pool)
	perFrame := globalPool(a).plus(ops).plus(elementwise(2)) // ReLU
	frames := float64(m.table.Frames)
	// The second convolution is made for net.Frames; for another number of
	// them it has as many rows, and dense as many columns.
	rows, cols := 2*frames, 2.0
	if n.Dense() {
		cols = rows
	}
	m.weigh(n.Weight, n.Bias)
	second := Ops{MACs: rows * cols, Elementwise: rows + frames, Authors: frames * rows * cols, Activations: rows + frames}
	m.noteClip(n.Key, PartNavigation, perFrame.times(frames).plus(second), 1)
}

// gate is the gate over the enlarged ample and the focal map, and their mix:
// a+f for the gate, g·a, (1−g)·f, their sum, ReLU.
func (m *meter) gate(f area, g *Gate) Ops {
	ops := globalPool(f).plus(m.linear(g.W1, g.B1)).plus(m.linear(g.W2, g.B2))
	ops.Authors += float64(f.c)
	ops.Elementwise += float64(g.W1.Dims[0]) + 2*float64(f.c) // ReLU, sigmoid, 1−g
	ops.Elementwise += 5 * f.elements()
	ops.Activations += float64(g.W1.Dims[0]) + 2*float64(f.c) + 6*f.elements() // the enlarged map too
	return ops
}

func (m *meter) head(x area) {
	h := &m.net.Head
	frames := float64(m.table.Frames)
	fc := m.linear(h.Weight, h.Bias)
	ops := globalPool(x).times(frames)
	if h.Consensus == MeanBeforeFC {
		ops = ops.plus(fc).plus(elementwise(float64(x.c) * frames))
	} else {
		ops = ops.plus(fc.times(frames))
	}
	if h.Consensus == MeanAfterFC {
		ops.Elementwise += float64(h.Weight.Dims[0]) * frames
		ops.Activations += float64(h.Weight.Dims[0])
	}
	m.noteClip(h.Key, PartHead, ops, 1)
}
