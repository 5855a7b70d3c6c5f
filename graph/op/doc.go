// Package op is what ai.onnx operators mean: how each is evaluated, how its
// types follow, how it moves elements, what it costs, and its derivative.
//
// All of that stands once, in the table of table.go. The table is a claim: the
// ONNX backend tests (make corpus) hold every operator in it to its definition,
// in every opset, and fail if it has no case.
//
// [Infer] sets the types of all values of a model. Sizes may be symbols, and
// arithmetic on them is kept ("8*batch"), because it runs the evaluator on what
// is known of shape tensors: a Reshape to Concat(Shape(x)[0], 8, …) has a known
// shape whoever wrote it. Infer sets what the operators' definitions fix, and
// reports the rest by node; [SetInputShape] gives a model another batch or size.
//
// [Eval] computes a node from constant inputs, in every element type with whole
// bytes but 8-bit floats and complex numbers, and refuses results above a
// budget before it allocates them. [Cast] is the one operator that is of use
// without a node.
//
// [Moves] says where a node that only moves elements takes each from; package
// dataflow follows that through a graph.
//
// [Gradient] appends the nodes that compute a node's derivatives; package train
// differentiates a graph with it.
//
// [NodeCost] and [GraphCost] count work, weights, memory and kernels from inferred
// shapes, [PeakBytes] what is alive at once. What is not known is an error that names the node.
//
// # What lies where
//
//   - table.go: the table. call.go: a node in the frame it is read in.
//   - eval.go, eval_types.go: evaluation and the arithmetic of element types;
//     eval_make.go, eval_move.go, eval_index.go, eval_pick.go, eval_elementwise.go,
//     eval_reduce.go, eval_nn.go: the operators.
//   - infer.go, infer_call.go: inference; infer_shape.go, infer_pick.go,
//     infer_elementwise.go, infer_nn.go, infer_einsum.go, infer_quantized.go,
//     infer_sequence.go, infer_control.go: the operators.
//   - cost.go: costs. memory.go: what is alive at once.
//   - grad.go: differentiation; grad_rules.go, grad_nn.go: the operators.
//   - move.go: following elements; move_view.go, move_index.go,
//     move_resize.go: the operators.
package op
