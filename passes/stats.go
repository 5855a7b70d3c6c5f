package passes

import (
	"cmp"
	"maps"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Stats counts what a model is made of, subgraphs included.
type Stats struct {
	Operators  []OpCount `json:"operators"` // by name
	Nodes      int       `json:"nodes"`
	Parameters int64     `json:"parameters"` // floating-point elements of initializers and constants
	Bytes      int64     `json:"bytes"`      // of all initializers and constants
}

// OpCount is how often an operator occurs.
type OpCount struct {
	Op    string `json:"op"`
	Count int    `json:"count"`
}

// Count returns how often an operator occurs.
func (s Stats) Count(op string) int {
	i, ok := slices.BinarySearchFunc(s.Operators, op, func(c OpCount, op string) int { return cmp.Compare(c.Op, op) })
	if !ok {
		return 0
	}
	return s.Operators[i].Count
}

// Measure counts a model's nodes and constants.
func Measure(m *graph.Model) Stats {
	var s Stats
	ops := map[string]int{}
	tensor := func(t *graph.Tensor) {
		if t == nil {
			return
		}
		if n, err := t.NumElements(); err == nil && t.DType.IsFloat() {
			s.Parameters += n
		}
		if n, err := t.NumBytes(); err == nil {
			s.Bytes += n
		}
	}
	for g := range graphs(m) {
		for _, v := range g.Initializers() {
			tensor(v.Initializer())
		}
		for n := range g.Nodes() {
			s.Nodes++
			op := n.OpType
			if n.Domain != "" && n.Domain != "ai.onnx" {
				op = n.Domain + "." + op
			}
			ops[op]++
			for _, a := range n.Attrs() {
				tensor(a.Tensor)
			}
		}
	}
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		s.Operators = append(s.Operators, OpCount{op, ops[op]})
	}
	return s
}
