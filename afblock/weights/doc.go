// Package weights turns a state dict into a Network and a Network into a state
// dict.
//
//	weights.go    both ways in one call, and their options
//	spellings.go  keys of other training code, as the authors spell them
//	keys.go       what a checkpoint's keys tell
//	others.go     what they tell of networks that are not read
//	skeleton.go   a network without its tensors
//	bind.go       such a plan gets its tensors, every shape checked
//	export.go     a Network as a state dict
package weights
