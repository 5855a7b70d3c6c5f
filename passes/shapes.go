package passes

import (
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// foldShapes makes constants of what shape arithmetic always comes to. Sizes
// that only a run tells keep a Reshape target from being constant as a whole,
// but Reshape can be told to copy a size (0) or to work one out (-1).
func foldShapes(s *State) error {
	report := op.Infer(s.Model)
	for g := range graphs(s.Model) {
		for n := range g.Nodes() {
			if n.Is("Constant") || unused(n) || makesOutput(n) {
				continue
			}
			if out, ok := knownOutputs(report, n); ok {
				toInitializers(g, n, out)
				s.changed(1)
			}
		}
	}
	reshapeTarget.apply(s)
	return nil
}

// knownOutputs returns what inference found that a node makes; ok is false
// where an output that is read is not known, or too large to store.
func knownOutputs(report *op.InferReport, n *graph.Node) (out []*graph.Tensor, ok bool) {
	for _, v := range n.Outputs() {
		t := (*graph.Tensor)(nil)
		if v != nil && v.NumUses() > 0 {
			if t = report.Constant(v); t == nil {
				return nil, false
			}
			if size, err := t.NumBytes(); err != nil || size > smallBytes {
				return nil, false
			}
		}
		out = append(out, t)
	}
	return out, true
}

// reshapeTarget gives a constant target to a Reshape whose result is known but
// for one size. Two sizes may be unknown where one is copied from the input.
var reshapeTarget = rewrite[[]int64]{
	ops: []string{"Reshape"},
	match: func(n *graph.Node) ([]int64, bool) {
		x, y := n.Input(0), n.Output(0)
		if x == nil || y == nil || n.Input(1) == nil || n.Input(1).Const() != nil {
			return nil, false
		}
		return targetOf(x.Type.Shape, y.Type.Shape)
	},
	check: func([]int64) string { return "" },
	replace: func(_ *State, n *graph.Node, target []int64) {
		n.SetInput(1, n.Graph().NewInitializer(n.Output(0).Name()+".shape", graph.Vec(target...)))
		n.RemoveAttr("allowzero") // 0 stands for a copied size now
	},
}

// targetOf writes shape y as a Reshape target for input shape x.
func targetOf(x, y graph.Shape) ([]int64, bool) {
	if !y.Ranked() {
		return nil, false
	}
	target := y.Dims()
	if slices.Contains(target, 0) {
		return nil, false // an empty result: 0 would mean something else
	}
	unknown := 0
	for i, d := range y {
		if !d.Known() {
			if target[i] = -1; i < len(x) && d.Param != "" && x[i] == d {
				target[i] = 0
			} else {
				unknown++
			}
		}
	}
	// A size that could be copied is worked out instead where it is the only
	// one, which is what exporters write for a batch.
	if copied := slices.Index(target, 0); unknown == 0 && copied >= 0 {
		target[copied] = -1
	}
	return target, unknown <= 1
}
