//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// hostile is a name that acts on terminals, hides, forges lines and formulas,
// and is long.
func hostile(n int) string {
	return "=1+1\x1b[2J\x1b]0;owned\x07\u202e\u009b31m\r\nexit 0\t" + strings.Repeat("x", n)
}

// hostileModel is a model whose every name and text is hostile.
func hostileModel(t *testing.T, spec testmodels.Spec, n int) string {
	t.Helper()
	m := spec.Build()
	evil := hostile(n)
	m.ProducerName, m.ProducerVersion, m.Doc, m.Domain = evil, evil, evil, ""
	m.SetMeta(evil, evil)
	m.Graph.Name, m.Graph.Doc = evil, evil
	for node := range m.Graph.Nodes() {
		node.Name = evil + node.Name
		for _, v := range node.Outputs() {
			v.Rename(evil + v.Name())
		}
	}
	for _, v := range append(m.Graph.Inputs(), m.Graph.Initializers()...) {
		v.Rename(evil + v.Name())
	}
	return encodedFile(t, m)
}

// TestHostileNames walks what every command says of models full of hostile
// names, accepted, refused and broken: nothing reaches the terminal that acts on
// it, no message grows without end, no cell of a CSV is a formula.
func TestHostileNames(t *testing.T) {
	spec := small
	spec.BN = testmodels.BNKept
	good, huge := hostileModel(t, spec, 10), hostileModel(t, spec, 1<<13)
	miss := hostileModel(t, testmodels.NearMisses()[0].Spec, 10)
	cut, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	broken := writeFile(t, "broken.onnx", cut[:len(cut)*2/3])
	evil := filepath.Join(t.TempDir(), "a\x1b[2Jb.onnx")
	if err := os.WriteFile(evil, cut, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	af := filepath.Join(dir, "af.onnx")
	mustRun(t, "convert", good, "-o", af)
	for _, model := range []string{good, huge, miss, broken, evil, af, filepath.Join(dir, "\x1b[2Jnone.onnx")} {
		for _, args := range [][]string{
			{"inspect", model}, {"inspect", model, "--json"}, {"inspect", model, "--dot", "-"},
			{"convert", model, "-o", filepath.Join(dir, "o.onnx")}, {"convert", model, "-o", filepath.Join(dir, "o.onnx"), "--json"},
			{"convert", "--weights", model, "-o", filepath.Join(dir, "o.onnx")},
			{"convert", model, "-o", filepath.Join(dir, "o.onnx"), "--input-shapes", "\x1b[2J:1,2"}, {"convert", model, "\x1b[2J", "more"},
			{"optimize", model, "-o", filepath.Join(dir, "o.onnx"), "--check"}, {"optimize", model, "-o", "\x1b[2J/x"},
			{"flops", "estimate", model}, {"flops", "estimate", model, "--by", "operator", "--csv"}, {"flops", "estimate", model, "--csv"},
			{"flops", "estimate", model, "--json"}, {"export", model, "-o", filepath.Join(dir, "o.safetensors")},
			{"\x1b[2J"}, {"inspect", model, "--\x1b[2J"},
		} {
			o := tryRun(t, args...)
			for what, text := range map[string]string{"standard output": o.stdout, "standard error": o.stderr} {
				for _, r := range text {
					if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
						t.Errorf("afc %q: %U on %s", args, r, what)
						break
					}
				}
				for line := range strings.Lines(text) {
					if strings.HasPrefix(line, "exit 0") {
						t.Errorf("afc %q: a name forged the line %q on %s", args, line, what)
					}
					if strings.HasPrefix(line, "=") {
						t.Errorf("afc %q: a formula begins the line %q", args, line)
					}
				}
			}
			if len(o.stderr) > 10_000 {
				t.Errorf("afc %.200q: %d bytes on standard error", args, len(o.stderr))
			}
			if len(o.stdout) > 200_000 && args[len(args)-1] != "--json" && args[len(args)-1] != "-" {
				t.Errorf("afc %.200q: %d bytes on standard output", args, len(o.stdout))
			}
		}
	}
}

// TestPipes: what never ends is refused before it is read.
func TestPipes(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "pipe.onnx")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "out.onnx")
	for _, args := range [][]string{
		{"inspect", fifo}, {"convert", fifo, "-o", out}, {"convert", "--weights", fifo, "-o", out}, {"optimize", fifo, "-o", out},
		{"export", fifo, "-o", out + ".safetensors"}, {"flops", "estimate", fifo}, {"verify", fifo}, {"flops", "measure", fifo},
		{"fit", fifo, "-o", out, "--input", fifo}, {"inspect", os.DevNull},
	} {
		o := tryRun(t, args...)
		if o.code != exitUsage || !strings.Contains(o.stderr, "is a pipe") && args[1] != os.DevNull {
			t.Errorf("afc %q: exit %d, %s", args, o.code, o.stderr)
		}
	}
	if _, err := graph.ReadFile(fifo); err == nil {
		t.Error("package graph reads a pipe")
	}
}

// TestNoStandardOutput: files are not written to standard output, nor to a file
// called "-" by mistake.
func TestNoStandardOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	model := modelFile(t, small)
	for _, args := range [][]string{{"convert", model, "-o", "-"}, {"optimize", model, "-"}, {"export", model, "-o", "-"}, {"explain", model, "-o", "-"}} {
		if o := tryRun(t, args...); o.code != exitUsage || !strings.Contains(o.stderr, "standard output") {
			t.Errorf("afc %q: exit %d, %s", args, o.code, o.stderr)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("written: %v, %v", entries, err)
	}
	mustRun(t, "convert", model, "-o", "./-")
}

// TestExplainKeepsTheModel: the page does not take the place of what it is about.
func TestExplainKeepsTheModel(t *testing.T) {
	model := modelFile(t, small)
	before, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if o := tryRun(t, "explain", model, "-o", model); o.code != exitUsage || !strings.Contains(o.stderr, "the output is the input") {
		t.Errorf("exit %d, %s", o.code, o.stderr)
	}
	if after, err := os.ReadFile(model); err != nil || string(after) != string(before) {
		t.Errorf("the model was changed: %v", err)
	}
}
