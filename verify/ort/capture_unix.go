//go:build cgo && unix

package ort

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ONNX Runtime logs to file descriptor 2 itself and the binding offers no
// hook, so the descriptor is redirected while a model loads. It belongs to the
// process: one capture at a time.
var captureLock sync.Mutex

// captureLog runs f and returns what ONNX Runtime logged meanwhile. Anything
// else written to standard error comes out there, when f is done.
func captureLog(f func() error) ([]string, error) {
	captureLock.Lock()
	defer captureLock.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, f()
	}
	defer r.Close()
	saved, err := unix.Dup(2)
	if err != nil {
		w.Close()
		return nil, f()
	}
	stderr := os.NewFile(uintptr(saved), "stderr")
	defer stderr.Close()

	var log []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		log = readLog(r, stderr)
	}()
	restore := func() {
		unix.Dup2(saved, 2)
		<-done // the last write end is gone
	}
	if err := unix.Dup2(int(w.Fd()), 2); err != nil {
		w.Close()
		restore()
		return nil, f()
	}
	w.Close()
	err = f()
	restore()
	return log, err
}

var (
	logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[([VIWEF]):([^\]]*)\] (.*)$`)
	colour  = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// readLog takes ONNX Runtime's lines out of r and passes the others on.
func readLog(r *os.File, rest *os.File) []string {
	var log []string
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		plain := strings.TrimRight(colour.ReplaceAllString(line, ""), "\n")
		if m := logLine.FindStringSubmatch(plain); m != nil {
			log = append(log, m[1]+": "+m[3])
		} else if plain != "" || line == "\n" { // the runtime ends a coloured line behind its line break
			rest.WriteString(line)
		}
		if err != nil {
			return log
		}
	}
}
