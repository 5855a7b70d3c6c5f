package passes

import "github.com/afc-project/afc/graph"

// resolveCastLike turns CastLike into Cast where the type of its second input,
// which may well be computed at run time, is known.
func resolveCastLike(s *State) error {
	castLike.apply(s)
	return nil
}

var castLike = rewrite[graph.DataType]{
	ops: []string{"CastLike"},
	match: func(n *graph.Node) (graph.DataType, bool) {
		like := n.Input(1)
		if like == nil {
			return graph.Undefined, false
		}
		return like.Type.Elem, like.Type.Elem != graph.Undefined
	},
	check: func(graph.DataType) string { return "" },
	replace: func(_ *State, n *graph.Node, elem graph.DataType) {
		n.OpType = "Cast"
		n.TrimInputs(1)
		n.SetAttr(graph.Int("to", int64(elem)))
	},
}
