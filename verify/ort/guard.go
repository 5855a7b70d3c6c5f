package ort

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ONNX Runtime is native code and the model is the user's: it may crash or
// hang where no Go code can catch it. So a command that runs models runs as a
// child of itself. The child says on a pipe what it is doing; when it dies or
// takes too long, the parent, whose files are untouched, says where.

const guardVariable = "AFC_GUARDED" // in the child: the descriptor it reports on, or unheard

// unheard is the guard's variable in a child that nobody listens to.
const unheard = "unheard"

// Guard runs this program again as a child that may crash. The program's main
// checks Guarded to know which of the two it is.
type Guard struct {
	Args           []string // arguments of the child, without the program's name
	Env            []string // besides the environment of this process: "NAME=value"
	Timeout        time.Duration
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// CrashError says that the guarded child died or was stopped.
type CrashError struct {
	Doing   string        // the last that it said it was doing, "" before the first
	Signal  string        // how it ended, "" if time ran out
	Timeout time.Duration // the limit it exceeded

	// Kept is what it last said with Keep, nil if nothing.
	Kept []byte
}

func (e *CrashError) Error() string {
	doing := e.Doing
	if doing == "" {
		doing = "starting"
	}
	if e.Signal == "" {
		return fmt.Sprintf("%s: not done after %v (allow more with --timeout)", doing, e.Timeout)
	}
	return fmt.Sprintf("%s: ONNX Runtime crashed (%s)", doing, e.Signal)
}

// Guarded reports whether this process is the child of a Guard. From the first
// call on it ends when its parent does.
func Guarded() bool {
	watch()
	return os.Getenv(guardVariable) != ""
}

// The descriptors of a child: it says on one what it does, and reads from the
// other, on which nothing is written, that its parent is gone.
const (
	doingDescriptor = 3 // ExtraFiles start there
	lifeDescriptor  = 4
)

// watch makes a heard child end with its parent, even while native code runs:
// killed, the parent cannot stop it.
var watch = sync.OnceFunc(func() {
	if os.Getenv(guardVariable) != strconv.Itoa(doingDescriptor) {
		return
	}
	life := os.NewFile(lifeDescriptor, "life")
	go func() {
		if _, err := io.Copy(io.Discard, life); err == nil {
			os.Exit(orphaned)
		}
	}()
})

// orphaned is the exit code of a child whose parent is gone: nobody sees it.
const orphaned = 1

// Run runs the child to its end and returns its exit code. A child that ended
// without Done, or exceeded Timeout (0: none), gives a *CrashError.
// Cancelling ctx interrupts the child, which is killed if it does not stop.
func (g Guard) Run(ctx context.Context) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	life, alive, err := os.Pipe() // alive is ours, and closes when we are gone
	if err != nil {
		w.Close()
		return 0, err
	}
	defer alive.Close()
	limited := ctx
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, g.Timeout)
		defer cancel()
	}
	cmd := exec.CommandContext(limited, exe, g.Args...)
	cmd.Env = append(append(os.Environ(), g.Env...), guardVariable+"="+strconv.Itoa(doingDescriptor))
	if os.Getenv("GOTRACEBACK") == "" {
		// Go's stacks say nothing of a fault in native code.
		cmd.Env = append(cmd.Env, "GOTRACEBACK=none")
	}
	cmd.ExtraFiles = []*os.File{w, life}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = g.Stdin, g.Stdout, g.Stderr
	// The user's interrupt reaches the child of a terminal too; give it time
	// to stop cleanly. A hung child gets none.
	cmd.Cancel = func() error {
		if ctx.Err() != nil {
			return cmd.Process.Signal(os.Interrupt)
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = 3 * time.Second
	err = cmd.Start()
	w.Close()
	life.Close()
	if err != nil {
		return 0, err
	}
	told := make(chan account, 1)
	go func() { told <- listen(r) }()
	err = cmd.Wait()
	a := <-told
	switch code := cmd.ProcessState.ExitCode(); {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case limited.Err() != nil:
		return 0, &CrashError{Doing: a.doing, Timeout: g.Timeout, Kept: a.kept}
	case a.doing != doneLine: // Go turns a signal in native code into exit code 2
		return 0, &CrashError{Doing: a.doing, Signal: cmd.ProcessState.String(), Kept: a.kept}
	case err != nil && !errors.As(err, new(*exec.ExitError)):
		return 0, err
	default:
		return code, nil
	}
}

// account is what a child told of itself last.
type account struct {
	doing string
	kept  []byte
}

// keptMark begins the lines that hold what a child keeps.
const keptMark = "kept "

func listen(r io.Reader) account {
	var a account
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return a // what is cut off was not all said
		}
		line = strings.TrimSuffix(line, "\n")
		if kept, ok := strings.CutPrefix(line, keptMark); ok {
			a.kept = []byte(kept)
		} else {
			a.doing = line
		}
	}
}

// reports is where a guarded child says what it is doing.
var reports = sync.OnceValue(func() *os.File {
	fd, err := strconv.Atoi(os.Getenv(guardVariable))
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "doing")
})

// doneLine is the last line of a child that ended by itself.
const doneLine = "done."

// Done must be called in a guarded child right before it exits.
func Done() {
	if Guarded() {
		Doing(doneLine)
	}
}

// Keep tells the guarding parent, if there is one, what to make of this
// process's work should it die from here on: a line without line breaks.
func Keep(line []byte) {
	if f := reports(); f != nil {
		fmt.Fprintf(f, "%s%s\n", keptMark, line)
	}
}

// Doing tells the guarding parent, if there is one, what is done next.
func Doing(format string, args ...any) {
	if f := reports(); f != nil {
		fmt.Fprintf(f, format+"\n", args...)
	}
}
