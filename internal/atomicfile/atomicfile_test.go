package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// onlyFiles fails if the folder holds anything but the named files.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("folder holds %v, want %v", got, want)
	}
}

func TestCommitReplacesAndKeepsPermissions(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	write(t, path, "old")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	f.WriteString("new")
	if got := read(t, path); got != "old" {
		t.Errorf("before Commit the path holds %q", got)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "new" {
		t.Errorf("after Commit the path holds %q", got)
	}
	fi, _ := os.Stat(path)
	if fi.Mode().Perm() != 0o640 {
		t.Errorf("permissions became %v, want -rw-r-----", fi.Mode().Perm())
	}
	onlyFiles(t, dir, "out")
}

func TestDiscardLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("part")
	f.Discard()
	onlyFiles(t, dir)
}

func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "far"), 0o755)
	for _, c := range []struct{ name, old string }{{"existing", "old"}, {"dangling", ""}} {
		t.Run(c.name, func(t *testing.T) {
			target, link := filepath.Join(dir, "far", c.name), filepath.Join(dir, c.name)
			if c.old != "" {
				write(t, target, c.old)
			}
			if err := os.Symlink(filepath.Join("far", c.name), link); err != nil {
				t.Fatal(err)
			}
			if err := WriteFile(link, []byte("new")); err != nil {
				t.Fatal(err)
			}
			if fi, _ := os.Lstat(link); fi.Mode()&fs.ModeSymlink == 0 {
				t.Error("the link was replaced by a file")
			}
			if got := read(t, target); got != "new" {
				t.Errorf("target holds %q", got)
			}
		})
	}
}

func TestSymlinkLoop(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	os.Symlink(a, b)
	os.Symlink(b, a)
	if err := WriteFile(a, nil); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Errorf("got %v, want an error about symbolic links", err)
	}
}

func TestDeviceIsWrittenNotReplaced(t *testing.T) {
	link := filepath.Join(t.TempDir(), "null")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(os.DevNull); err != nil || fi.Mode()&fs.ModeDevice == 0 {
		t.Fatalf("%s is no device any more: %v, %v", os.DevNull, fi, err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(dir, nil); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("writing onto a folder: %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "out"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing into a missing folder: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Log("root ignores write protection: not tested")
		return
	}
	ro := filepath.Join(dir, "ro")
	write(t, ro, "old")
	os.Chmod(ro, 0o444)
	if err := WriteFile(ro, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing onto a read-only file: %v", err)
	}
}

// TestTwoWriters: whoever commits last wins, whole.
func TestTwoWriters(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	var wg sync.WaitGroup
	for _, c := range []byte("ab") {
		wg.Go(func() {
			for range 50 {
				if err := WriteFile(path, bytes.Repeat([]byte{c}, 10_000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := read(t, path)
	if got != strings.Repeat("a", 10_000) && got != strings.Repeat("b", 10_000) {
		t.Errorf("the file holds a mixture, %d bytes", len(got))
	}
	onlyFiles(t, dir, "out")
}

func TestRemoveTemporaries(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	RemoveTemporaries()
	t.Cleanup(func() { mu.Lock(); closing = false; mu.Unlock() })
	onlyFiles(t, dir)
	if err := f.Commit(); !errors.Is(err, ErrStopping) {
		t.Errorf("Commit after RemoveTemporaries: %v, want ErrStopping", err)
	}
	if _, err := Create(filepath.Join(dir, "other")); !errors.Is(err, ErrStopping) {
		t.Errorf("Create after RemoveTemporaries: %v, want ErrStopping", err)
	}
	onlyFiles(t, dir)
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	write(t, a, "")
	os.Symlink(a, filepath.Join(dir, "soft"))
	os.Link(a, filepath.Join(dir, "hard"))
	write(t, filepath.Join(dir, "b"), "")
	for name, want := range map[string]bool{"a": true, "soft": true, "hard": true, "b": false, "none": false} {
		if got := SameFile(a, filepath.Join(dir, name)); got != want {
			t.Errorf("SameFile(a, %s) = %v", name, got)
		}
	}
}
