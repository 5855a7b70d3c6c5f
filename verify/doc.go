// Package verify proves on ONNX Runtime that a model computes what it should:
// checks, comparison, and their report. ONNX Runtime itself is driven by
// verify/ort.
//
//	prover.go             Options, Verify: the run over the table of checks; what several checks share
//	checks.go             the table of checks
//	checks_file.go        checks of the file alone
//	checks_clips.go       checks of the model's runs against each other
//	checks_reference.go   checks against the reference under given choices
//	checks_interpret.go   checks against the network, interpreted
//	checks_source.go      checks against the model it was made from
//	checks_profile.go     checks of what ran where, how often, how long
//	subject.go, layout.go the model to prove things about, and how it takes clips
//	masks.go              choices of frames: read, written, forced
//	dial.go               choices at other margins
//	cells.go              choices inside the frames, likewise
//	seal.go               digests of the weights as they were written
//	onnxgo.go, onnxgo_cut.go   another decoder, given one graph at a time
//	compare.go, agreement.go   tensors against tensors, classifiers against classifiers
//	rounding.go           how far apart float32 lets a network's answers be
//	place.go, bisect.go   where a model parts from its network; from another model
//	recording.go          what a model answered, kept to hold others to
//	statistics.go         how errors are spread
//	same.go               Same: any two models, output by output
//	measure.go, race.go   which frames a model selects on clips; times side by side
//	videos*.go            clips from random numbers, arrays and folders of frames
//	report.go, report_html.go, interim.go   what was found: text, JSON, page; what a dying child leaves
package verify
