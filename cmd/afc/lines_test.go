package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/verify/ort"
)

// TestThreeLines: the lines that people type work as typed, and what they choose
// by themselves is right and said.
func TestThreeLines(t *testing.T) {
	lib, missing := ort.Find()
	if missing == nil {
		t.Setenv(ort.LibraryVariable, lib.Path)
	}
	t.Chdir(t.TempDir())
	write := func(name string, classes int) {
		spec := small
		spec.Classes = classes
		raw := encodedSpec(t, spec)
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("model.onnx", 3)
	if o := mustRun(t, "convert", "model.onnx"); !strings.Contains(o.stdout, "model.af.onnx: AFNet") {
		t.Errorf("it does not say where: %s", o.stdout)
	}
	mustRun(t, "flops", "estimate", "model.onnx")
	if o := tryRun(t, "convert", "model.onnx"); o.code != exitUsage || !strings.Contains(o.stderr, "--force") {
		t.Errorf("over a file: exit %d, %s", o.code, o.stderr)
	}
	mustRun(t, "convert", "model.onnx", "--force")
	wants := func(said string, args ...string) {
		t.Helper()
		if missing != nil {
			t.Skip(missing)
		}
		cmd := program(t.Context(), append(args, "--only", "seal,reference", "--threads", "1")...)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), said) != 1 {
			t.Errorf("afc %q: %v, want %q once in\n%s", args, err, said, out)
		}
	}
	wants("source is model.onnx", "verify")
	wants("verifying model.af.onnx, the AFNet in this folder", "verify")
	// Under another name it is found by its bytes; other bytes are not taken.
	if err := os.Rename("model.onnx", "renamed.onnx"); err != nil {
		t.Fatal(err)
	}
	write("model.onnx", 4)
	wants("source is renamed.onnx", "verify", "model.af.onnx")
	if err := os.Remove("renamed.onnx"); err != nil {
		t.Fatal(err)
	}
	wants("its source, model.onnx, is not beside it", "verify", "model.af.onnx")
	mustRun(t, "convert", "model.onnx", "-o", "other.onnx")
	if o := tryRun(t, "verify"); o.code != exitUsage || !strings.Contains(o.stderr, "model.af.onnx, other.onnx") {
		t.Errorf("of two: exit %d, %s", o.code, o.stderr)
	}
}

// TestCompletion has the shells that are here read their scripts, and bash
// complete.
func TestCompletion(t *testing.T) {
	completed := map[string]string{
		"afc con": "convert", "afc flops es": "estimate", "afc convert --lower": "--lowering", "afc convert --lowering ga": "gather", "afc completion z": "zsh",
	}
	for _, shell := range shells {
		o := mustRun(t, "completion", shell)
		if !strings.Contains(o.stdout, "convert") || !strings.Contains(o.stdout, "gather") {
			t.Errorf("%s: no commands and values in\n%.500s", shell, o.stdout)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		script := filepath.Join(t.TempDir(), "afc."+shell)
		if err := os.WriteFile(script, []byte(o.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
		switch shell {
		case "zsh":
			ask := `autoload -Uz compinit && compinit -u -D; source "$1"; echo $_comps[afc]`
			if out, err := exec.Command(path, "-f", "-c", ask, "zsh", script).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "_afc" {
				t.Errorf("sourced by zsh, afc is completed by %q (%v), want _afc", out, err)
			}
			continue
		case "fish":
			for line, want := range completed {
				ask := fmt.Sprintf("source %s; complete -C %q", script, line)
				if out, err := exec.Command(path, "--no-config", "-c", ask).Output(); err != nil || !slices.ContainsFunc(strings.Split(string(out), "\n"), func(l string) bool { return strings.HasPrefix(l, want) }) {
					t.Errorf("fish completes %q to %q (%v), want %q", line, out, err, want)
				}
			}
			continue
		}
		for line, want := range completed {
			ask := `source "$1"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _afc; echo "${COMPREPLY[@]}"`
			if out, err := exec.Command(path, "-c", ask, "bash", script, line).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("bash completes %q to %q (%v), want %q", line, out, err, want)
			}
		}
	}
	if man := mustRun(t, "man").stdout; !strings.Contains(man, ".SS afc flops estimate") || !strings.Contains(man, `\-\-lowering`) {
		t.Errorf("the manual page lacks commands or flags:\n%.500s", man)
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"inspect", "convert", "verify", "flops", "optimize", "version"}
	for given, want := range map[string]string{"covnert": "convert", "verfy": "verify", "opt": "optimize", "insepct": "inspect", "zzz": "", "": "", "flop": "flops"} {
		got := didYouMean(given, names)
		if (want == "") != (got == "") || want != "" && !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
