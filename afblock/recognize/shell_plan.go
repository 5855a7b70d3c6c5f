package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// plan is how constants of a source change, each where it is read, so that the
// source fits another T or another number of classes.
type plan struct {
	inputs map[use]*graph.Tensor
	attrs  map[*graph.Node][]*graph.Attribute
}

// use is an input of a node. Exporters and simplifiers share constants: a 4 may
// be an axis for one reader and T for the next.
type use struct {
	node  *graph.Node
	index int
}

// site is a number in a source that may speak of T, or of the classes: an
// element of a constant where a node reads it, or of an attribute.
type site struct {
	use
	attr  string // "": the input's constant
	index int
	now   int64
	by    float32 // now as a floating-point constant, T or 1/T; 0: an integer
	to    []int64 // what it may become, itself first
}

// maxPlans bounds the ways to change the numbers that are tried.
const maxPlans = 256

// counts lists the inputs of operators that say how much there is of something:
// sizes, repetitions, bounds. Other integers are axes and places among a shape's
// elements, which stay what they are for any T.
var counts = map[string][]int{
	"Reshape": {0, 1}, "Expand": {0, 1}, "Tile": {1}, "ConstantOfShape": {0}, "Split": {1}, "Range": {0, 1}, "Slice": {1, 2},
	"Pad": {1}, "Resize": {3}, "OneHot": {1}, "TopK": {1}, "Concat": nil, "Add": nil, "Sub": nil, "Mul": nil, "Div": nil, "Mod": nil, "Min": nil,
	"Max": nil, "Equal": nil, "Where": {1, 2}, "Unsqueeze": {0}, "Squeeze": {0}, "Cast": {0}, "Identity": {0}, "Gather": {0}, "ScatterND": {2},
	"Less": nil, "Greater": nil, "Neg": nil, "Trilu": {1},
}

// speaksOfSizes reports whether a node reads sizes as its input i. Bounds of a
// slice of a shape are axes.
func speaksOfSizes(n *graph.Node, i int) bool {
	inputs, ok := counts[n.OpType]
	if !ok || !n.Is(n.OpType) || inputs != nil && !slices.Contains(inputs, i) {
		return false
	}
	return !n.Is("Slice") || len(n.Input(0).Type.Shape) != 1
}

// sites lists the numbers of the region between from and to that another T or
// number of classes may change.
func (s *Shell) sites(from, to *graph.Value, t int, classes [2]int64) []*site {
	var list []*site
	old := int64(s.frames)
	options := func(now int64) []int64 {
		opts := []int64{now}
		if t != s.frames && now > 0 && now%old == 0 && (old > 1 || now == 1) {
			opts = append(opts, now/old*int64(t))
		}
		if classes[0] != classes[1] && now == classes[0] {
			opts = append(opts, classes[1])
		}
		return opts
	}
	add := func(s site) {
		if s.to == nil {
			s.to = options(s.now)
		}
		if len(s.to) > 1 {
			list = append(list, &s)
		}
	}
	for _, n := range between(from, to) {
		for i, v := range n.Inputs() {
			c := v.Const()
			if c == nil || dataflow.Elements(c.Dims) > 16 {
				continue
			}
			switch {
			case c.DType == graph.Int64 && speaksOfSizes(n, i):
				x, err := c.Int64s()
				if err != nil {
					continue
				}
				for k, now := range x {
					add(site{use: use{n, i}, index: k, now: now})
				}
			case c.DType == graph.Float32 && dataflow.Elements(c.Dims) == 1 && t != s.frames && n.Is("Mul", "Div"):
				x, err := c.Float32s()
				if err == nil && (x[0] == float32(old) || x[0] == 1/float32(old)) {
					add(site{use: use{n, i}, by: x[0], now: old, to: []int64{old, int64(t)}})
				}
			}
		}
		for _, name := range []string{"kernel_shape", "strides"} {
			for k, now := range n.AttrInts(name) {
				add(site{use: use{n, -1}, attr: name, index: k, now: now})
			}
		}
	}
	return list
}

// between lists the nodes that to needs and that stand behind from, or behind
// the graph's input where from is nil.
func between(from, to *graph.Value) []*graph.Node {
	var list []*graph.Node
	seen := map[*graph.Node]bool{}
	work := []*graph.Value{to}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if v == nil || v == from || v.Producer() == nil || seen[v.Producer()] {
			continue
		}
		seen[v.Producer()] = true
		list = append(list, v.Producer())
		work = append(work, v.Producer().Inputs()...)
	}
	return list
}

