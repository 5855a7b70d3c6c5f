// Package afblock is the domain: video ResNets as a typed Network, the AF
// module of AFNet (Zhang et al., NeurIPS 2022, arXiv 2211.09992), and what a
// Network costs.
//
//	network.go        the types: Network, Stage, Block, AFModule …
//	layer.go          the kinds of layer: what each has and makes, what it costs
//	squeeze.go        squeeze-and-excitation, one of them
//	walk.go           from stem to head: units, layers, tensors
//	size.go           the sizes of the maps on the way
//	clone.go          copies
//	backbone.go       a network's name, and a stage's main line
//	shell.go          what lies around the trunk, and the standard such
//	rules.go          rules of AF modules: strides, residual paths, names of batch norms
//	rewrite*.go       a plain network becomes an AFNet
//	pattern.go        fixed selections of frames
//	dial.go           such that one number makes them larger or smaller
//	schedule.go       blocks outside AF modules that compute such a selection
//	cells.go          selections inside the frames: their shape, looked for or fixed
//	origin.go         how weights came about
//	identity.go       an AFNet that computes what its source computes
//	architecture*.go  networks that have a name, without elements: AF-ResNet, AF-MobileNetV3
//	cost*.go          what a clip costs
//	zero_response.go  F(0), a block's answer to a zero image
//
// Around it lie the packages that read, write and show a Network: checkpoint
// (bytes and tensors by name), weights (a state dict and a Network), recognize
// (a model and a Network), compiled (models that afc wrote), describe.
package afblock
