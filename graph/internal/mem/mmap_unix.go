//go:build unix

package mem

import (
	"errors"
	"os"
	"syscall"
)

// mapFile maps the first size bytes of a file, read-only.
func mapFile(f *os.File, size int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_PRIVATE)
}

// IsFault reports whether the system found no memory at an address.
func IsFault(err error) bool { return errors.Is(err, syscall.EFAULT) }

func unmap(b []byte) error { return syscall.Munmap(b) }
