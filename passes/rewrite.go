package passes

import "github.com/afc-project/afc/graph"

// rewrite is a rewrite rule. match sees whether the pattern stands at a node
// and gathers its parts; check validates everything before the first edit and
// gives the reason when the rule does not apply, "" when it does; replace
// edits. Only reasons that check gives are reported: what does not match is
// not this rule's business.
type rewrite[M any] struct {
	ops     []string // operators the pattern stands at
	match   func(n *graph.Node) (M, bool)
	check   func(m M) (reason string)
	replace func(s *State, n *graph.Node, m M)
}

// apply runs the rule once over the nodes that the model has.
func (r rewrite[M]) apply(s *State) {
	for g := range graphs(s.Model) {
		for n := range g.Nodes() {
			if !n.Is(r.ops...) {
				continue
			}
			m, ok := r.match(n)
			if !ok {
				continue
			}
			if reason := r.check(m); reason != "" {
				s.note(n, "%s", reason)
				continue
			}
			r.replace(s, n, m)
			s.changed(1)
		}
	}
}
