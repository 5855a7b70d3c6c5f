// Package verify proves on ONNX Runtime that a model computes what it should:
// sessions and providers, comparison, timing, checks and their report. It is
// the only package that touches ONNX Runtime, through cgo; built without cgo
// every session fails with an *UnavailableError that says what to do.
package verify
