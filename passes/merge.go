package passes

import "github.com/afc-project/afc/graph"

// Merge leaves one of equal constants and of nodes that compute the same, and
// removes what nothing reads: for graphs that a program put together, whose
// values keep their meaning. It changes the model in place.
func Merge(m *graph.Model) error {
	s := &State{Model: m, opt: &Options{}}
	for _, pass := range []func(*State) error{dedupeInitializers, commonSubexpressions, deadCode} {
		if err := pass(s); err != nil {
			return err
		}
	}
	return nil
}
