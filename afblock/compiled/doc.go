// Package compiled is the form of the models that afc writes: what their
// metadata says and by which names their weights go, so that they can be read
// back.
//
//	metadata.go  the properties of a compiled model
//	names.go     names of initializers, whole tensors and pieces
//	read.go      ReadModel: a Network again
package compiled
