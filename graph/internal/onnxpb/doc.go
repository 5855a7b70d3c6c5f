// Package onnxpb holds the protobuf bindings of ONNX, generated from the
// official onnx.proto (onnx 1.23.2, Apache-2.0). Only package graph uses them.
//
//   - onnx.pb.go: the bindings
//   - generate.go: how they are generated
package onnxpb
