//go:build cgo && !unix

package ort

// captureLog runs f; here the runtime's log cannot be caught.
func captureLog(f func() error) ([]string, error) { return nil, f() }
