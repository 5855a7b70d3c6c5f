// Package ort drives ONNX Runtime: the only package that touches its binding,
// through cgo. Built without cgo it is a stub whose sessions fail with an
// *UnavailableError that says what to do.
//
//	session.go    Session: inputs, outputs, runs, bindings; what a build provides (engine)
//	load.go       a session from a model or a file
//	find.go       where the runtime's shared library lies
//	install.go    brings the pinned library into the user's cache
//	provider.go   execution providers: CPU, CUDA, TensorRT, WebGPU, CoreML, OpenVINO
//	profile.go    the runtime's trace, node by node
//	timing.go     races of sessions, round by round
//	usage_*.go    processor time and resident memory of this process
//	resident.go   what a model takes in memory, in a process of its own
//	guard.go      the parent of a process that may crash in native code
//	capture_*.go  what the runtime logs while it loads
//	cgo.go, binding_cgo.go, tensor_cgo.go, provider_cgo.go   the binding
//	nocgo.go      the stub
package ort
