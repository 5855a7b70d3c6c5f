package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// eliminateNoops lets readers pass by nodes that give back what they read:
// Identity, Dropout in inference, Cast to the same type, Reshape, Expand,
// Transpose, Slice, Pad, Concat and Sum that change nothing. Where a node's
// input and result types decide, both must be known. The nodes are left dead
// for dead-code.
func eliminateNoops(s *State) error {
	noops.apply(s)
	return nil
}

// noops passes by a node: m is the value its readers shall read.
var noops = rewrite[passBy]{
	ops: []string{"Identity", "Dropout", "Cast", "Reshape", "Flatten", "Expand", "Transpose", "Slice", "Pad", "Concat",
		"Sum", "Max", "Min", "Mean", "Unsqueeze", "Squeeze"},
	match: func(n *graph.Node) (passBy, bool) {
		out := n.Output(0)
		return passBy{out, n.Input(0)}, out != nil && n.Input(0) != nil && out.NumUses() > 0 && changesNothing(n)
	},
	check: func(m passBy) string { return canReplace(m.old, m.new) },
	replace: func(s *State, n *graph.Node, m passBy) {
		replace(m.old, m.new)
	},
}

type passBy struct{ old, new *graph.Value }

func changesNothing(n *graph.Node) bool {
	in, out := n.Input(0), n.Output(0)
	switch n.OpType {
	case "Identity":
		return true
	case "Dropout":
		return dropoutIsIdentity(n)
	case "Cast":
		return in.Type.Elem != graph.Undefined && in.Type.Elem == graph.DataType(n.AttrInt("to", 0))
	case "Reshape", "Flatten", "Expand", "Unsqueeze", "Squeeze":
		return sameShape(in, out)
	case "Transpose":
		perm := n.AttrInts("perm")
		return perm != nil && slices.IsSorted(perm)
	case "Slice":
		return sameShape(in, out) && positiveSteps(n)
	case "Pad":
		pads, ok := constInts(n.Input(1))
		return ok && !slices.ContainsFunc(pads, func(p int64) bool { return p != 0 })
	case "Concat", "Sum", "Max", "Min", "Mean":
		return len(n.Inputs()) == 1
	}
	panic("BUG: no rule for " + n.OpType)
}

// dropoutIsIdentity reports whether a Dropout does nothing: nobody reads its
// mask and it is not in training mode, or drops nothing.
func dropoutIsIdentity(n *graph.Node) bool {
	if mask := n.Output(1); mask != nil && mask.NumUses() > 0 {
		return false
	}
	training := n.Input(2)
	if training == nil {
		return true
	}
	mode, ok := constInts(training)
	return ok && len(mode) == 1 && mode[0] == 0
}

// sameShape reports whether both shapes are known to be equal, size by size;
// the same symbol is the same size.
func sameShape(a, b *graph.Value) bool {
	x, y := a.Type.Shape, b.Type.Shape
	return x.Ranked() && y.Ranked() && slices.EqualFunc(x, y, func(d, e graph.Dim) bool {
		return d == e && (d.Known() || d.Param != "")
	})
}

func positiveSteps(n *graph.Node) bool {
	if n.Input(4) == nil {
		return true
	}
	steps, ok := constInts(n.Input(4))
	return ok && !slices.ContainsFunc(steps, func(s int64) bool { return s < 0 })
}
