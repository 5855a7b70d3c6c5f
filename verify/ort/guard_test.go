package ort

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary its own guarded child: its arguments say how
// to end.
func TestMain(m *testing.M) {
	if !Guarded() {
		os.Exit(m.Run())
	}
	switch how := os.Args[1]; how {
	case "exit":
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
		Doing("working")
		Done()
		os.Exit(4)
	case "crash":
		Doing("loading x.onnx")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "panic": // as Go ends after a signal in native code
		Doing("running x.onnx")
		os.Exit(2)
	case "guard": // of a child that hangs
		os.Unsetenv(guardVariable)
		Guard{Args: []string{"hang"}, Stdout: os.Stdout}.Run(context.Background())
	case "hang":
		fmt.Println(os.Getpid())
		Doing("running x.onnx")
		time.Sleep(time.Minute)
	}
}

func TestGuard(t *testing.T) {
	tests := []struct {
		how     string
		timeout time.Duration
		code    int
		message string
	}{
		{"exit", time.Minute, 4, ""},
		{"crash", time.Minute, 0, "loading x.onnx: ONNX Runtime crashed (signal: killed)"},
		{"panic", time.Minute, 0, "running x.onnx: ONNX Runtime crashed (exit status 2)"},
		{"hang", 200 * time.Millisecond, 0, "running x.onnx: not done after 200ms"},
	}
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			g := Guard{Args: []string{tt.how}, Timeout: tt.timeout, Stdout: &stdout, Stderr: &stderr}
			code, err := g.Run(t.Context())
			if tt.message == "" {
				if err != nil || code != tt.code {
					t.Fatalf("exit code %d, %v; want %d", code, err, tt.code)
				}
				if stdout.String() != "out\n" || stderr.String() != "err\n" {
					t.Errorf("the child's output came as %q and %q", stdout.String(), stderr.String())
				}
				return
			}
			var crash *CrashError
			if !errors.As(err, &crash) || !strings.HasPrefix(err.Error(), tt.message) {
				t.Errorf("error %v, want %q", err, tt.message)
			}
		})
	}
}

func TestGuardCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	_, err := Guard{Args: []string{"hang"}}.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("the child was left to run for %v", d)
	}
}

// TestGuardKilled: the child of a parent that was killed ends.
func TestGuardKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe, "guard")
	parent.Env = append(os.Environ(), guardVariable+"="+unheard)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	parent.Process.Kill()
	parent.Wait()
	for range 100 {
		if syscall.Kill(child, 0) != nil || zombie(child) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	syscall.Kill(child, syscall.SIGKILL)
	t.Error("the child of a killed parent runs on")
}

// zombie reports whether a process has ended but was not waited for: where
// nobody reaps orphans, it stays so.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
