package testutil

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "testutil", "testutil.go")); err != nil {
		t.Error(err)
	}
}

// TestOrphans tells golden files that nothing asks for.
func TestOrphans(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.txt", "b.txt", "other.txt"} {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	Golden(t, "a.txt", "x")
	if got := orphans(t, "*.txt", []string{"other*"}); !slices.Equal(got, []string{filepath.Join("testdata", "b.txt")}) {
		t.Errorf("orphans %q", got)
	}
}

func TestNPZ(t *testing.T) {
	arrays := NPZ(t, Shared(t, "fixtures", "afnet", "afr50_tsn_t4.npz"))
	if got := arrays["clip"].Shape().String(); got != "[2,4,3,64,64]" {
		t.Errorf("clip is %s, want [2,4,3,64,64]", got)
	}
	gmacs, err := arrays["gmacs"].Float32s()
	if err != nil || len(gmacs) != 1 || gmacs[0] <= 0 || gmacs[0] > 1 {
		t.Errorf("gmacs = %v, %v; want one small positive number", gmacs, err)
	}
}
