// Package interpret runs a Network in float64, clip by clip and frame by frame,
// as its definition reads. It is what compiled models are held to: it knows
// nothing of ONNX's operators nor of lowerings, and shares no code with codegen
// nor with graph/op, so that a fault of theirs is not one of its own.
//
//	read.go   an afblock.Network as numbers: the one file that looks into it
//	run.go    clips through stem, stages and head; what is chosen, mixed, shifted
//	cells.go  what is chosen inside the frames
//	rounding.go  how far float32 moves an answer
//	maps.go   feature maps: convolution (over gonum's BLAS), pooling, resizing
//	descent.go what an AFNet owes the source it was made from
//	random.go the same network with other navigation, gates and transforms
package interpret
