package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/verify/ort"
)

// TestWidth: on a terminal of a usual width no table, help or sentence is wider,
// but for commands to copy and words that nothing can break.
func TestWidth(t *testing.T) {
	lib, missing := ort.Find()
	if missing == nil {
		t.Setenv(ort.LibraryVariable, lib.Path)
	}
	t.Chdir(t.TempDir())
	spec := small
	spec.Frames = 64 // wide rows of masks
	for name, raw := range map[string][]byte{"a-model-with-quite-a-long-name.onnx": encodedSpec(t, spec), "small.onnx": encodedSpec(t, small)} {
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "convert", "a-model-with-quite-a-long-name.onnx", "-o", "af.onnx")
	mustRun(t, "convert", "small.onnx", "-o", "small.af.onnx")
	clips := clipsFile(t, 12, small.Frames, 3, small.Size, small.Size)
	commands := [][]string{
		{"inspect", "af.onnx"}, {"inspect", "small.onnx"}, {"convert", "small.onnx", "-o", "x.onnx"}, {"optimize", "small.onnx", "-o", "x.onnx"},
		{"flops", "estimate", "a-model-with-quite-a-long-name.onnx"}, {"flops", "estimate", "af.onnx", "--by", "block"},
		{"flops", "estimate", "small.onnx", "--by", "operator"}, {"flops", "estimate", "af.onnx", "--ratio", "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"},
		{"flops", "estimate", "--arch", "af-resnet50"}, {"export", "af.onnx", "-o", "w.safetensors"}, {"passes"}, {"doctor"}, {"version"},
	}
	run := [][]string{
		{"verify", "--same", "small.onnx", "small.af.onnx"}, {"verify", "small.onnx", "small.af.onnx", "--clips", "3"}, {"verify", "af.onnx", "--alone", "--only", "masks,latency", "--rounds", "1"},
		{"flops", "measure", "af.onnx"}, {"sweep", "small.onnx", "small.af.onnx", "--input", clips, "--rounds", "1", "--published", "sthv1"},
		{"fit", "small.onnx", "-o", "fitted.onnx", "--input", clips}, {"tune", "small.af.onnx", "-o", "tuned.onnx", "--source", "small.onnx", "--input", clips, "--epochs", "1", "--batch", "2"},
	}
	commands = append(commands, helps((&app{}).cli().Commands, nil)...)
	for _, width := range []int{80, 100, 120} {
		t.Setenv(columnsVariable, fmt.Sprint(width))
		for _, args := range commands {
			tooWide(t, width, args, tryRun(t, args...).stdout)
		}
		for _, args := range run {
			if missing != nil || testing.Short() && width != 80 {
				continue
			}
			var out, failed bytes.Buffer
			cmd := program(t.Context(), append(args, "--threads", "1")...)
			cmd.Stdout, cmd.Stderr = &out, &failed
			cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != exitOK && code != exitMismatch {
				t.Errorf("afc %q: exit %d, %s", args, code, &failed)
			}
			tooWide(t, width, args, out.String())
		}
	}
	if missing != nil {
		t.Skip(missing)
	}
}

// tooWide reports lines that are longer than the terminal is wide.
func tooWide(t *testing.T, width int, args []string, out string) {
	t.Helper()
	if out == "" {
		t.Errorf("afc %q printed nothing", args)
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "next: ") && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("afc %q: on %d columns a line has %d:\n%s", args, width, utf8.RuneCountInString(line), line)
		}
	}
}

// helps are the calls for help with every command.
func helps(commands []*cli.Command, before []string) [][]string {
	calls := [][]string{append(before[:len(before):len(before)], "--help")}
	for _, c := range commands {
		if !c.Hidden {
			calls = append(calls, helps(c.Subcommands, append(before[:len(before):len(before)], c.Name))...)
		}
	}
	return calls
}
