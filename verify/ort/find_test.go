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

// TestFindPlaces: the library is found from any folder, in the order that Places
// says.
func TestFindPlaces(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("library names and folders are those of Linux here")
	}
	home := t.TempDir()
	t.Setenv(LibraryVariable, "")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("VIRTUAL_ENV", filepath.Join(home, "venv"))
	t.Setenv("LD_LIBRARY_PATH", filepath.Join(home, "system"))
	t.Chdir(t.TempDir())
	cache, err := CacheFolder()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ folder, from string }{
		{filepath.Join(home, "system"), systemPlace},
		{filepath.Join(home, "venv", "lib", "python3.11", "site-packages", "onnxruntime", "capi"), "the active Python environment"},
		{cache, "the user's cache"},
	} {
		if err := os.MkdirAll(c.folder, 0o755); err != nil {
			t.Fatal(err)
		}
		lib := filepath.Join(c.folder, "libonnxruntime.so.1")
		if err := os.WriteFile(lib, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := Find(); err != nil || got.Path != lib || got.From != c.from {
			t.Errorf("Find() = %+v, %v; want %s from %s", got, err, lib, c.from)
		}
	}
}

// TestUnpackRefuses: an archive that is not the pinned one is not unpacked.
func TestUnpackRefuses(t *testing.T) {
	to := filepath.Join(t.TempDir(), "lib")
	for name, unpack := range map[string]func([]byte, string, string) error{"npm": unpackNPM, "wheel": unpackWheel} {
		if err := unpack([]byte("other"), "linux/x64", to); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("something was unpacked")
	}
}
