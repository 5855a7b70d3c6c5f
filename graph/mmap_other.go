//go:build !unix

package graph

import (
	"io"
	"os"
)

// mapFile reads the first size bytes of a file, where there is no mmap.
func mapFile(f *os.File, size int) ([]byte, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(f, b)
	return b, err
}

func isFault(error) bool { return false }

func unmap([]byte) error { return nil }
