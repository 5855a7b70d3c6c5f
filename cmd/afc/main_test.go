package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// asProgram, in the environment, makes the test binary be afc: for tests that
// kill it, or start it from outside.
const asProgram = "AFC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || ort.Guarded() {
		main()
	}
	os.Exit(m.Run())
}

// program returns a command that runs afc as a process of its own.
func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// outcome is what a run in this process printed and returned.
type outcome struct {
	code           int
	stdout, stderr string
}

func tryRun(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"afc"}, args...), strings.NewReader(""), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// mustRun runs afc and fails the test unless it returns 0.
func mustRun(t *testing.T, args ...string) outcome {
	t.Helper()
	o := tryRun(t, args...)
	if o.code != exitOK {
		t.Fatalf("afc %s: exit %d\n%s", strings.Join(args, " "), o.code, o.stderr)
	}
	return o
}

// checkpointFile writes a random AFNet checkpoint.
func checkpointFile(t *testing.T, spec testmodels.AFSpec) string {
	t.Helper()
	sd := checkpoint.New()
	for _, e := range spec.Checkpoint() {
		sd.Set(e.Key, e.Tensor)
	}
	return weightsFile(t, sd)
}

// weightsFile writes a checkpoint.
func weightsFile(t *testing.T, sd *checkpoint.StateDict) string {
	t.Helper()
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, sd); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "weights.safetensors", b.Bytes())
}

// modelFile writes a model built by testmodels.
func modelFile(t *testing.T, spec testmodels.Spec) string {
	t.Helper()
	return encodedFile(t, spec.Build())
}

func encodedFile(t *testing.T, m *graph.Model) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "model.onnx", b.Bytes())
}

// writeFile writes a file into a fresh folder.
func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// clipsFile writes an array of float32 that look like nothing, as clips.npy.
func clipsFile(t *testing.T, dims ...int) string {
	t.Helper()
	n, shape := 1, ""
	for _, d := range dims {
		n *= d
		shape += strconv.Itoa(d) + ", "
	}
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }"
	npy := append([]byte("\x93NUMPY\x01\x00\x76\x00"), header+strings.Repeat(" ", 117-len(header))+"\n"...) // 118 bytes of header
	for i := range n {
		npy = binary.LittleEndian.AppendUint32(npy, math.Float32bits(float32(i*7919%1000)/500-1))
	}
	return writeFile(t, "clips.npy", npy)
}
