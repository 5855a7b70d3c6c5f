package dataflow

import "github.com/afc-project/afc/graph"

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
