package recognize

import (
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// mix reads where the branches of a module meet: the ample branch's end a
// through a 1×1 convolution, brought to the size of the focal branch's end f to
// the nearest pixel; a gate that looks at the sum of both; and their mixture by
// it. It returns what the fusion block reads.
func (r *recognizer) mix(m *afblock.AFModule, a, f *graph.Value) (*graph.Value, error) {
	if a == f || len(r.Dims(f)) != 4 {
		return nil, r.refuse(f.Producer(), "an ample and a focal branch", "one map", "")
	}
	up, err := r.transform(m, a)
	if err != nil {
		return nil, err
	}
	fc := int(r.Dims(f)[1])
	if m.Transform.Out() != fc || m.Transform.In() == 0 || fc%m.Transform.In() != 0 {
		return nil, r.refuse(up.Producer(), fmt.Sprintf("a transform from a part of the focal branch's %d channels to all", fc),
			fmt.Sprintf("one from %d to %d", m.Transform.In(), m.Transform.Out()), "")
	}
	m.Alpha = fc / m.Transform.In()
	b := &blend{recognizer: r, up: up, focal: f, dims: r.Dims(f)}
	if err := b.findGate(m); err != nil {
		return nil, err
	}
	y, err := b.mixture()
	if err != nil {
		return nil, err
	}
	if rs, output := r.readers(y); !output && len(rs) == 1 && isReLU(r, rs[0].node) {
		relu, err := r.onlyReader(y, "ReLU")
		if err != nil {
			return nil, err
		}
		m.Act, y = afblock.ReLU, relu.Output(0)
	}
	if m.Act != afblock.ReLU {
		return nil, r.refuse(y.Producer(), "ReLU behind the mixture of the branches", "none", "")
	}
	r.progress++
	return y, nil
}

// transform reads the 1×1 convolution behind the ample branch, and returns what
// it makes.
func (r *recognizer) transform(m *afblock.AFModule, a *graph.Value) (*graph.Value, error) {
	n, err := r.onlyReader(a, "a 1×1 convolution to the focal branch's channels")
	if err != nil {
		return nil, err
	}
	c, err := r.conv(n, "base_transform.0", r.channels(a))
	if err != nil {
		return nil, err
	}
	if c.Kernel() != 1 || c.Stride != 1 {
		return nil, r.refuse(n, "a 1×1 convolution to the focal branch's channels", fmt.Sprintf("weights of shape %v, stride %d", c.Weight.Dims, c.Stride), "")
	}
	up := n.Output(0)
	if rs, _ := r.readers(up); len(rs) == 1 && rs[0].node.Is("BatchNormalization") {
		norm, err := r.onlyReader(up, "batch normalisation")
		if err != nil {
			return nil, err
		}
		if c.BN, err = r.batchNorm(norm, "base_transform.1", c.Out()); err != nil {
			return nil, err
		}
		up = norm.Output(0)
	}
	m.Transform = c
	return up, nil
}

// blend is the meeting of two branches. What is computed of them element by
// element is told by computing it, with numbers for the elements of both and of
// the gate, so that no spelling of it matters.
type blend struct {
	*recognizer
	up    *graph.Value // of the ample branch, at its own size
	focal *graph.Value
	gate  *graph.Value // one number a frame and channel, flat
	dims  []int64      // of the focal map
	steps int          // nodes of arithmetic gone through for one value
}

// blendTolerance is how far a mixture may be from its definition, in parts of
// numbers of the size of 1: it is computed in float64.
const blendTolerance = 1e-9

// findGate finds the sigmoid that looks at the sum of both branches, and reads
// its layers backwards.
func (b *blend) findGate(m *afblock.AFModule) error {
	sigmoid := b.first("Sigmoid", b.focal)
	if sigmoid == nil {
		n := b.up.Producer()
		if other := b.first("HardSigmoid", b.focal); other != nil {
			n = other
		}
		return b.refuse(n, "a gate that weighs the branches by a sigmoid", "none behind both", "")
	}
	b.gate = sigmoid.Output(0)
	if n := dataflow.Elements(b.Dims(b.gate)); n != b.dims[0]*b.dims[1] {
		return b.refuse(sigmoid, fmt.Sprintf("a gate of %d channels for each of %d frames", b.dims[1], b.dims[0]), fmt.Sprintf("shape %v", b.Dims(b.gate)), "")
	}
	excite, in, err := b.layerInto(sigmoid.Input(0), "att_gen.fc.2", sigmoid)
	if err != nil {
		return err
	}
	relu := producer(b.straight(in))
	if relu == nil || !isReLU(b.recognizer, relu) {
		return b.refuse(sigmoid, "a gate of two linear layers with ReLU between them", quote(in), "")
	}
	squeeze, in, err := b.layerInto(relu.Input(0), "att_gen.fc.0", relu)
	if err != nil {
		return err
	}
	channels := b.dims[1]
	if squeeze.Weight.Dims[1] != channels || excite.Weight.Dims[0] != channels || excite.Weight.Dims[1] != squeeze.Weight.Dims[0] {
		return b.refuse(sigmoid, fmt.Sprintf("a gate from %d channels to as many", channels),
			fmt.Sprintf("weights of shapes %v and %v", squeeze.Weight.Dims, excite.Weight.Dims), "")
	}
	sum := b.meanOf(in, b.dims)
	if sum == nil || !b.holds(sum, func(up, focal, _ float64) float64 { return up + focal }) {
		return b.refuse(sigmoid, "a gate that looks at the mean of the sum of both branches, the ample one at the focal one's size (nearest)", quote(in), "")
	}
	m.Gate = afblock.Gate{Squeeze: squeeze, Excite: excite}
	b.progress++
	return nil
}

// first returns the first live node of an operator that depends on v.
func (b *blend) first(kind string, v *graph.Value) *graph.Node {
	for n := range b.behind(v) {
		if n.Is(kind) {
			return n
		}
	}
	return nil
}

// layerInto reads the linear layer that makes v, and returns what it reads. end
// stands behind it.
func (b *blend) layerInto(v *graph.Value, key string, end *graph.Node) (afblock.Linear, *graph.Value, error) {
	n := producer(b.straight(v))
	if n.Is("Add") {
		for _, in := range n.Inputs() {
			if p := producer(b.straight(in)); p.Is("MatMul", "Conv", "Gemm") {
				n = p
				break
			}
		}
	}
	if !n.Is("Gemm", "MatMul", "Conv") || b.Constant(n.Input(1)) == nil {
		return afblock.Linear{}, nil, b.refuse(end, "a linear layer in front", quote(end.Input(0)), "")
	}
	l, made, err := b.linear(n)
	if err != nil {
		return l, nil, err
	}
	if b.straight(v) != made {
		return l, nil, b.refuse(end, "a linear layer in front", quote(end.Input(0)), "")
	}
	l.Key = key
	return l, n.Input(0), nil
}

// maxBlend bounds the nodes that a mixture is looked for in, and those that it is
// computed in.
const maxBlend = 64

// mixture finds the value that holds g·up + (1−g)·focal.
func (b *blend) mixture() (*graph.Value, error) {
	var y *graph.Value
	tried := 0
	for n := range b.behind(b.gate) {
		v := n.Output(0)
		if tried++; tried > maxBlend || n.Is("Conv", "Relu", "Clip") {
			break
		}
		if v == nil || dataflow.Elements(b.Dims(v)) != dataflow.Elements(b.dims) || b.moved(v) {
			continue
		}
		if b.holds(v, func(up, focal, gate float64) float64 { return gate*up + (1-gate)*focal }) {
			y = v // a later one may be made of two ways to compute it
		}
	}
	if y != nil {
		return y, nil
	}
	return nil, b.refuse(b.gate.Producer(), "a mixture of the branches, g times the ample one and 1 − g times the focal one", "another use of the gate", "")
}

// behind iterates over the live nodes that depend on v, in the graph's order.
func (b *blend) behind(v *graph.Value) func(yield func(*graph.Node) bool) {
	return func(yield func(*graph.Node) bool) {
		reached := map[*graph.Value]bool{v: true}
		for n := range b.Model.Graph.Nodes() {
			if !b.Live(n) || !slices.ContainsFunc(n.Inputs(), func(in *graph.Value) bool { return reached[in] }) {
				continue
			}
			for _, o := range n.Outputs() {
				if o != nil {
					reached[o] = true
				}
			}
			if !yield(n) {
				return
			}
		}
	}
}

// holds reports whether a map, viewed or not, is what of says of the two
// branches and the gate, at each of its elements looked at. The ample branch's is
// that of source index floor(i·in/out), PyTorch's nearest.
func (b *blend) holds(v *graph.Value, of func(up, focal, gate float64) float64) bool {
	d, ud := b.dims, b.Dims(b.up)
	if len(ud) != 4 || ud[0] != d[0] || ud[1] != d[1] || ud[2] > d[2] || ud[3] > d[3] || dataflow.Elements(b.Dims(v)) != dataflow.Elements(d) ||
		d[0]*d[1] > maxStraight || max(d[2], d[3]) > maxSide {
		return false
	}
	all := b.looked()
	few := all[:min(len(all), 16)] // most values are none, which a few elements tell
	for _, at := range [][]int64{few, all} {
		b.steps = 0
		got, ok := b.elements(v, at)
		if !ok {
			return false
		}
		for i, k := range at {
			image := k / (d[2] * d[3])
			y, x := k/d[3]%d[2], k%d[3]
			from := (image*ud[2]+y*ud[2]/d[2])*ud[3] + x*ud[3]/d[3]
			want := of(pseudo(1, from), pseudo(2, k), pseudo(3, image))
			if !(math.Abs(got[i]-want) <= blendTolerance) {
				return false
			}
		}
	}
	return true
}

// maxSide bounds the maps that are looked at.
const maxSide = 1 << 12

// looked lists the elements of the focal map that are looked at: one pixel of
// each channel of each frame, and of the first channel pixels of every row and
// column.
func (b *blend) looked() []int64 {
	d := b.dims
	at := frameSamples(d, d[0])
	for y := range d[2] {
		at = append(at, y*d[3]+y*d[3]/d[2])
	}
	for x := range d[3] {
		at = append(at, x*d[2]/d[3]*d[3]+x)
	}
	return at
}

// elements computes elements of v from numbers for those of the branches and the
// gate, through movement and arithmetic; false where something else is computed.
func (b *blend) elements(v *graph.Value, at []int64) ([]float64, bool) {
	out := make([]float64, len(at))
	rest := map[*graph.Value][]int{}
	var order []*graph.Value
	cells := b.Trace(v, at)
	for i, c := range cells {
		switch c.Base {
		case nil:
			out[i] = c.Val
		case b.up:
			out[i] = pseudo(1, c.At)
		case b.focal:
			out[i] = pseudo(2, c.At)
		case b.gate:
			out[i] = pseudo(3, c.At)
		default:
			if rest[c.Base] == nil {
				order = append(order, c.Base)
			}
			rest[c.Base] = append(rest[c.Base], i)
		}
	}
	for _, base := range order {
		which := rest[base]
		from := make([]int64, len(which))
		for k, i := range which {
			from[k] = cells[i].At
		}
		x, ok := b.arithmetic(base, from)
		if !ok {
			return nil, false
		}
		for k, i := range which {
			out[i] = x[k]
		}
	}
	return out, true
}

// arithmetic computes elements of a sum, difference, product or quotient.
func (b *blend) arithmetic(v *graph.Value, at []int64) ([]float64, bool) {
	n := v.Producer()
	if b.steps++; b.steps > maxBlend {
		return nil, false
	}
	if n.Is("Where") {
		return b.either(v, at)
	}
	if !n.Is("Add", "Sub", "Mul", "Div", "Sum", "Neg") {
		return nil, false
	}
	var out []float64
	for i := range n.Inputs() {
		from, ok := b.Place(v, i, at)
		if !ok {
			return nil, false
		}
		x, ok := b.elements(n.Input(i), from)
		if !ok {
			return nil, false
		}
		for k := range x {
			switch {
			case n.Is("Neg"):
				x[k] = -x[k]
			case i == 0:
			case n.Is("Sub"):
				x[k] = out[k] - x[k]
			case n.Is("Mul"):
				x[k] *= out[k]
			case n.Is("Div"):
				x[k] = out[k] / x[k]
			default:
				x[k] += out[k]
			}
		}
		out = x
	}
	return out, len(out) == len(at)
}

// either computes elements of a Where whose two operands are the same there, as
// an interpolation that is written in two ways has it.
func (b *blend) either(v *graph.Value, at []int64) ([]float64, bool) {
	var ways [2][]float64
	for i := range ways {
		from, ok := b.Place(v, i+1, at)
		if !ok {
			return nil, false
		}
		if ways[i], ok = b.elements(v.Producer().Input(i+1), from); !ok {
			return nil, false
		}
	}
	for k := range at {
		if !(math.Abs(ways[0][k]-ways[1][k]) <= blendTolerance) {
			return nil, false
		}
	}
	return ways[0], true
}

// pseudo is a number between 0.5 and 1.5 for an element of one of the maps.
func pseudo(of, at int64) float64 {
	x := uint64(of)<<56 ^ uint64(at)*0x9e3779b97f4a7c15
	x ^= x >> 31
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 29
	return 0.5 + float64(x>>11)/(1<<53)
}
