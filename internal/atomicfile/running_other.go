//go:build !unix

package atomicfile

import "os"

// running reports whether a process is there, or may be.
func running(pid int) bool {
	p, err := os.FindProcess(pid) // fails where there is none
	if err != nil {
		return false
	}
	p.Release()
	return true
}
