// Package compiled is the form of the models that afc writes: what their
// metadata says, so that they can be read back. By which names everything in
// them goes is in package names, how damage is told in package seal.
//
//	metadata.go    the properties of a compiled model
//	read.go        ReadModel: a Network again
//	reassemble.go  whole tensors of the pieces that a lowering needed
//	focal.go       the focal blocks of a network, as they are named
package compiled