// planOf makes the plan in which site i takes the option picked.
func planOf(sites []*site, pick []int) *plan {
	p := &plan{map[use]*graph.Tensor{}, map[*graph.Node][]*graph.Attribute{}}
	for i, s := range sites {
		to := s.to[pick[i]]
		if to == s.now {
			continue
		}
		if s.attr != "" {
			at := slices.IndexFunc(p.attrs[s.node], func(a *graph.Attribute) bool { return a.Name == s.attr })
			if at < 0 {
				at = len(p.attrs[s.node])
				p.attrs[s.node] = append(p.attrs[s.node], graph.Ints(s.attr, slices.Clone(s.node.AttrInts(s.attr))...))
			}
			p.attrs[s.node][at].Ints[s.index] = to
			continue
		}
		t := p.inputs[s.use]
		if t == nil {
			t = s.node.Input(s.use.index).Const()
		}
		if s.by != 0 {
			f := float32(to)
			if s.by < 1 {
				f = 1 / f
			}
			p.inputs[s.use] = graph.Float32s(t.Dims, f)
			continue
		}
		x, err := t.Int64s()
		if err != nil {
			continue // sites were read from it, so it can be read
		}
		x = slices.Clone(x)
		x[s.index] = to
		p.inputs[s.use] = graph.Int64s(t.Dims, x...)
	}
	return p
}

// firstPlan tries ways to change the sites, those that change every number
// equal to T or to the classes first, and returns the first that holds.
func firstPlan(sites []*site, frames int, holds func(*plan) bool) *plan {
	var tried [][]int
	try := func(pick []int) *plan {
		if slices.ContainsFunc(tried, func(t []int) bool { return slices.Equal(t, pick) }) {
			return nil
		}
		tried = append(tried, slices.Clone(pick))
		if p := planOf(sites, pick); holds(p) {
			return p
		}
		return nil
	}
	exact, all := make([]int, len(sites)), make([]int, len(sites))
	for i, s := range sites {
		all[i] = len(s.to) - 1
		if s.now == int64(frames) || len(s.to) == 2 && s.now%int64(frames) != 0 {
			exact[i] = len(s.to) - 1
		}
	}
	for _, pick := range [][]int{exact, all} {
		if p := try(pick); p != nil {
			return p
		}
	}
	pick := make([]int, len(sites))
	for len(tried) < maxPlans {
		if p := try(pick); p != nil {
			return p
		}
		i := 0
		for ; i < len(pick); i++ { // count up, each site a digit
			if pick[i]++; pick[i] < len(sites[i].to) {
				break
			}
			pick[i] = 0
		}
		if i == len(pick) {
			return nil
		}
	}
	return nil
}

// prefixPlan finds how the prefix changes for clips of t frames: so that the
// frames still reach the stem in order. nil: it does not.
func (s *Shell) prefixPlan(t int) (*plan, error) {
	if t == s.frames {
		return nil, nil
	}
	if _, err := s.inputShape(t); err != nil {
		return nil, err
	}
	trials := s.prefixTrials(t)
	p := firstPlan(s.sites(nil, s.in, t, [2]int64{}), s.frames, func(p *plan) bool {
		return !slices.ContainsFunc(trials, func(want prefixLook) bool {
			got, ok := s.lookAtPrefix(t, p, want.size)
			return !ok || !slices.Equal(got.stem, want.stem) || got.view != want.view
		})
	})
	if p == nil {
		return nil, fmt.Errorf("%s: afc found no way to change the %d frames before the stem to %d: convert with %d frames, or export the source with %d", s.in.Producer(), s.frames, t, s.frames, t)
	}
	return p, nil
}

// prefixLook is what the stem reads where the input has a size.
type prefixLook struct {
	size clipSizes
	stem []int64
	view inputView
}

// otherSizes are sizes of clips of t frames that are unlike each other, unlike T
// of the source and t, and unlike the channels: no number can stand in for
// another by chance. Heights and widths suit a ResNet.
func (s *Shell) otherSizes(t int) clipSizes {
	var primes []int64
	for n := int64(61); len(primes) < 3; n++ {
		if prime(n) && n != int64(t) && n != int64(s.frames) && !slices.Contains(s.inDims, n) && !slices.Contains(s.outDims, n) {
			primes = append(primes, n)
		}
	}
	return clipSizes{3, int64(t), primes[0], primes[2]}
}

