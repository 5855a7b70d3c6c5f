// Package dataflow tells what a model does with its data at one concrete size:
// what is constant, what the outputs depend on, and where elements come from.
//
// [Analyze] copies a model and fixes its inputs' sizes. Of any value of the copy,
// [Analysis.Constant] gives what it always holds and [Analysis.Trace] the places
// that its elements come from: data movement is followed through, whatever
// operators spell it, so that a temporal shift is the same pattern of
// coordinates in every exporter's words. How an operator moves elements is a
// column of package op's table; a test holds Trace to the evaluator on random
// nodes of every such operator.
//
// # What lies where
//
//   - dataflow.go: [Analysis]. live.go: what the outputs depend on.
//   - constant.go: sizes, constants, and running a part of the model.
//   - trace.go: origins of elements; arithmetic.go: sums and products that move.
//   - sequence.go: sequences of tensors as slices.
package dataflow
