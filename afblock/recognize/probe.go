package recognize

import (
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// probe is a model looked at with its inputs at one concrete size, so that
// every shape in it is a number and shape arithmetic can be computed. It
// answers two questions about any value: what constant it is, and where its
// elements come from (trace).
type probe struct {
	model  *graph.Model                    // a copy of the model under recognition
	consts map[*graph.Value]*graph.Tensor  // memo of constant; nil: not a constant
	live   map[*graph.Node]bool            // nodes that the outputs depend on
	opaque map[*graph.Value]bool           // memo of computed: the value is no mere movement
	cells  map[*graph.Tensor][]float32     // decoded constants that trace reads
	rows   map[*graph.Node]map[int64]int64 // memo of scattered
	budget int64                           // steps that trace may still take
	depth  int                             // of the recursion in trace, constant and run

	weights int64 // bytes of the model's constants
}

// traceBudget bounds the elements that one recognition follows. TSM-ResNet50
// on 32 clips of 8 frames takes some 10⁸.
const traceBudget = 400_000_000

// maxDepth bounds the nodes that trace, constant and run follow one behind the
// other, which a hostile file could make a million, or a circle.
const maxDepth = 10_000

// maxConstant is the largest constant, in elements, that a probe computes.
// Weights that an exporter left transposed or cast reach some 10⁷.
const maxConstant = 1 << 24

// newProbe copies the model and gives its inputs the dimensions listed.
func newProbe(m *graph.Model, inputs map[string][]int64) *probe {
	p := &probe{
		model:  m.Clone(),
		consts: map[*graph.Value]*graph.Tensor{},
		opaque: map[*graph.Value]bool{},
		cells:  map[*graph.Tensor][]float32{},
		rows:   map[*graph.Node]map[int64]int64{},
		budget: traceBudget,
	}
	g := p.model.Graph
	for _, v := range slices.Clone(g.Inputs()) {
		if dims, ok := inputs[v.Name()]; ok {
			// An input of the graph, so the call cannot fail.
			_ = op.SetInputShape(p.model, v.Name(), graph.ShapeOf(dims...))
		}
	}
	p.weights = constantBytes(g)
	sequencesToSlices(g)
	op.Infer(p.model)
	p.live = liveNodes(g)
	return p
}

// constantBytes adds up the initializers of a graph and its Constant nodes'
// values.
func constantBytes(g *graph.Graph) int64 {
	var sum int64
	count := func(t *graph.Tensor) {
		if n, err := t.NumBytes(); err == nil {
			sum += n
		}
	}
	for _, v := range g.Initializers() {
		count(v.Initializer())
	}
	for n := range g.Nodes() {
		if c := n.Output(0).Const(); n.Is("Constant") && c != nil {
			count(c)
		}
	}
	return sum
}

// sequencesToSlices rewrites what SplitToSequence makes and SequenceAt takes
// (torch.export's split_with_sizes, unoptimised) as slices, so that nothing
// behind needs to know sequences.
func sequencesToSlices(g *graph.Graph) {
	for n := range g.Nodes() {
		if !n.Is("SequenceAt") || n.Input(0) == nil || n.Output(0) == nil || !n.Input(0).Producer().Is("SplitToSequence") {
			continue
		}
		split := n.Input(0).Producer()
		from, to, ok := piece(split, n.Input(1))
		if !ok || n.Output(0).IsOutput() {
			continue
		}
		slice := g.NewNode("Slice", "", []*graph.Value{split.Input(0),
			g.NewInitializer("from", graph.Vec(from)), g.NewInitializer("to", graph.Vec(to)),
			g.NewInitializer("axis", graph.Vec(split.AttrInt("axis", 0)))}, 1)
		g.MoveBefore(slice, n)
		old, name := n.Output(0), n.Output(0).Name()
		old.ReplaceAllUses(slice.Output(0))
		old.Rename(g.NewName(name)) // the copy's values go by the names of the model's
		slice.Output(0).Rename(name)
	}
}

// piece returns the run that element which of a SplitToSequence takes of its
// input's axis.
func piece(split *graph.Node, which *graph.Value) (from, to int64, ok bool) {
	sizes, index := split.Input(1).Const(), which.Const()
	if sizes == nil || index == nil || split.AttrInt("keepdims", 1) == 0 {
		return 0, 0, false
	}
	size, err1 := sizes.Int64s()
	k, err2 := index.Int64s()
	if err1 != nil || err2 != nil || len(k) != 1 || k[0] < 0 || len(size) == 0 {
		return 0, 0, false
	}
	if len(sizes.Dims) == 0 { // pieces of one size
		return k[0] * size[0], (k[0] + 1) * size[0], size[0] > 0
	}
	if k[0] >= int64(len(size)) {
		return 0, 0, false
	}
	for _, s := range size[:k[0]] {
		from += s
	}
	return from, from + size[k[0]], true
}

// liveNodes returns the nodes of g that its outputs depend on.
func liveNodes(g *graph.Graph) map[*graph.Node]bool {
	live := map[*graph.Node]bool{}
	var visit func(v *graph.Value)
	work := slices.Clone(g.Outputs())
	visit = func(v *graph.Value) {
		if v != nil && v.Producer() != nil && !live[v.Producer()] {
			live[v.Producer()] = true
			work = append(work, v)
		}
	}
	for _, v := range g.Outputs() {
		visit(v)
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		n := v.Producer()
		if n == nil {
			continue
		}
		for _, in := range n.Inputs() {
			visit(in)
		}
		for _, sub := range n.Subgraphs() {
			for inner := range sub.Nodes() {
				for _, in := range inner.Inputs() {
					visit(in)
				}
			}
			for _, o := range sub.Outputs() {
				visit(o)
			}
		}
	}
	return live
}

// dims returns a value's sizes, nil if not all are known.
func (p *probe) dims(v *graph.Value) []int64 {
	if v == nil {
		return nil
	}
	if t := v.Initializer(); t != nil {
		return shapeDims(t.Dims)
	}
	if v.Type.Shape.Static() {
		return shapeDims(v.Type.Shape.Dims())
	}
	if t, ok := p.consts[v]; ok && t != nil {
		return shapeDims(t.Dims)
	}
	return nil
}

// shapeDims makes a scalar's dimensions distinct from unknown ones.
func shapeDims(d []int64) []int64 {
	if d == nil {
		return []int64{}
	}
	return d
}

// constant returns what v holds if it does not depend on the model's inputs'
// elements (their shapes it may depend on), else nil. Initializers that are
// also inputs count as constants: their default is what the network is.
func (p *probe) constant(v *graph.Value) *graph.Tensor {
	if v == nil {
		return nil
	}
	if t := v.Initializer(); t != nil {
		return t
	}
	if t := v.Const(); t != nil {
		return t
	}
	if t, done := p.consts[v]; done {
		return t
	}
	p.consts[v] = nil // an answer for a cycle, which Check would refuse
	if p.depth >= maxDepth {
		return nil
	}
	p.depth++
	defer func() { p.depth-- }()
	t := p.compute(v)
	p.consts[v] = t
	return t
}

// compute evaluates the node behind v if its inputs are constants and its
// result is small enough.
func (p *probe) compute(v *graph.Value) *graph.Tensor {
	n := v.Producer()
	if n == nil {
		return nil
	}
	switch {
	case n.Is("Identity"):
		return p.constant(n.Input(0))
	case n.Is("Shape"):
		return p.shapeOf(n)
	case n.Is("Size"):
		if d := p.dims(n.Input(0)); d != nil {
			return graph.Int64s(nil, elements(d))
		}
		return nil
	}
	if !op.CanEval(n) || n.Is("Conv", "ConvTranspose") { // no exporter leaves these on constants; they cost most
		return nil
	}
	if d := p.dims(v); d != nil && elements(d) > maxConstant {
		return nil
	}
	in := make([]*graph.Tensor, len(n.Inputs()))
	for i, iv := range n.Inputs() {
		if iv == nil {
			continue
		}
		if in[i] = p.constant(iv); in[i] == nil && n.Is("CastLike") && i == 1 {
			in[i] = zeroOf(iv.Type.Elem) // only its type counts
		}
		if in[i] == nil {
			return nil
		}
	}
	out, err := op.Eval(n, in)
	if err != nil || v.ProducerIndex() >= len(out) {
		return nil
	}
	return out[v.ProducerIndex()]
}

// zeroOf is a scalar zero of a type, nil where the type has no whole bytes.
func zeroOf(elem graph.DataType) *graph.Tensor {
	t, err := graph.NewTensor(elem, nil, make([]byte, elem.Size()))
	if err != nil {
		return nil
	}
	return t
}

// shapeOf is operator Shape on a value whose sizes are known.
func (p *probe) shapeOf(n *graph.Node) *graph.Tensor {
	d := p.dims(n.Input(0))
	if d == nil {
		return nil
	}
	rank := int64(len(d))
	clamp := func(i int64) int64 {
		if i < 0 {
			i += rank
		}
		return min(max(i, 0), rank)
	}
	from, to := clamp(n.AttrInt("start", 0)), clamp(n.AttrInt("end", rank))
	return graph.Vec(d[from:max(from, to)]...)
}

// ints returns the elements of a constant integer value.
func (p *probe) ints(v *graph.Value) ([]int64, bool) {
	t := p.constant(v)
	if t == nil {
		return nil, false
	}
	x, err := t.Int64s()
	return x, err == nil
}

// elements multiplies dimensions; it stops short of overflow.
func elements(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		if d <= 0 {
			return 0
		}
		if n > (1<<62)/d {
			return 1 << 62
		}
		n *= d
	}
	return n
}
