package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// small is a network that converts in no time.
var small = testmodels.Spec{Blocks: []int{2, 2}, Width: 8, Frames: 4, Size: 24, Classes: 3}

// TestCommandLine holds what people see to golden files: help, one clear line
// for each mistake, and the exit code.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encode := func(s testmodels.Spec) []byte {
		var b bytes.Buffer
		if err := s.Build().Encode(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	model := file("model.onnx", encode(small))
	inBatch := small
	inBatch.Input, inBatch.Head = testmodels.FramesInBatch, testmodels.PerFrameScores
	frames := file("frames.onnx", encode(inBatch))
	truncated := file("truncated.onnx", encode(small)[:5000])
	text := file("text.onnx", []byte("this is no model\n"))
	miss := file("miss.onnx", encode(testmodels.NearMisses()[0].Spec))
	out := filepath.Join(dir, "out.onnx")
	af := filepath.Join(dir, "af.onnx")
	mustRun(t, "convert", model, "-o", af)
	branches := filepath.Join(dir, "branches.onnx")
	large := small
	large.Size = 64
	mustRun(t, "convert", file("large.onnx", encode(large)), "-o", branches, "--lowering", "branch")
	beside := file("beside.onnx", encode(small))
	file("beside.af.onnx", nil)

	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"help", []string{"--help"}, exitOK},
		{"help-inspect", []string{"help", "inspect"}, exitOK},
		{"help-convert", []string{"convert", "--help"}, exitOK},
		{"help-fit", []string{"fit", "--help"}, exitOK},
		{"help-tune", []string{"tune", "--help"}, exitOK},
		{"help-verify", []string{"verify", "--help"}, exitOK},
		{"help-optimize", []string{"optimize", "-h"}, exitOK},
		{"help-export", []string{"export", "--help"}, exitOK},
		{"help-quantize-config", []string{"quantize-config", "--help"}, exitOK},
		{"quantize-config-branch", []string{"quantize-config", branches}, exitInvalid},
		{"help-flops", []string{"flops", "--help"}, exitOK},
		{"help-flops-estimate", []string{"flops", "estimate", "--help"}, exitOK},
		{"help-flops-measure", []string{"flops", "measure", "--help"}, exitOK},
		{"help-doctor", []string{"doctor", "--help"}, exitOK},
		{"inspect", []string{"inspect", model}, exitOK},
		{"inspect-json", []string{"inspect", model, "--json"}, exitOK},
		{"inspect-af", []string{"inspect", af}, exitOK},
		{"inspect-dot", []string{"inspect", af, "--dot", "-"}, exitOK},

		{"unknown-command", []string{"covnert"}, exitUsage},
		{"unknown-subcommand", []string{"flops", "guess"}, exitUsage},
		{"unknown-flag", []string{"convert", model, "--fast"}, exitUsage},
		{"flag-without-value", []string{"convert", model, "-o"}, exitUsage},
		{"no-input", []string{"convert", "-o", out}, exitUsage},
		{"no-output", []string{"optimize", model}, exitUsage},
		{"there-already", []string{"convert", beside}, exitUsage},
		{"version-flag", []string{"--version", "x"}, exitUsage},
		{"misspelt-flag", []string{"convert", model, "--framse", "3"}, exitUsage},
		{"two-outputs", []string{"convert", model, out, "-o", af}, exitUsage},
		{"output-is-input", []string{"convert", model, "-o", model}, exitUsage},
		{"no-such-folder", []string{"convert", model, "-o", filepath.Join(dir, "none", "out.onnx")}, exitUsage},
		{"output-is-folder", []string{"optimize", model, "-o", dir}, exitUsage},
		{"no-such-file", []string{"inspect", filepath.Join(dir, "none.onnx")}, exitUsage},
		{"input-is-folder", []string{"inspect", dir}, exitUsage},
		{"bad-navigation", []string{"convert", model, "-o", out, "--navigation", "uniform:2"}, exitUsage},
		{"bad-lowering", []string{"convert", model, "-o", out, "--lowering", "fast"}, exitUsage},
		{"topk-without-budget", []string{"convert", model, "-o", out, "--lowering", "topk"}, exitUsage},
		{"size-with-model", []string{"convert", model, "-o", out, "--size", "64"}, exitUsage},
		{"bad-shape", []string{"optimize", model, "-o", out, "--input-shapes", "video:1,x"}, exitUsage},
		{"unknown-pass", []string{"optimize", model, "-o", out, "--skip-pass", "magic"}, exitUsage},
		{"unknown-check", []string{"verify", af, "--only", "magic"}, exitUsage},
		{"fit-without-clips", []string{"fit", model, "-o", out}, exitUsage},
		{"fit-for-what", []string{"fit", model, "-o", out, "--input", text, "--for", "some"}, exitUsage},
		{"fit-without-list", []string{"fit", model, "-o", out, "--input", text, "--list", text}, exitUsage},
		{"fit-two-outputs", []string{"fit", model, out, "-o", af, "--input", text}, exitUsage},
		{"export-wrong-name", []string{"export", af, "-o", filepath.Join(dir, "w.bin")}, exitUsage},

		{"not-onnx", []string{"convert", text, "-o", out}, exitInvalid},
		{"truncated", []string{"convert", truncated, "-o", out}, exitInvalid},
		{"not-a-checkpoint", []string{"convert", "--weights", text, "-o", out}, exitInvalid},
		{"export-plain-model", []string{"export", model, "-o", filepath.Join(dir, "w.safetensors")}, exitInvalid},

		{"near-miss", []string{"convert", miss, "-o", out}, exitNotRecognized},
		{"inspect-json-refused", []string{"inspect", miss, "--json"}, exitNotRecognized},
		{"frames-not-said", []string{"convert", frames, "-o", out}, exitNotRecognized},
		{"wrong-frames", []string{"inspect", model, "--source-frames", "5"}, exitNotRecognized},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := tryRun(t, c.args...)
			if o.code != c.code {
				t.Errorf("exit %d, want %d", o.code, c.code)
			}
			if c.code != exitOK && strings.Count(o.stderr, "\n") != 1 {
				t.Errorf("the message is not one line:\n%s", o.stderr)
			}
			golden := fmt.Sprintf("$ afc %s\nexit %d\n-- stdout\n%s-- stderr\n%s", strings.Join(c.args, " "), o.code, o.stdout, o.stderr)
			testutil.Golden(t, "cli/"+c.name+".txt", strings.ReplaceAll(golden, dir, "DIR"))
			if _, err := os.Stat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// TestGoldenFilesAreUsed fails on golden files that no case writes any more.
