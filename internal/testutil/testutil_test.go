package testutil

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "testutil", "testutil.go")); err != nil {
		t.Error(err)
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
