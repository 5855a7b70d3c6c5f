// Package fit gives an AFNet weights that predict: each of its convolutions is
// regressed onto the activations of the source it was made of, layer by layer,
// on clips without labels, by ridge regression in closed form (docs/FIT.md).
//
// Source and AFNet both run on ONNX Runtime, part by part. A layer always sees
// what the layers before it, as fitted, make of the clips, so that errors do
// not pile up. Maps of all clips lie in files; memory holds the rows of one
// regression (positions of the maps, some from each frame) and a few clips.
//
//	fit.go        Fit: options, what is fitted and what is told of it
//	options.go    options, what a layer's fit says of itself
//	feeder.go     clips as a model's input takes them
//	split.go      which clips are fitted on and which held back
//	enough.go     clips that are too few, told before anything is fitted
//	measure.go    the clips held back, under several selections
//	engine.go     the way through the network: stages, plain blocks, the source's blocks beside them
//	module.go     an AF module: both branches, the mix of their ends, the fusion block
//	schedule.go   blocks with a schedule, of a network without ample branches
//	block.go      a residual block, convolution by convolution
//	head.go       the linear layer
//	ridge.go      the regressions
//	products.go   products of matrices, on ONNX Runtime
//	rows.go       matrices; positions of maps, and what is read there
//	runner.go     parts of models run on all clips
//	cut.go        parts of models
//	resume.go     the fit so far, kept in a folder and gone on from
//	page.go       a fit as a web page
//	stream.go     maps of all clips, in files
//	network.go    all that this package knows of a Network's insides and of the names in a lowered one
package fit
