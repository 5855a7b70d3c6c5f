package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// plan is how constants of a source change so that it fits another T or
// another number of classes.
type plan struct {
	consts map[*graph.Value]*graph.Tensor
	attrs  map[*graph.Node][]*graph.Attribute
}

// site is a number in a source that may speak of T, or of the classes: an
// element of a constant, or of an attribute.
type site struct {
	value *graph.Value // a constant's; nil: an attribute
	node  *graph.Node
	attr  string
	index int
	now   int64
	by    float32 // now as a floating-point constant, T or 1/T; 0: an integer
	to    []int64 // what it may become, itself first
}

// maxPlans bounds the ways to change the numbers that are tried.
const maxPlans = 256

// sites lists the numbers of the region between from and to that another T or
// number of classes may change.
func (s *Shell) sites(from, to *graph.Value, t int, classes [2]int64) []*site {
	var list []*site
	old := int64(s.frames)
	options := func(now int64) []int64 {
		opts := []int64{now}
		if t != s.frames && now > 0 && now%old == 0 {
			opts = append(opts, now/old*int64(t))
		}
		if classes[0] != classes[1] && now == classes[0] {
			opts = append(opts, classes[1])
		}
		return opts
	}
	seen := map[*graph.Value]bool{}
	for _, n := range between(from, to) {
		for _, v := range n.Inputs() {
			c := v.Const()
			if c == nil || seen[v] || elements(c.Dims) > 16 {
				continue
			}
			seen[v] = true
			if c.DType == graph.Int64 {
				x, err := c.Int64s()
				if err != nil {
					continue
				}
				for i, k := range x {
					if o := options(k); len(o) > 1 {
						list = append(list, &site{value: v, index: i, now: k, to: o})
					}
				}
			} else if c.DType == graph.Float32 && elements(c.Dims) == 1 && t != s.frames {
				x, err := c.Float32s()
				if err == nil && (x[0] == float32(old) || x[0] == 1/float32(old)) {
					list = append(list, &site{value: v, by: x[0], now: old, to: []int64{old, int64(t)}})
				}
			}
		}
		for _, name := range []string{"kernel_shape", "strides"} {
			for i, k := range n.AttrInts(name) {
				if o := options(k); len(o) > 1 {
					list = append(list, &site{node: n, attr: name, index: i, now: k, to: o})
				}
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

// choose makes the plan in which site i takes the option picked.
func choose(sites []*site, pick []int) *plan {
	p := &plan{map[*graph.Value]*graph.Tensor{}, map[*graph.Node][]*graph.Attribute{}}
	for i, s := range sites {
		to := s.to[pick[i]]
		if to == s.now {
			continue
		}
		if s.value == nil {
			at := slices.IndexFunc(p.attrs[s.node], func(a *graph.Attribute) bool { return a.Name == s.attr })
			if at < 0 {
				at = len(p.attrs[s.node])
				p.attrs[s.node] = append(p.attrs[s.node], graph.Ints(s.attr, slices.Clone(s.node.AttrInts(s.attr))...))
			}
			p.attrs[s.node][at].Ints[s.index] = to
			continue
		}
		t := p.consts[s.value]
		if t == nil {
			t = s.value.Const()
		}
		if s.by != 0 {
			f := float32(to)
			if s.by < 1 {
				f = 1 / f
			}
			p.consts[s.value] = graph.Float32s(t.Dims, f)
			continue
		}
		x, err := t.Int64s()
		if err != nil {
			continue // sites were read from it, so it can be read
		}
		x = slices.Clone(x)
		x[s.index] = to
		p.consts[s.value] = graph.Int64s(t.Dims, x...)
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
		if p := choose(sites, pick); holds(p) {
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
	p := firstPlan(s.sites(nil, s.in, t, [2]int64{}), s.frames, func(p *plan) bool { return s.prefixHolds(t, p) })
	if p == nil {
		return nil, fmt.Errorf("%s: afc found no way to change the %d frames before the stem to %d: convert with %d frames, or export the source with %d", s.in.Producer(), s.frames, t, s.frames, t)
	}
	return p, nil
}

func (s *Shell) prefixHolds(t int, p *plan) bool {
	m := graph.NewModel("prefix", s.model.IRVersion, s.model.Opset(""))
	in, err := s.copyPrefix(m.Graph, t, p)
	if err != nil {
		return false
	}
	m.Graph.AddOutput(in)
	clip := m.Graph.Inputs()[0]
	dims := slices.Clone(s.clipDims)
	dims[s.axis] = dims[s.axis] / int64(s.frames) * int64(t)
	r := &recognizer{probe: newProbe(m, map[string][]int64{clip.Name(): dims}), net: &afblock.Network{}}
	out := r.model.Graph.Outputs()[0]
	want := slices.Clone(s.inDims)
	want[0] = want[0] / int64(s.frames) * int64(t)
	if !slices.Equal(r.dims(out), want) {
		return false
	}
	view := inputView{s.layout, s.axis, s.segments / s.frames * t}
	if view.layout == afblock.LayoutChannels && view.segments == 1 {
		view = inputView{afblock.LayoutFrames, 0, 0} // [N, 3, H, W] is both
	}
	return r.view(out) == view
}

// suffixPlan finds how the suffix changes for the network's T and classes: so
// that it still computes the same consensus. It fails where no change does.
func (s *Shell) suffixPlan(net *afblock.Network) (*plan, error) {
	classes := [2]int64{s.classes, net.Head.Weight.Dims[0]}
	if net.Frames == s.frames && classes[0] == classes[1] {
		return nil, nil
	}
	list := s.sites(s.out, s.fc.Input(0), net.Frames, classes)
	list = append(list, s.sites(s.scores, s.answer, net.Frames, classes)...)
	if p := firstPlan(list, s.frames, func(p *plan) bool { return s.suffixHolds(net, p) }); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: afc found no way to change the head from %d frames and %d classes to %d and %d",
		s.fc, s.frames, classes[0], net.Frames, classes[1])
}

func (s *Shell) suffixHolds(net *afblock.Network, p *plan) bool {
	m := graph.NewModel("suffix", s.model.IRVersion, s.model.Opset(""))
	dims := slices.Clone(s.outDims)
	dims[0] = dims[0] / int64(s.frames) * int64(net.Frames)
	x := m.Graph.AddInput("trunk", graph.TensorType(s.out.Type.Elem, graph.ShapeOf(dims...)))
	out, err := s.copySuffix(m.Graph, x, &net.Head, p)
	if err != nil {
		return false
	}
	m.Graph.AddOutput(out)
	r := &recognizer{probe: newProbe(m, nil), net: &afblock.Network{}}
	got, err := r.head(r.model.Graph.Inputs()[0])
	if err != nil {
		return false
	}
	want := s.averaged
	if want > 1 {
		want = want / s.frames * net.Frames
	}
	return got.averaged == want && r.net.Head.Consensus == net.Head.Consensus && r.net.Head.Softmax == net.Head.Softmax
}
