// Command testmodel writes a video ResNet with seeded random weights, for
// demonstrations and benchmarks.
//
//		testmodel -depth 50 -frames 8 -shift scatter -o tsm.onnx
//
//	  - main.go: flags and the file
package main
