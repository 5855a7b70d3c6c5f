// Package weights turns a state dict into a Network and a Network into a state
// dict.
//
//	plan.go       what network the keys of a state dict describe
//	structure.go  the same, written down as JSON in files that afc makes
//	bind.go       such a plan gets its tensors, every shape checked
//	export.go     a Network as a state dict
package weights
