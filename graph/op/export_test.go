package op

import (
	"maps"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// What tests outside the package look into.

// Claims lists the operators in the table.
func Claims() []string { return slices.Sorted(maps.Keys(operators)) }

// Claimed reports whether the table claims to evaluate or infer an operator in
// an opset; opset 0: in any.
func Claimed(opType, domain string, opset int64) (eval, infer bool) {
	op := operators[opType]
	if op == nil || graph.CanonicalDomain(domain) != "" || opset != 0 && opset < op.since {
		return false, false
	}
	return op.eval != nil || opType == "If", op.infer != nil
}

// DimValue computes a dimension under sizes for its symbols.
func DimValue(d graph.Dim, sizes map[string]int64) (int64, bool) {
	n, err := sym.Of(d).Value(sizes)
	return n, err == nil
}

// FromRun reports whether a dimension is one that only a run can tell.
func FromRun(d graph.Dim) bool { return strings.HasPrefix(d.Param, freshPrefix) }

// Float64s returns the elements of a floating-point tensor, nil of any other.
func Float64s(t *graph.Tensor) []float64 {
	if domainOf(t.DType) != floatDomain {
		return nil
	}
	a, err := newArr(t)
	if err != nil {
		panic(err)
	}
	return load[float64](a)
}
