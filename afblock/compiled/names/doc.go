// Package names is the grammar of the names in models that afc writes, in one
// place: who writes a model and who takes it apart both ask here. It knows no
// model.
//
//	keys.go     metadata keys
//	ports.go    inputs and outputs beside the source's
//	weights.go  initializers: a key of the state dict, and which piece
//	values.go   what layers make, on the way
//	parts.go    which block and which stage a name belongs to; focal blocks
package names
