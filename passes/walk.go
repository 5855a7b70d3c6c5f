package passes

import (
	"iter"
	"slices"

	"github.com/afc-project/afc/graph"
)

// graphs iterates over the model's graph and every subgraph of its nodes. Bodies
// of functions are not among them: the pipeline inlines them first.
func graphs(m *graph.Model) iter.Seq[*graph.Graph] { return m.Graph.AllGraphs() }

// nodes iterates over the nodes of those graphs.
func nodes(m *graph.Model) iter.Seq[*graph.Node] { return m.Graph.AllNodes() }

// constInts returns the elements of a constant integer value; ok is false
// where v is left out, not constant or not of integers.
func constInts(v *graph.Value) (ints []int64, ok bool) {
	t := v.Const()
	if t == nil {
		return nil, false
	}
	ints, err := t.Int64s()
	return ints, err == nil
}

// canReplace says why the readers of v cannot read w instead; "" when they
// can. A graph output keeps its name, so what takes its place must be made by
// a node of the same graph and be no output yet.
func canReplace(v, w *graph.Value) string {
	if !v.IsOutput() {
		return ""
	}
	switch {
	case w.Graph() != v.Graph():
		return "its result is a graph output and its input belongs to an outer graph"
	case w.IsInput(), w.Producer() == nil, w.IsOutput():
		return "its result is a graph output and its input has a name of its own to keep"
	}
	return ""
}

// replace makes the readers of v read w. A graph output keeps the type it was
// declared with. canReplace must have allowed it.
func replace(v, w *graph.Value) {
	switch {
	case v.IsOutput() && (v.Type.Elem != graph.Undefined || !v.Type.IsTensor()):
		w.Type = v.Type
	case !w.Type.IsTensor():
	default:
		if w.Type.Elem == graph.Undefined {
			w.Type.Elem = v.Type.Elem
		}
		if !w.Type.Shape.Ranked() {
			w.Type.Shape = v.Type.Shape
		}
	}
	v.ReplaceAllUses(w)
}

// unused reports whether nothing reads any output of n.
func unused(n *graph.Node) bool {
	return !slices.ContainsFunc(n.Outputs(), func(v *graph.Value) bool { return v != nil && v.NumUses() > 0 })
}
