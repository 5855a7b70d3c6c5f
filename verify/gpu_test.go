package verify_test

import (
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestWebGPU runs on a GPU, or on a software driver of one: make gpu-test sets
// VK_ICD_FILENAMES to the SwiftShader of Debian's chromium.
func TestWebGPU(t *testing.T) {
	provider := ort.Provider{Name: "webgpu"}
	if err := ort.ProbeProvider(provider); err != nil {
		t.Skip(err)
	}
	half := afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}
	for _, tt := range []struct {
		lowering codegen.Lowering
		strict   bool
	}{
		{codegen.Mask, true},
		{codegen.TopK, true},
		{codegen.Gather, false}, // NonZero has no kernel there
	} {
		t.Run(string(tt.lowering), func(t *testing.T) {
			s := converted(t, tt.lowering, half, 2)
			opt := verify.Options{
				Only:     []string{"load", "reference", "provider", "repeat", "latency"},
				Videos:   clips.Random{Count: 2, Seed: 1},
				Threads:  1,
				Rounds:   2,
				Provider: provider,
			}
			opt.Provider.AllowFallback = !tt.strict
			r, err := verify.Verify(t.Context(), s, opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Checks {
				want := verify.Pass
				if c.Name == "latency" {
					want = verify.Info
				}
				if c.Status != want {
					t.Errorf("%s is %s: %s %s", c.Name, c.Status, c.Figure, c.Where)
				}
			}
			if len(r.Latency) != 2 || len(r.Latency[0].Samples) != 2 {
				t.Errorf("latency %+v, want two rounds of model and source", r.Latency)
			}
			if len(r.Placement) == 0 || r.Placement[0].Nodes == 0 {
				t.Errorf("placement %+v", r.Placement)
			}
			if fell := len(r.Fallbacks) > 0; fell == tt.strict {
				t.Errorf("nodes beside the provider: %+v; strict %v", r.Fallbacks, tt.strict)
			}
			if testing.Verbose() {
				r.WriteText(t.Output())
			}
		})
	}
}

// TestWebGPUStrict refuses a model that the provider does not hold whole.
func TestWebGPUStrict(t *testing.T) {
	provider := ort.Provider{Name: "webgpu"}
	if err := ort.ProbeProvider(provider); err != nil {
		t.Skip(err)
	}
	s := lowered(t, network(t, 0), codegen.Gather)
	r, err := verify.Verify(t.Context(), s, verify.Options{Only: []string{"provider", "repeat"}, Threads: 1, Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	if c := row(t, r, "provider"); c.Status != verify.Fail || !strings.Contains(c.Where, "on the CPU: ") || !strings.Contains(c.Where, "NonZero (4)") {
		t.Errorf("gather without fallback: %+v", c)
	}
	if c := row(t, r, "repeat"); c.Status != verify.Skip {
		t.Errorf("a check that needs the provider: %+v", c)
	}
}

// TestProviderUnavailable never runs on the CPU instead.
func TestProviderUnavailable(t *testing.T) {
	s := lowered(t, network(t, 0), codegen.Mask)
	for _, name := range []string{"cuda", "tensorrt", "coreml", "openvino"} {
		provider := ort.Provider{Name: name}
		if ort.ProbeProvider(provider) == nil {
			continue // it is there
		}
		_, err := verify.Verify(t.Context(), s, verify.Options{Provider: provider})
		if err == nil || !strings.HasPrefix(err.Error(), "provider "+name+" is not available: ") {
			t.Errorf("provider %s: %v", name, err)
		}
	}
}
