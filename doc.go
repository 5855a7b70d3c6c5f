// Package afc converts trained video-recognition networks (TSN and TSM ResNets
// in ONNX) into AFNets that skip frames, proves on ONNX Runtime that they are
// right, and counts what they cost: everything that the program afc does, for
// other Go programs.
//
//	Convert   a source model, a checkpoint, or an AFNet again, into an AFNet   convert.go
//	Fit       an AFNet's weights to its source on clips, without training      fit.go
//	Tune      an AFNet by training, on its source's answers or on labels         tune.go
//	Optimize  a model into a faster one that computes the same                 optimize.go
//	Verify    an AFNet on ONNX Runtime; Same holds any two models together     verify.go
//	Estimate  costs from shapes; Measure costs on clips                        estimate.go, measure.go
//	Inspect   what is seen in a model                                          inspect.go
//	Explain   what an AFNet computed on clips                                  explain.go
//	Sweep     AFNets against their source at fewer frames                      sweep.go
//	Quantize  what an int8 quantiser should leave in float                      quantize.go
//	Export    weights, PyTorch code that trains them, a Triton repository      export.go
//
// Each takes one struct of options whose zero values are the defaults, and
// returns a report, which encoding/json writes as the program's --json does. An
// option that the run cannot honour is an *OptionError (paths.go; form.go, of
// options that say how a file is written): none is
// ignored. Outputs are written whole or not at all (files.go; external.go, with
// their weights beside them). errors.go, shapes.go, text.go and origin.go (what an AFNet was made
// from), version.go are
// what all have in common.
//
// Other errors are *FileError for files that cannot be read or written,
// *graph.Error for models that are wrong, *recognize.Error for
// models that are something else, and those of package verify where there is no
// ONNX Runtime.
package afc
