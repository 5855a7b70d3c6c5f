package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func put(name, text string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "net")
	if err := Folder(dir, put("a", "one")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := Folder(dir, put("b", "two")); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder in use was taken: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
		t.Error("a refused folder was written to")
	}
}

func TestFolderThatFailsIsNotThere(t *testing.T) {
	want := errors.New("no")
	for _, path := range []string{"net", "made/for/net"} {
		parent := t.TempDir()
		err := Folder(filepath.Join(parent, path), func(dir string) error { return errors.Join(put("a", "half")(dir), want) })
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v", path, err)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("%s: left behind: %v", path, left)
		}
	}
}

func TestFolderTakesAnEmptyOne(t *testing.T) {
	dir := t.TempDir()
	if err := Folder(dir, put("a", "one")); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("got %v", entries)
	}
}
