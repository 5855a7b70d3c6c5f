package passes

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// expandSequences replaces operators on sequences of tensors, as the dynamo
// exporter writes split() and chunk(), by Slice, Squeeze and Concat.
func expandSequences(s *State) error {
	sequenceAt.apply(s)
	concatFromSequence.apply(s)
	return nil
}

// element is SequenceAt(SplitToSequence(x), index): the slice [lo, hi) of x
// along an axis.
type element struct {
	split   *graph.Node
	lo, hi  int64
	squeeze bool // the element has lost the split axis
	reason  string
}

var sequenceAt = rewrite[element]{
	ops: []string{"SequenceAt"},
	match: func(n *graph.Node) (element, bool) {
		seq := n.Input(0)
		if seq == nil || !seq.Producer().Is("SplitToSequence") || unused(n) {
			return element{}, false
		}
		return elementOf(n, seq.Producer()), true
	},
	check: func(m element) string { return m.reason },
	replace: func(s *State, n *graph.Node, m element) {
		name, axis := n.Output(0).Name(), m.split.AttrInt("axis", 0)
		bound := func(what string, v int64) *graph.Value {
			return n.Graph().NewInitializer(name+"."+what, graph.Vec(v))
		}
		x := s.insert(n, "Slice", name, []*graph.Value{m.split.Input(0), bound("from", m.lo), bound("to", m.hi), bound("axis", axis)})
		if m.squeeze {
			x = s.insert(n, "Squeeze", name, []*graph.Value{x.Output(0), bound("axis", axis)})
		}
		s.supplant(n, x.Output(0))
	},
}

func elementOf(n, split *graph.Node) element {
	refuse := func(format string, args ...any) element { return element{reason: fmt.Sprintf(format, args...)} }
	index, ok := constInts(n.Input(1))
	if !ok || len(index) != 1 {
		return refuse("its index is not constant")
	}
	i := index[0]
	sizes, ok := constInts(split.Input(1))
	if split.Input(1) != nil && !ok {
		return refuse("the sizes of %v are not constant", split)
	}
	e := element{split: split}
	switch {
	case split.Input(1) == nil: // slices of one; keepdims says whether the axis stays
		e.lo, e.hi = i, i+1
		e.squeeze = split.AttrInt("keepdims", 1) == 0
	case len(split.Input(1).Const().Dims) == 0: // chunks of that size, the last may be smaller
		e.lo, e.hi = i*sizes[0], (i+1)*sizes[0]
	default:
		if i < 0 {
			i += int64(len(sizes))
		}
		if i < 0 || i >= int64(len(sizes)) {
			return refuse("its index %d is outside the %d parts", index[0], len(sizes))
		}
		for _, size := range sizes[:i] {
			e.lo += size
		}
		e.hi = e.lo + sizes[i]
	}
	if i < 0 {
		return refuse("its index %d counts from the end of a sequence of unknown length", i)
	}
	return e
}

// concatFromSequence replaces ConcatFromSequence(SequenceConstruct(x…)).
var concatFromSequence = rewrite[*graph.Node]{
	ops: []string{"ConcatFromSequence"},
	match: func(n *graph.Node) (*graph.Node, bool) {
		seq := n.Input(0)
		if seq == nil || !seq.Producer().Is("SequenceConstruct") || unused(n) {
			return nil, false
		}
		return seq.Producer(), true
	},
	check: func(seq *graph.Node) string { return "" },
	replace: func(s *State, n *graph.Node, seq *graph.Node) {
		axis, name := n.AttrInt("axis", 0), n.Output(0).Name()
		parts := seq.Inputs()
		if n.AttrInt("new_axis", 0) == 1 {
			at := n.Graph().NewInitializer(name+".axis", graph.Vec(axis))
			var stacked []*graph.Value
			for _, x := range parts {
				stacked = append(stacked, s.insert(n, "Unsqueeze", x.Name(), []*graph.Value{x, at}).Output(0))
			}
			parts = stacked
		}
		cat := s.insert(n, "Concat", name, parts, graph.Int("axis", axis))
		s.supplant(n, cat.Output(0))
	},
}
