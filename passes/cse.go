package passes

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// commonSubexpressions makes readers of a node read an earlier node that
// computes the same: same operator, attributes and inputs. The later node is
// left dead for dead-code.
func commonSubexpressions(s *State) error {
	for g := range graphs(s.Model) {
		seen := map[string][]*graph.Node{}
		for n := range g.Nodes() {
			if !pure(n) || unused(n) {
				continue
			}
			key := expressionKey(n)
			i := slices.IndexFunc(seen[key], func(o *graph.Node) bool { return sameExpression(n, o) })
			if i < 0 {
				seen[key] = append(seen[key], n)
				continue
			}
			first := seen[key][i]
			if reason := canMerge(n, first); reason != "" {
				s.note(n, "%s", reason)
				continue
			}
			for k, v := range n.Outputs() {
				if v != nil && v.NumUses() > 0 {
					replace(v, first.Output(k))
				}
			}
			s.changed(1)
		}
	}
	return nil
}

// pure reports whether a node gives the same results for the same inputs and
// can be compared: no random operators, no subgraphs.
func pure(n *graph.Node) bool {
	return n.Is(n.OpType) && !strings.HasPrefix(n.OpType, "Random") && !n.Is("Multinomial", "Bernoulli", "Dropout") &&
		!strings.HasPrefix(n.OpType, "Sequence") && len(n.Subgraphs()) == 0
}

func expressionKey(n *graph.Node) string {
	var b strings.Builder
	b.WriteString(n.OpType)
	for _, v := range n.Inputs() {
		b.WriteByte('\x00')
		if v != nil {
			b.WriteString(v.Name())
		}
	}
	return b.String()
}

func sameExpression(a, b *graph.Node) bool {
	if a.OpType != b.OpType || !slices.Equal(a.Inputs(), b.Inputs()) || len(a.Attrs()) != len(b.Attrs()) {
		return false
	}
	for _, x := range a.Attrs() {
		if y := b.Attr(x.Name); y == nil || !sameAttr(x, y) {
			return false
		}
	}
	return true
}

func sameAttr(a, b *graph.Attribute) bool {
	if a.Type != b.Type || a.RefName != b.RefName {
		return false
	}
	switch a.Type {
	case graph.AttrFloat:
		return a.F == b.F
	case graph.AttrInt:
		return a.I == b.I
	case graph.AttrString:
		return bytes.Equal(a.S, b.S)
	case graph.AttrFloats:
		return slices.Equal(a.Floats, b.Floats)
	case graph.AttrInts:
		return slices.Equal(a.Ints, b.Ints)
	case graph.AttrStrings:
		return slices.EqualFunc(a.Strings, b.Strings, bytes.Equal)
	case graph.AttrTensor:
		return sameTensor(a.Tensor, b.Tensor)
	}
	return false
}

func sameTensor(a, b *graph.Tensor) bool {
	if a.DType != b.DType || !slices.Equal(a.Dims, b.Dims) {
		return false
	}
	if a.DType == graph.String {
		return slices.EqualFunc(a.Strings(), b.Strings(), bytes.Equal)
	}
	x, errX := a.Bytes()
	y, errY := b.Bytes()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// canMerge says why the readers of n cannot read first instead.
func canMerge(n, first *graph.Node) string {
	for k, v := range n.Outputs() {
		if v == nil || v.NumUses() == 0 {
			continue
		}
		w := first.Output(k)
		if w == nil {
			return fmt.Sprintf("%v leaves out output %d", first, k)
		}
		if reason := canReplace(v, w); reason != "" {
			return reason
		}
	}
	return ""
}
