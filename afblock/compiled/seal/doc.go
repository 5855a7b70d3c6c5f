// Package seal tells a compiled model whose weights were damaged on the way from
// a sound one.
//
//   - seal.go: Write and Check
package seal
