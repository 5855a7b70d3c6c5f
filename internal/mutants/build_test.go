package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify/ort"
)

// outcome is what became of a fault.
type outcome struct {
	built bool
	code  int    // exit code of the trial; −1: it did not end
	said  string // what it found
}

// found reports whether the fault was seen.
func (o outcome) found() bool { return o.code != 0 }

// try builds the trial with files, by their paths in the repository, replaced
// by other contents, and runs it.
func try(t *testing.T, files map[string]string) outcome {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	root, dir := testutil.Root(t), t.TempDir()
	replace := map[string]string{}
	for path, content := range files {
		edited := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(edited, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, path)] = edited
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "trial")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./internal/mutants/trial")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return outcome{code: -1, said: string(out)}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = root
	out, err := cmd.Output()
	o := outcome{built: true, said: strings.TrimSpace(string(out))}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		o.code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return o
}

// source reads a file of the repository.
func source(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testutil.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
