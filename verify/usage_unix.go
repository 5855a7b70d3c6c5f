//go:build unix

package verify

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// processTime returns the processor time that all threads of the process have
// used.
func processTime() (time.Duration, bool) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}

// peakMemory returns the most memory, in bytes, that the process has had
// resident.
func peakMemory() (int64, bool) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss), true
	}
	return int64(u.Maxrss) * 1024, true
}
