package triton

import (
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
)

var small = testmodels.Spec{Depth: 18, Width: 8, Frames: 4, Size: 32, Classes: 5}

func TestConfig(t *testing.T) {
	testutil.NoOrphans(t, "*.pbtxt")
	dynamic := small
	dynamic.Dynamic = true
	for _, c := range []struct {
		name string
		m    *graph.Model
		opt  Options
	}{
		{"fixed", small.Build(), Options{Name: "af", Target: CPU, Instances: 1, MaxBatch: 8}},
		{"open_batch", dynamic.Build(), Options{Name: "af", Target: CUDA, Instances: 2, MaxBatch: 16}},
		{"tensorrt", small.Build(), Options{Name: "af", Target: TensorRT, Instances: 1, MaxBatch: 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Config(c.m, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			testutil.Golden(t, c.name+".pbtxt", got)
		})
	}
}

// Frames of all clips in the first axis are not what Triton may batch.
func TestFramesAreNotBatched(t *testing.T) {
	spec := small
	spec.Dynamic, spec.Input = true, testmodels.FramesInBatch
	got, err := Config(spec.Build(), Options{Name: "af", Instances: 1, MaxBatch: 8})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "max_batch_size: 0") {
		t.Errorf("batched though frames share the first axis:\n%s", got)
	}
}

func TestConfigErrors(t *testing.T) {
	untyped := small.Build()
	untyped.Graph.Inputs()[0].Type.Shape = nil
	mute := small.Build()
	mute.Graph.RemoveOutput(0)
	complex := small.Build()
	complex.Graph.Inputs()[0].Type.Elem = graph.Complex64
	for _, c := range []struct {
		m    *graph.Model
		name string
		want string
	}{
		{small.Build(), "../up", `"../up" is no name`},
		{small.Build(), "", `"" is no name`},
		{untyped, "af", "does not say the shape"},
		{mute, "af", "nothing to serve"},
		{complex, "af", "complex64, which Triton does not know"},
	} {
		_, err := Config(c.m, Options{Name: c.name, Instances: 1, MaxBatch: 8})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got, want := quote("a\"b\\\x1b\n"), `"a\042b\134\033\012"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
