// Command afc compiles trained TSN and TSM video ResNets (ONNX) into AFNet
// models that skip frames, proves on ONNX Runtime that they compute what they
// should, and counts what they cost.
//
// This package is flags, wiring and exit codes; what happens is in the
// packages it calls.
//
//   - main.go: signals, and the run of one command
//   - app.go, commands.go, flags.go: the commands, and what their flags have in common
//   - convert.go, optimize.go, fit.go, tune.go, explain.go, sweep.go, export.go, quantize.go, inspect.go, passes.go, doctor.go, version.go:
//     a command each
//   - verify.go, verify_same.go, verify_inputs.go, verify_report.go:
//     verify: its flags, --same, clips, the verdict
//   - flops.go, flops_estimate.go, flops_measure.go, flops_plot.go, flops_print.go:
//     flops: estimate and measure, tables and a plot
//   - guarded.go: a command as a child of itself, since ONNX Runtime may crash
//   - setup.go: brings ONNX Runtime into the cache
//   - completion.go, suggest.go: completion scripts, the manual page; did you mean?
//   - errors.go: exit codes
//   - report.go, units.go: what was done, sizes and counts as people say them
package main
