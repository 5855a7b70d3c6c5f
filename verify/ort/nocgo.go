//go:build !cgo

package ort

// open fails: ONNX Runtime is reached through cgo.
func open(modelSource, SessionOptions) (engine, []string, error) { return nil, nil, errNoCgo() }

// Version fails likewise.
func Version() (string, error) { return "", errNoCgo() }

// ProbeProvider fails likewise.
func ProbeProvider(Provider) error { return errNoCgo() }

func errNoCgo() error {
	return &UnavailableError{"ONNX Runtime", "this afc was built without cgo", "build it with CGO_ENABLED=1 and a C compiler"}
}
