package graph

import "fmt"

// read returns the bytes an external tensor points at.
func (e *External) read(t *Tensor) ([]byte, error) {
	return nil, fmt.Errorf("tensor %q: external data is not read yet", t.Name)
}

func (m *Model) resolveExternal() error { return nil }
