// Package codegen writes a Network as standard ONNX for a target. It alone
// knows how ONNX Runtime likes it written.
//
// Lower walks the network with a builder, which appends named nodes to a graph
// or to a subgraph. The lowerings differ in how they write an AF module: each is
// a strategy. What makes skipping pay on the CPU is in Steps, each possible to
// leave out. Choose says which lowering suits a target. The files:
//
//	codegen.go, target.go, steps.go   Options: lowerings, targets, steps
//	lower.go, strategy.go             the walk over the network; what a strategy is
//	mask.go, gather.go, topk.go       strategies
//	branch*.go                        branch: frame by frame without shift (frames,
//	                                  chains); with it, one clip's frames written out
//	                                  (unroll), small maps in pieces (pieces), or a Scan
//	                                  a block (shift); blocks that are wide inside (hidden)
//	block.go, conv.go, gate.go,       parts of a network
//	navigation.go, shift.go
//	scheduled.go                      blocks that compute the frames of a schedule
//	cells.go, tiles.go                choices inside the frames; cells as tiles; branch_cells: the box around them
//	border.go, interleave.go,         steps, those of branch beside it
//	layoutcast.go, lowgate.go,
//	shift_select.go, splitstream.go
//	reshift.go                        shifts of models that are not lowered
//	builder.go, control.go, ops.go    nodes, subgraphs, operators
//	cost.go, work.go, names.go        what a lowered file costs, block by block, and where its blocks are
//
// A file keeps the weights as they were trained: batch normalisation stays a
// node, and what a lowering cuts, pads or joins is cut at names that
// afblock.ReadModel understands, or padded and joined by nodes over constants,
// which the runtime computes when it loads the model.
package codegen
