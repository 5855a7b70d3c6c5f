package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestKindsOfClips takes sources of other clips than normalised RGB all the
// way: recognised, converted, verified, counted and measured.
func TestKindsOfClips(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	tiny := testmodels.Spec{Blocks: []int{2, 2, 2, 2}, Width: 8, Frames: 4, Size: 33, Classes: 7, Dynamic: true}
	kind := func(input testmodels.Input, pixels bool, channels int) testmodels.Spec {
		s := tiny
		s.Input, s.Pixels, s.Channels = input, pixels, channels
		return s
	}
	estimates := map[int]string{} // by channels of a frame, which layouts do not change
	for _, tt := range []struct {
		name  string
		spec  testmodels.Spec
		input string // as inspect prints it
	}{
		{"pixels by frame", kind(testmodels.FramesOwnAxis, true, 3), "uint8 [batch,4,33,33,3]"},
		{"pixels in the batch", kind(testmodels.FramesInBatch, true, 3), "uint8 [frames,33,33,3]"},
		{"pixels side by side", kind(testmodels.FramesInChannels, true, 3), "uint8 [batch,33,33,12]"},
		{"flow by frame", kind(testmodels.FramesOwnAxis, false, 10), "float32 [batch,4,10,33,33], [N, T, 10, H, W]"},
		{"flow in the batch", kind(testmodels.FramesInBatch, false, 10), "float32 [frames,10,33,33], [N·T, 10, H, W]"},
		{"flow side by side", kind(testmodels.FramesInChannels, false, 10), "float32 [batch,40,33,33], [N, T·10, H, W]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := modelFile(t, tt.spec)
			if o := mustRun(t, "inspect", source); !strings.Contains(o.stdout, tt.input) {
				t.Errorf("inspect does not tell %s:\n%s", tt.input, o.stdout)
			}
			af := filepath.Join(t.TempDir(), "af.onnx")
			mustRun(t, "convert", source, "-o", af)
			var r verify.Report
			if err := json.Unmarshal([]byte(mustRun(t, "verify", source, af, "--clips", "2", "--threads", "1", "--rounds", "1", "--json").stdout), &r); err != nil {
				t.Fatal(err)
			}
			others := []string{"provider", "identity", "cells", "dial", "export", "empty"} // of other machines, conversions and sources
			for _, c := range r.Checks {
				if c.Status == verify.Skip && !slices.Contains(others, c.Name) {
					t.Errorf("%s is skipped: %s", c.Name, c.Where)
				}
			}
			mustRun(t, "verify", "--same", source, source, "--threads", "1")
			_, estimate, _ := strings.Cut(mustRun(t, "flops", "estimate", source).stdout, "\n") // behind the file's name
			convs := regexp.MustCompile("(?m)^ *Conv .*$").FindString(mustRun(t, "flops", "estimate", source, "--by", "operator").stdout)
			if estimate += convs; convs == "" {
				t.Error("flops estimate --by operator counts no convolutions")
			}
			if want, seen := estimates[tt.spec.Channels]; seen && estimate != want {
				t.Errorf("flops estimate:\n%s\nin another layout:\n%s", estimate, want)
			}
			estimates[tt.spec.Channels] = estimate
			mustRun(t, "flops", "measure", af, "--clips", "1", "--threads", "1")
		})
	}
}

// TestClipsOfAnotherType: clips that the input's type cannot hold are the
// caller's slip, not failed checks.
func TestClipsOfAnotherType(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	spec := small
	spec.Pixels = true
	source := modelFile(t, spec)
	clips := clipsFile(t, 1, 24, 24, 12)
	if o := tryRun(t, "verify", source, "--input", clips); o.code != exitInvalid || !strings.Contains(o.stderr, "which is no uint8") || o.stdout != "" {
		t.Errorf("exit %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}
