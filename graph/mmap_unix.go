//go:build unix

package graph

import (
	"errors"
	"os"
	"syscall"
)

// mapFile maps the first size bytes of a file, read-only.
func mapFile(f *os.File, size int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_PRIVATE)
}

// isFault reports whether the system found no memory at an address.
func isFault(err error) bool { return errors.Is(err, syscall.EFAULT) }

func unmap(b []byte) error { return syscall.Munmap(b) }
