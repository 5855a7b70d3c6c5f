package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What tests outside the package look into.

// Claims lists the operators in the table.
func Claims() []string { return slices.Sorted(maps.Keys(operators)) }

// Claimed reports whether the table claims to evaluate or infer an operator in
// an opset; opset 0: in any.
func Claimed(opType, domain string, opset int64) (eval, infer bool) {
	op := operators[opType]
	if op == nil || canonicalDomain(domain) != "" || opset != 0 && opset < op.since {
		return false, false
	}
	return op.eval != nil || opType == "If", op.infer != nil
}

// NodeOpset is the ai.onnx version the node is written in.
func NodeOpset(n *Node) int64 { return n.opset() }

// DimValue computes a dimension under sizes for its symbols.
func DimValue(d Dim, sizes map[string]int64) (int64, bool) { return dimExpr(d).value(sizes) }

// FromRun reports whether a dimension is one that only a run can tell.
func FromRun(d Dim) bool { return strings.HasPrefix(d.Param, freshPrefix) }

// Float64s returns the elements of a floating-point tensor, nil of any other.
func Float64s(t *Tensor) []float64 {
	if domainOf(t.DType) != floatDomain {
		return nil
	}
	a, err := newArr(t)
	if err != nil {
		panic(err)
	}
	return load[float64](a)
}

// value computes an expression under sizes for its symbols.
func (e *expr) value(sizes map[string]int64) (int64, bool) {
	if e == nil {
		return 0, false
	}
	sum := e.c
	for _, t := range e.terms {
		p := t.coef
		for _, a := range t.atoms {
			n, ok := sizes[a]
			if isFloor(a) { // floor((E)/q)
				inner := a[len("floor(") : len(a)-1]
				slash := strings.LastIndex(inner, "/")
				var q int64
				if _, err := fmt.Sscan(inner[slash+1:], &q); err != nil {
					panic(err)
				}
				n, ok = parseExpr(inner[1 : slash-1]).value(sizes)
				n = floorQuo(n, q)
			}
			if !ok {
				return 0, false
			}
			p *= n
		}
		sum += p
	}
	return sum, true
}
