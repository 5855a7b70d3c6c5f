package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestVerifyMemory: the memory told is that of a process with one model in it:
// it holds the model's weights, and not those of the model it is raced against.
func TestVerifyMemory(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	spec := testmodels.Spec{Depth: 18, Width: 64, Frames: 2, Size: 33, Classes: 7}
	large := modelFile(t, spec)
	spec.Width = 8
	small := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", modelFile(t, spec), "-o", small)
	weights, err := os.Stat(large)
	if err != nil {
		t.Fatal(err)
	}
	var r verify.Report
	o := mustRun(t, "verify", large, small, "--only", "seal,latency", "--rounds", "1", "--threads", "1", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	model, source := r.Latency[0].Resident, r.Latency[1].Resident
	if model == 0 {
		t.Skip("this system does not tell")
	}
	if more := source - model; more < weights.Size()*9/10 {
		t.Errorf("with a model of %d bytes a process has %d bytes resident, with a small one %d", weights.Size(), source, model)
	}

	if help := mustRun(t, "--help").stdout; strings.Contains(help, residentName) {
		t.Errorf("help shows %s, which is for verify alone", residentName)
	}
}
