// Package passes holds the compiler's passes, ONNX to ONNX, one a file, and
// the one table that orders them. The table also names the domain's steps
// (recognize, lower and so on), so that it tells the whole way from a file to
// the file written.
//
// A pass is a function on a State. The runner (Run) adds what every pass needs:
// requirements checked before it, graph.Check behind it, dumps, statistics and
// the fixed point where passes feed each other. Within a pass, rewrites have
// one shape: match, check (which gives a reason when it refuses), replace; see
// rewrite.
//
//   - table.go: the passes, their order and its reasons; print.go shows it.
//   - run.go, state.go, stats.go, shuffle.go, errors.go: the runner.
//   - rewrite.go, walk.go: what rewrites share.
//   - domain.go: recognition, the rewrite, weights, lowering; reshift.go: shifts of trunks that are not recognised.
//   - inline.go, upgrade.go, normalize.go, affine.go, castlike.go, sequences.go, outputs.go, constants.go, widen.go:
//     a model in one form.
//   - half.go, opset.go: the form asked for, half precision and opset.
//   - fold.go, foldbn.go, shapes.go, noops.go, cse.go, dedupe.go, deadcode.go: less of it.
//   - merge.go: three of these, for graphs that a program put together.
package passes
