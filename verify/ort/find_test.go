package ort

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestFindVariable(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "mylib.so")
	if err := os.WriteFile(lib, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(LibraryVariable, lib)
	got, err := Find()
	if err != nil || got.Path != lib || got.From != LibraryVariable {
		t.Errorf("Find() = %+v, %v; want %s from %s", got, err, lib, LibraryVariable)
	}

	t.Setenv(LibraryVariable, lib+".gone")
	var unavailable *UnavailableError
	if _, err := Find(); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), lib+".gone") {
		t.Errorf("a variable naming no file gives %v, want an UnavailableError naming it", err)
	}
}

func TestFindProject(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("library names are those of Linux here")
	}
	t.Setenv(LibraryVariable, "")
	t.Setenv("LD_LIBRARY_PATH", "")
	root := t.TempDir()
	inner := filepath.Join(root, "sub")
	for _, dir := range []string{inner, filepath.Join(root, ".ort")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"libonnxruntime.so.1.9.0", "libonnxruntime.so.1", "libonnxruntime_providers_shared.so"} {
		if err := os.WriteFile(filepath.Join(root, ".ort", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(inner)
	// Without a go.mod, sub is not known to belong to root.
	if got, err := Find(); err == nil && strings.HasPrefix(got.Path, root) {
		t.Errorf("Find() = %s, above a folder that is no module", got.Path)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(root, ".ort", "libonnxruntime.so.1")
	if got, err := Find(); err != nil || got.Path != want {
		t.Errorf("Find() = %+v, %v; want %s", got, err, want)
	}
}
