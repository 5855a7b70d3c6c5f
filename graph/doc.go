// Package graph is the intermediate representation: ONNX in ONNX's words.
//
// A Model holds a Graph of Nodes over Values. A Value knows the Node that makes
// it and every place that reads it, so a rewrite is a change of edges through
// methods, never a search by name. Decode and Encode are the only doors between
// this representation and protobuf bytes.
package graph
