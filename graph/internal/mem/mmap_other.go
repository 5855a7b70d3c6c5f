//go:build !unix

package mem

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

// IsFault reports whether the system found no memory at an address.
func IsFault(error) bool { return false }

func unmap([]byte) error { return nil }
