package recognize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// recognizer walks a model from the stem to the head and builds a Network.
type recognizer struct {
	*dataflow.Analysis
	net      *afblock.Network
	where    string    // "stem", "layer1, block 0", "head"
	progress int       // nodes recognised, to tell the better of two attempts
	shiftT   int       // T as the shifts show it, 0 before the first
	past     bool      // their direction
	afnet    bool      // it has come to an AF module
	choices  []*choice // of focal blocks, in network order
}

// reader is a computing node that reads a value, perhaps moved on the way.
type reader struct {
	node  *graph.Node
	value *graph.Value // what it reads
	index int          // as which input
}

// readers returns the live computing nodes that read v directly or through
// data movement, in the order of the graph's edges. output is set if v, moved
// or not, is an output of the graph.
func (r *recognizer) readers(v *graph.Value) (rs []reader, output bool) {
	if v == nil {
		return nil, false
	}
	seen := map[*graph.Value]bool{v: true}
	work := []*graph.Value{v}
	for len(work) > 0 {
		x := work[0]
		work = work[1:]
		output = output || x.IsOutput()
	uses:
		for _, u := range x.Uses() {
			if !r.Live(u.Node) {
				continue
			}
			moves := true
			for _, o := range u.Node.Outputs() {
				if o == nil || o.NumUses() == 0 || r.empty(o) {
					continue
				}
				if r.Constant(o) != nil { // a shape of it, or zeros like it
					continue uses
				}
				moves = moves && r.moved(o)
			}
			if !moves {
				rs = append(rs, reader{u.Node, x, u.Index})
				continue
			}
			for _, o := range u.Node.Outputs() {
				if o != nil && !seen[o] {
					seen[o] = true
					work = append(work, o)
				}
			}
		}
	}
	return rs, output
}

// empty reports whether v has no elements, as the unshifted channels have none
// where half of them come from either side, or the frames behind a single one.
func (r *recognizer) empty(v *graph.Value) bool {
	d := r.Dims(v)
	return d != nil && dataflow.Elements(d) == 0
}

// onlyReader returns the one node that reads v unmoved; anything else is an error.
func (r *recognizer) onlyReader(v *graph.Value, expected string) (*graph.Node, error) {
	if v == nil {
		return nil, r.refuse(nil, expected, "an output left out", "")
	}
	rs, output := r.readers(v)
	if output {
		return nil, r.refuse(v.Producer(), expected+" reading "+quote(v), "a graph output", "")
	}
	if len(rs) != 1 {
		return nil, r.refuse(v.Producer(), "one node reading "+quote(v)+", "+expected, listReaders(rs), "")
	}
	f, m := r.readFlow(rs[0].value)
	if m != nil {
		return nil, r.refuse(rs[0].node, expected+" reading "+quote(v), m.found, m.hint)
	}
	if f.base != v || f.fold > 0 {
		return nil, r.refuse(rs[0].node, expected+" reading "+quote(v), "a temporal shift in between", "")
	}
	return rs[0].node, nil
}

// refuse makes the error for the first node that does not fit. Nodes that tell
// a kind of network afc does not know get that kind's reason.
func (r *recognizer) refuse(n *graph.Node, expected, found, hint string) error {
	e := &Error{Where: r.where, Expected: expected, Found: found, Hint: hint, told: r.afnet, afnet: r.afnet}
	if n != nil {
		e.Node = n.String()
		if why, h := r.foreign(n); why != "" {
			e.Found, e.Hint, e.told = why, h, e.told || why == noisy
		}
	}
	return e
}

// noisy is what a node is told as that adds random numbers to maps.
const noisy = "random noise in the trunk"

// foreign names the kind of network that a node betrays.
func (r *recognizer) foreign(n *graph.Node) (found, hint string) {
	rank := len(r.Dims(n.Input(0)))
	switch {
	case isRandom(n) || slices.ContainsFunc(n.Inputs(), func(in *graph.Value) bool { p := producer(in); return p != nil && isRandom(p) }):
		return noisy, "export the network as it evaluates"
	case n.Is("Conv") && len(r.Dims(n.Input(1))) == 5:
		return "a 3-D convolution", "afc rewrites 2-D ResNets over frames (TSN, TSM); 3-D networks (C3D, I3D, R(2+1)D, SlowFast, X3D) are others"
	case n.Is("MaxPool", "AveragePool") && rank == 5:
		return "pooling over time between blocks (temporal_pool)", "the clip has fewer frames behind it; afc needs one T from stem to head: train without temporal_pool"
	case n.Is("MatMul", "Softmax", "Einsum", "Attention"):
		return "a non-local (attention) block", "afc rewrites ResNets without non-local blocks; train without non_local"
	}
	return "", ""
}

func quote(v *graph.Value) string { return fmt.Sprintf("%q", v) }

// listReaders names nodes for a message: "Conv "a", Add "b" and 3 more".
func listReaders(rs []reader) string {
	if len(rs) == 0 {
		return "none"
	}
	var names []string
	for _, u := range rs[:min(len(rs), 3)] {
		names = append(names, u.node.String())
	}
	s := strings.Join(names, ", ")
	if len(rs) > 3 {
		s += fmt.Sprintf(" and %d more", len(rs)-3)
	}
	return s
}
