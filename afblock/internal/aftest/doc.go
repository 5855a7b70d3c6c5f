// Package aftest is what the tests of afblock share: networks (plain.go), a
// network run in float64 (reference.go), its structure as text (structure.go)
// and a state dict in one number (digest.go).
package aftest
