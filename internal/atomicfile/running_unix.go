//go:build unix

package atomicfile

import (
	"errors"
	"syscall"
)

// running reports whether a process is there, or may be.
func running(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
