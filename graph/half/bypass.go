package half

import "github.com/afc-project/afc/graph"

// Bypass has the readers of casts that change no type read what is cast, and
// removes those casts. A graph's output keeps the name that it has: its cast
// goes if a node of its graph makes what it casts, for nothing else.
func Bypass(m *graph.Model) {
	for g := range m.Graph.AllGraphs() {
		for n := range g.Nodes() {
			if !n.Is("Cast") || n.Input(0) == nil || n.Output(0) == nil {
				continue
			}
			if x := n.Input(0); x.Type.Elem == graph.DataType(n.AttrInt("to", 0)) && x.Type.Elem != graph.Undefined {
				bypass(g, n, x)
			}
		}
	}
}

func bypass(g *graph.Graph, n *graph.Node, x *graph.Value) {
	v := n.Output(0)
	if v.IsOutput() && (x.Graph() != g || x.Producer() == nil || x.IsOutput() || x.IsInput()) {
		return
	}
	if v.IsOutput() {
		x.Type = v.Type
	}
	v.ReplaceAllUses(x)
	g.RemoveNode(n)
}