func TestGoldenFilesAreUsed(t *testing.T) {
	source, err := os.ReadFile("cli_test.go")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join("testdata", "cli"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !bytes.Contains(source, []byte(`{"`+strings.TrimSuffix(e.Name(), ".txt")+`",`)) {
			t.Errorf("testdata/cli/%s belongs to no case", e.Name())
		}
	}
}

// TestOutputNotTaken: no command succeeds whose output nobody got.
func TestOutputNotTaken(t *testing.T) {
	closed, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	for _, args := range [][]string{{"--help"}, {"flops"}, {"convert", "--help"}, {"passes"}, {"version"}, {"inspect", modelFile(t, small)}} {
		var stderr strings.Builder
		code := run(t.Context(), append([]string{"afc"}, args...), nil, closed, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "afc: write "+os.DevNull+": ") {
			t.Errorf("afc %s: exit %d, stderr %q", args[0], code, stderr.String())
		}
	}
}

// TestNoRuntime: without ONNX Runtime verify says what to do, with a code of
// its own; convert does not need it.
func TestNoRuntime(t *testing.T) {
	t.Setenv(ort.LibraryVariable, filepath.Join(t.TempDir(), "none.so"))
	model := modelFile(t, small)
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", model, "-o", af)
	for _, args := range [][]string{{"verify", model, af}, {"doctor"}, {"flops", "measure", af}} {
		o := tryRun(t, args...)
		if o.code != exitUnavailable || !strings.Contains(o.stderr, ort.LibraryVariable) || strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("afc %s: exit %d, stderr %q", args[0], o.code, o.stderr)
		}
	}
	// A mistake in the call is one, runtime or not.
	for want, args := range map[string][]string{
		`no check "nonsense"`:    {"verify", af, "--only", "nonsense"},
		"there is no folder":     {"verify", af, "--report", filepath.Join(t.TempDir(), "none", "r.html")},
		"what to verify?":        {"verify"},
		"none.onnx: no such":     {"verify", "none.onnx"},
		"unknown provider":       {"verify", af, "--provider", "npu"},
		"--atol: it goes with":   {"verify", af, "--atol", "1"},
		"--list: it goes with":   {"verify", af, "--list", "x"},
		"takes two models":       {"verify", "--same", af},
		"--min-top1 90":          {"verify", af, "--min-top1", "90"},
		"--clips 0: expected 1":  {"flops", "measure", af, "--clips", "0"},
		"expected a positive ti": {"flops", "measure", af, "--timeout", "-1s"},
	} {
		if o := tryRun(t, args...); o.code != exitUsage || !strings.Contains(o.stderr, want) {
			t.Errorf("afc %s: exit %d, stderr %q; want %q", strings.Join(args, " "), o.code, o.stderr, want)
		}
	}
}

// TestEndToEnd converts, verifies, exports and converts back, as users do. The
// verification runs as a process of its own.
func TestEndToEnd(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	model := modelFile(t, small)
	af, again := filepath.Join(dir, "af.onnx"), filepath.Join(dir, "again.onnx")
	weights := filepath.Join(dir, "weights.safetensors")
	var exported [2][]byte

	o := mustRun(t, "convert", model, af, "--lowering", "gather")
	if !strings.Contains(o.stderr, "fine-tune") {
		t.Errorf("convert does not say that the model needs fine-tuning: %q", o.stderr)
	}
	mustRun(t, "export", af, "-o", weights)
	mustRun(t, "convert", model, "--weights", weights, "-o", again, "--lowering", "gather")
	back := filepath.Join(dir, "back.safetensors")
	mustRun(t, "export", again, "-o", back)
	for i, path := range []string{weights, back} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if exported[i] = data; i > 0 && !bytes.Equal(exported[0], data) {
			t.Error("exported, converted and exported again, the weights differ")
		}
	}
	verified := func(want int, args ...string) {
		t.Helper()
		var out bytes.Buffer
		cmd := program(t.Context(), append([]string{"verify", "--threads", "1"}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("verify %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, &out)
		}
	}
	verified(exitOK, model, af, "--rounds", "1")
	verified(exitOK, "--same", af, again)
	verified(exitMismatch, "--same", model, af)
}

// TestReproducible: the same conversion gives the same bytes.
func TestReproducible(t *testing.T) {
	model := modelFile(t, small)
	var files [2][]byte
	for i := range files {
		out := filepath.Join(t.TempDir(), "af.onnx")
		mustRun(t, "convert", model, "-o", out)
		var err error
		if files[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two conversions of one model differ")
	}
}
