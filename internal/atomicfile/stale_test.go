package atomicfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestStale: what a process left that is no more goes; what another one writes,
// or another machine may, stays.
func TestStale(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run", "^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "out.onnx")
	stays := map[string]bool{
		fmt.Sprintf(".out.onnx.afc-%s-%d-ABC.tmp", machine(), gone.Process.Pid):   false,
		fmt.Sprintf(".out.onnx.afc-%s-%d-ABC.tmp", machine(), os.Getppid()):       true,
		fmt.Sprintf(".out.onnx.afc-other-%d-ABC.tmp", gone.Process.Pid):           true,
		fmt.Sprintf(".other.onnx.afc-%s-%d-ABC.tmp", machine(), gone.Process.Pid): true,
		".out.onnx.afc-OLDNAME.tmp": true,
	}
	for name := range stays {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	for name, want := range stays {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", name, err == nil, want)
		}
	}
}
