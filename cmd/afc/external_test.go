package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// encoded reads a model, external data included, and returns it as one file.
func encoded(t *testing.T, path string) []byte {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	data, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestExternalData(t *testing.T) {
	small := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 2, Size: 32, Classes: 3, Seed: 1})
	other := modelFile(t, testmodels.Spec{Depth: 18, Width: 8, Frames: 2, Size: 32, Classes: 3, Seed: 2})
	dir := t.TempDir()
	plain, out := filepath.Join(dir, "plain.onnx"), filepath.Join(dir, "out.onnx")
	mustRun(t, "optimize", small, "-o", plain)
	mustRun(t, "optimize", small, "-o", out, "--external-data")
	want := encoded(t, plain)
	if !bytes.Equal(encoded(t, out), want) {
		t.Error("with external data it is another model")
	}
	model, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}

	// A copy of the model still has its weights after another one took the name.
	old := filepath.Join(dir, "old.onnx")
	if err := os.WriteFile(old, model, 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "optimize", other, "-o", out, "--external-data")
	if !bytes.Equal(encoded(t, old), want) {
		t.Error("writing another model to the same name took the first one's weights")
	}
	if bytes.Equal(encoded(t, out), want) {
		t.Error("the second model has the first one's weights")
	}

	// Written again, the same files.
	mustRun(t, "optimize", small, "-o", out, "--external-data")
	again, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, model) {
		t.Error("written again, the model differs")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("files are %q, want plain, old, out and the weights that the last two share", files)
	}

	// Once no model names it, it goes; so does what a model without outside
	// weights no longer needs.
	if err := os.Remove(old); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "optimize", other, "-o", out, "--external-data")
	if data, err := filepath.Glob(out + "*.data"); err != nil || len(data) != 1 {
		t.Errorf("one model, and weights %q, %v", data, err)
	}
	mustRun(t, "optimize", other, "-o", out)
	if data, err := filepath.Glob(out + "*.data"); err != nil || len(data) != 0 {
		t.Errorf("no model with weights outside, and %q, %v", data, err)
	}
	mustRun(t, "optimize", other, "-o", out, "--external-data")

	link := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(out, link); err != nil {
		t.Skip(err)
	}
	if got := tryRun(t, "optimize", small, "-o", link, "--external-data"); got.code != exitUsage {
		t.Errorf("through a link: exit %d, want %d\n%s", got.code, exitUsage, got.stderr)
	}
}
