package ort

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

// TestFetchScript runs what of scripts/fetch-ort.sh needs no network, in a
// project of its own.
func TestFetchScript(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(testutil.Root(t), "scripts", "fetch-ort.sh"))
	if err != nil {
		t.Fatal(err)
	}
	project, tools := t.TempDir(), t.TempDir()
	path := filepath.Join(project, "scripts", "fetch-ort.sh")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	// A machine without npm and pip.
	for _, tool := range []string{"uname", "dirname", "mktemp", "rm", "cat", "cut", "sha256sum"} {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(real, filepath.Join(tools, tool)); err != nil {
			t.Fatal(err)
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		name, library string
		ok            bool
		says          string
	}{
		{"a library is named", path, true, "using AFC_ORT_LIBRARY=" + path},
		{"a missing library is named", path + ".gone", false, path + ".gone, which is not a file"},
		{"nothing to fetch with", "", false, "install node/npm or python/pip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), sh, path)
			cmd.Env = []string{"PATH=" + tools, LibraryVariable + "=" + tt.library}
			out, err := cmd.CombinedOutput()
			if (err == nil) != tt.ok || !strings.Contains(string(out), tt.says) {
				t.Errorf("%v, %q; want success %v and %q", err, out, tt.ok, tt.says)
			}
			if _, err := os.Stat(filepath.Join(project, ".ort")); err == nil {
				t.Error("it left a .ort folder")
			}
		})
	}
}
