//go:build unix

package ort

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
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

// peakResident returns the most memory, in bytes, that this process had
// resident, 0 if the system does not tell. Linux's getrusage would count what
// the parent had when it started the process.
func peakResident() int64 {
	if status, err := os.Open("/proc/self/status"); err == nil {
		defer status.Close()
		for lines := bufio.NewScanner(status); lines.Scan(); {
			if size, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
				kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(size, "kB")), 10, 64)
				if err == nil {
					return kB * 1024
				}
			}
		}
	}
	var u unix.Rusage
	if runtime.GOOS != "darwin" || unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss
}
