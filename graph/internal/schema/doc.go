// Package schema knows the operators of ONNX: in which opset each came and
// changed, how many inputs and outputs it has, its attributes and their types.
// The table, schemas.txt, is generated from the official schemas (onnx 1.23.2,
// Apache-2.0) by generate.py.
//
//   - schema.go: the table, read and asked
package schema
