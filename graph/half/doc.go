// Package half takes models from float32 to half precision (float16) and back.
//
//	round.go   numbers: rounding, and what it costs tensors
//	widen.go   half precision to float32
//	narrow.go  float32 to half precision: which values, and the casts between
//	keep.go    what stays float32: nodes that decide, or that half precision does not hold
//	drift.go   how far a narrowed model may drift from what it was
//	bypass.go  casts that no longer change a type
package half
