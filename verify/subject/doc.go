// Package subject says what there is to prove about a model that afc wrote:
// package verify knows models, this one knows the networks in them.
//
//	subject.go  a compiled model, its reference, its variants
//	source.go   the model it was made from
package subject
