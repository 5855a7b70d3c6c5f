// Command testmodel writes a video ResNet with seeded random weights, for
// demonstrations and benchmarks.
//
//		testmodel -depth 50 -frames 8 -shift scatter -o tsm.onnx
//	testmodel -motion DIR -clips 200    a small TSM that was trained, and clips that it knows
//
//	testmodel -arrays PREFIX -clips 4000 -seed 101 [-shapes]    clips as arrays, to train on
//
//	  - main.go: flags and the file
package main