func prime(n int64) bool {
	for d := int64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// prefixTrials lists what a prefix changed for t frames must do at several
// sizes: as the source does there, with its own T. A source that reads some
// sizes otherwise than recognition saw it (they are baked in) is not asked there.
func (s *Shell) prefixTrials(t int) []prefixLook {
	var list []prefixLook
	usual := probeSizes(int64(s.frames))
	usual.clips = s.clips
	for i, size := range []clipSizes{usual, s.otherSizes(t)} {
		size.frames = int64(s.frames)
		l, ok := s.lookAtPrefix(s.frames, nil, size)
		if !ok || l.view != s.viewOf(s.frames) {
			if i > 0 {
				continue
			}
			l = prefixLook{stem: slices.Clone(s.inDims)}
		}
		l.size, l.view = size, s.viewOf(t)
		l.size.frames = int64(t)
		l.stem[0] = l.stem[0] / int64(s.frames) * int64(t)
		list = append(list, l)
	}
	return list
}

// viewOf is how the input of clips of t frames becomes what the stem reads.
func (s *Shell) viewOf(t int) inputView {
	view := inputView{s.layout, s.segments / s.frames * t}
	switch { // [N, 3, H, W] is both
	case view.layout == afblock.LayoutChannels && view.segments == 1:
		view = inputView{afblock.LayoutFrames, 0}
	case view.layout == afblock.LayoutChannelsLast && view.segments == 1:
		view = inputView{afblock.LayoutFramesLast, 0}
	}
	return view
}

// lookAtPrefix reads the prefix, changed by a plan for t frames, at a size.
func (s *Shell) lookAtPrefix(t int, p *plan, size clipSizes) (prefixLook, bool) {
	m := graph.NewModel("prefix", s.model.IRVersion, s.model.Opset(""))
	in, err := s.copyPrefix(m.Graph, t, p)
	if err != nil {
		return prefixLook{}, false
	}
	m.Graph.AddOutput(in)
	r := &recognizer{Analysis: dataflow.Analyze(m, s.clipDims(t, size)), net: &afblock.Network{}}
	out := r.Model.Graph.Outputs()[0]
	d := r.Dims(out)
	if len(d) != 4 {
		return prefixLook{}, false
	}
	return prefixLook{size, slices.Clone(d), r.view(out)}, true
}

// clipDims are the input's dimensions for clips of t frames at a size, by its
// name.
func (s *Shell) clipDims(t int, size clipSizes) map[string][]int64 {
	shape, err := s.inputShape(t)
	if err != nil {
		return nil
	}
	return map[string][]int64{s.clipInput().Name(): axesOf(s.model, shape).dims(size)}
}

// suffixPlan finds how the suffix changes for the network's T and classes: so
// that it still computes the same consensus. It fails where no change does.
func (s *Shell) suffixPlan(net *afblock.Network) (*plan, error) {
	classes := [2]int64{s.classes, net.Head.FC.Weight.Dims[0]}
	if net.Frames == s.frames && classes[0] == classes[1] {
		return nil, nil
	}
	list := s.sites(s.out, s.fc.Input(0), net.Frames, classes)
	list = append(list, s.sites(s.scores, s.answer, net.Frames, classes)...)
	sizes := s.suffixSizes(net.Frames)
	if p := firstPlan(list, s.frames, func(p *plan) bool {
		return !slices.ContainsFunc(sizes, func(size clipSizes) bool { return !s.suffixHolds(net.Frames, &net.Head, p, size) })
	}); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: afc found no way to change the head from %d frames and %d classes to %d and %d",
		s.fc, s.frames, classes[0], net.Frames, classes[1])
}

// suffixSizes lists the sizes at which a changed suffix is looked at: those at
// which the source's own holds.
func (s *Shell) suffixSizes(t int) []clipSizes {
	usual, other := probeSizes(int64(s.frames)), s.otherSizes(t)
	usual.clips = s.clips
	sizes := []clipSizes{usual}
	if s.suffixHolds(s.frames, &s.head, nil, other) {
		sizes = append(sizes, other)
	}
	return sizes
}

// suffixHolds reports whether the suffix, changed by a plan, has the head's
// consensus over clips of t frames of a size.
func (s *Shell) suffixHolds(t int, head *afblock.Head, p *plan, size clipSizes) bool {
	m := graph.NewModel("suffix", s.model.IRVersion, s.model.Opset(""))
	clip := s.clipInput()
	dims := slices.Clone(s.outDims)
	dims[0] = dims[0] / int64(s.frames) * int64(t)
	if size.clips != s.clips {
		axes := axesOf(s.model, clip.Type.Shape)
		if axes.openBatch() {
			dims[0] = dims[0] / s.clips * size.clips
		}
		if axes.openImage() {
			dims[2], dims[3] = 3, 5 // too small for what bakes the usual size in, which then is not asked here
		}
	}
	x := m.Graph.AddInput("afc.trunk", graph.TensorType(s.out.Type.Elem, graph.ShapeOf(dims...)))
	m.Graph.AddInput(clip.Name(), graph.TensorType(clip.Type.Elem, graph.ShapeOf(s.clipDims(t, size)[clip.Name()]...)))
	out, err := s.copySuffix(m.Graph, x, head, p)
	if err != nil {
		return false
	}
	m.Graph.AddOutput(out)
	r := &recognizer{Analysis: dataflow.Analyze(m, nil), net: &afblock.Network{}}
	got, err := r.head(r.Model.Graph.Inputs()[0])
	if err != nil {
		return false
	}
	want := s.averaged
	if want > 1 || head.Consensus != afblock.PerFrame {
		want = want / s.frames * t
	}
	return got.averaged == want && r.net.Head.Consensus == head.Consensus && r.net.Head.Softmax == head.Softmax
}

// consensusOfOne tells a mean over the one frame that the source was exported
// with, which looks like none, from none: by what the suffix makes of two.
func (s *Shell) consensusOfOne() afblock.Consensus {
	for _, c := range []afblock.Consensus{afblock.MeanAfterFC, afblock.MeanBeforeFC} {
		net := &afblock.Network{Frames: 2, Head: s.head}
		net.Head.Consensus = c
		if _, err := s.suffixPlan(net); err == nil {
			return c
		}
	}
	return afblock.PerFrame
}
