package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Reshift writes a temporal shift that stands in a graph anew, in few operators:
// v is x shifted within clips of so many frames, both float32 [N·T, C, H, W], and
// what reads v reads what is written instead, but for outputs of the graph. Where
// all readers are convolutions, only the channels that move are shifted, and each
// convolution gets one of these beside it and skips them itself, so that the map
// stays in ONNX Runtime's blocked layout. It returns the nodes made.
func Reshift(v, x *graph.Value, s *afblock.Shift, frames int) []*graph.Node {
	r := &reshifter{builder: newBuilder(x.Graph(), &Options{}), from: v, frames: frames, shift: s}
	r.avoid(x.Graph())
	r.x = feature{v: x, c: dimension(x, 1), h: dimension(x, 2), w: dimension(x, 3)}
	if uses := slices.Clone(v.Uses()); slices.ContainsFunc(uses, func(u graph.Use) bool { return !r.divides(u) }) {
		r.whole(uses)
	} else {
		r.beside(uses)
	}
	return r.made
}

// reshifter writes one shift anew.
type reshifter struct {
	*builder
	from   *graph.Value // the shift as it stands
	x      feature      // what it shifts
	shift  *afblock.Shift
	frames int
	made   []*graph.Node
}

// avoid keeps names of subgraphs from being given again.
func (b *builder) avoid(g *graph.Graph) {
	for sub := range g.AllGraphs() {
		for _, v := range slices.Concat(sub.Inputs(), sub.Initializers()) {
			b.taken[v.Name()] = true
		}
		for n := range sub.Nodes() {
			for _, v := range n.Outputs() {
				b.taken[v.String()] = true
			}
		}
	}
}

// dimension is a value's size along an axis, 0 where it is open.
func dimension(v *graph.Value, axis int) int {
	if d := v.Type.Shape[axis]; d.Known() {
		return int(d.Size)
	}
	return 0
}

// divides reports whether a reader of the shift is a convolution that can read
// what moves apart from the rest.
func (r *reshifter) divides(u graph.Use) bool {
	n := u.Node
	if !n.Is("Conv") || n.Graph() != r.g || u.Index != 0 || n.AttrInt("group", 1) != 1 || n.Output(0) == nil {
		return false
	}
	w := n.Input(1).Const()
	if w == nil || w.DType != graph.Float32 || len(w.Dims) != 4 || w.Dims[1] != int64(r.x.c) {
		return false
	}
	_, err := w.Bytes()
	return err == nil
}

// whole shifts the map as one.
func (r *reshifter) whole(uses []graph.Use) {
	var y feature
	r.place(func() { y = r.builder.shift(r.x, r.shift, r.frames, r.from.Name()+".shift") })
	for _, u := range uses {
		u.Node.SetInput(u.Index, y.v)
	}
}

// beside shifts what moves, and gives each convolution one of it.
func (r *reshifter) beside(uses []graph.Use) {
	var parts stream
	r.place(func() {
		parts = r.splitShift(streamOf(r.x), &afblock.Block{Key: r.from.Name(), Shift: r.shift}, r.frames)
	})
	for _, u := range uses {
		r.divide(u.Node, parts)
	}
}

// place runs what emits the shift, and puts the nodes where the shift stood.
func (r *reshifter) place(emit func()) {
	var last *graph.Node
	for last = range r.g.NodesBackward() {
		break
	}
	emit()
	for n := last.Next(); n != nil; n = last.Next() {
		r.g.MoveBefore(n, r.from.Producer())
		r.made = append(r.made, n)
	}
}

// divide makes a convolution one of the channels that stay, and adds one of those
// that moved.
func (r *reshifter) divide(n *graph.Node, parts stream) {
	weight := conv{key: n.Output(0).Name(), weight: param{n.Input(1).Name(), n.Input(1).Const()}}
	kernel := func(p piece) *graph.Value {
		k := weight.inputs(p).weight
		return r.g.NewInitializer(k.name, k.tensor)
	}
	if len(parts) == 1 {
		n.SetInput(0, parts[0].v) // every channel moves
		return
	}
	var attrs []*graph.Attribute
	for _, a := range n.Attrs() {
		same := *a
		attrs = append(attrs, &same)
	}
	moved := r.node("Conv", weight.key+".moved", in(parts[0].v, kernel(parts[0])), attrs...)
	r.g.MoveBefore(moved.Producer(), n)
	n.SetInput(0, parts[1].v)
	n.SetInput(1, kernel(parts[1]))
	y := n.Output(0)
	sum := r.node("Add", weight.key+".sum", in(moved, moved))
	r.g.MoveAfter(sum.Producer(), n)
	sum.Type = y.Type
	y.ReplaceAllUses(sum)
	sum.Producer().SetInput(0, y)
	r.made = append(r.made, moved.Producer(), sum.Producer())
}
