//go:build linux

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

var big = flag.Bool("big", false, "TestMemory on a model of more than 2 GB")

// TestMemory runs commands on a model with external data and looks at the most
// memory that each ever had, heap and pages of mapped files together, beyond
// what the program itself takes. Commands that need no weights must not read
// them; the others may take 1.5 times the weights. What they write must load.
//
// With more than protobuf's 2 GB (go test ./cmd/afc -run TestMemory -big, which
// takes 12 GB of disk and 20 GB of memory, most of that for ONNX Runtime),
// outputs must go to external data by themselves.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes some 300 MB")
	}
	spec := testmodels.Spec{Depth: 50, Width: 64, BN: testmodels.BNKept, Frames: 2, Size: 64, Classes: 20}
	if *big {
		spec.Width = 320
	}
	dir := t.TempDir()
	in := filepath.Join(dir, "in.onnx")
	weights := writeExternal(t, spec, in)
	if *big && weights <= graph.MaxFileSize {
		t.Fatalf("the model has %d bytes, want more than %d", weights, graph.MaxFileSize)
	}
	idle := peakMemory(t, "version")
	const none = 16 << 20 // tables of nodes and shapes
	for _, tc := range []struct {
		args  []string
		out   string
		limit int64
	}{
		{[]string{"inspect", in}, "", none},
		{[]string{"flops", "estimate", in}, "", weights * 3 / 2},
		{[]string{"optimize", in}, "optimized.onnx", weights * 3 / 2},
		{[]string{"convert", in}, "af.onnx", weights * 3 / 2},
	} {
		t.Run(tc.args[0], func(t *testing.T) {
			args := tc.args
			out := filepath.Join(dir, tc.out)
			if tc.out != "" {
				args = append(args, "-o", out)
				if !*big {
					args = append(args, "--external-data")
				}
			}
			took := peakMemory(t, args...) - idle
			t.Logf("%d MB for %d MB of weights, %.2f times", took>>20, weights>>20, float64(took)/float64(weights))
			if took > tc.limit {
				t.Errorf("limit %d MB", tc.limit>>20)
			}
			if tc.out == "" {
				return
			}
			if fi, err := os.Stat(out + ".data"); err != nil || fi.Size() < weights/2 {
				t.Errorf("its weights: %v, %v", fi, err)
			}
			s, err := ort.OpenSession(out, ort.SessionOptions{Threads: 2, OptLevel: ort.OptNone})
			if errors.As(err, new(*ort.UnavailableError)) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatalf("ONNX Runtime does not load it: %v", err)
			}
			s.Close()
		})
	}
	if *big {
		mustRun(t, "verify", "--same", in, filepath.Join(dir, "optimized.onnx"))
		mustRun(t, "verify", filepath.Join(dir, "af.onnx"), "--clips", "1", "--only", "file,seal,load,reference")
	}
}

// writeExternal writes a model with its weights outside, and returns their
// bytes.
func writeExternal(t *testing.T, spec testmodels.Spec, path string) int64 {
	t.Helper()
	data, err := os.Create(path + ".data")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	var model bytes.Buffer
	if err := spec.Build().EncodeExternal(&model, data, filepath.Base(path)+".data"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, model.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	fi, err := data.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory runs afc and returns the most resident bytes it had, mapped files
// among them. (The rusage of a child would do, did it not start with what the
// parent had when it forked.)
func peakMemory(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := program(t.Context(), args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	var peak int64
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
			if m := highWater.FindSubmatch(status); m != nil {
				kb, err := strconv.ParseInt(string(m[1]), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				peak = max(peak, kb<<10)
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("afc %v: %v\n%s", args, err, output.Bytes())
			}
			return peak
		case <-time.After(2 * time.Millisecond):
		}
	}
}
