// Package sym computes with sizes that are known up to symbols, as "8*batch+1":
// sym.go has the expressions, their text, and dimensions as expressions.
package sym
