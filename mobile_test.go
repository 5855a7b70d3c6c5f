package afc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestMobileProved: an AF-MobileNetV3 passes every check in the lowerings that skip,
// although float32 moves its answers further than a ResNet's; and faults that are
// small beside its numbers are found all the same.
func TestMobileProved(t *testing.T) {
	if _, err := ort.Find(); err != nil {
		t.Skip(err)
	}
	weights := testutil.Shared(t, "fixtures", "afnet", "afmbv3_tsm_t4.pth.tar")
	for _, lowering := range []codegen.Lowering{codegen.Gather, codegen.Branch} {
		if testing.Short() && lowering != codegen.Gather {
			continue
		}
		path := filepath.Join(t.TempDir(), string(lowering)+".onnx")
		opt := ConvertOptions{Weights: weights, Output: path, Size: [2]int{96, 96}, Lowering: lowering}
		if _, err := Convert(t.Context(), opt); err != nil {
			t.Fatal(err)
		}
		if failed := failures(t, path, nil); failed != nil {
			t.Errorf("%s: %v", lowering, failed)
		}
		if lowering != codegen.Gather {
			continue
		}
		for _, fault := range faults {
			if failed := failures(t, broken(t, path, fault.plant), []string{"interpreter"}); failed == nil {
				t.Errorf("%s is not found", fault.name)
			}
		}
	}
}

// faults are planted where no digest of weights tells.
var faults = []struct {
	name  string
	plant func(*graph.Node) bool
}{
	{"squeeze-and-excitation of a thousandth more", func(n *graph.Node) bool {
		found := n.Is("HardSigmoid") && strings.Contains(n.Name, ".se.")
		if found {
			n.SetAttr(graph.Float("beta", 0.5005))
		}
		return found
	}},
	{"an h-swish of another slope", func(n *graph.Node) bool {
		found := n.Is("HardSigmoid") && strings.HasPrefix(n.Name, "features_stage3_refine")
		if found {
			n.SetAttr(graph.Float("alpha", 0.1667))
		}
		return found
	}},
	{"a skipped frame answered by another row of F(0)", func(n *graph.Node) bool {
		found := n.Is("Gather") && strings.HasSuffix(n.Name, ".zero_rows")
		if found {
			rows, _ := n.Input(1).Const().Int64s()
			rows = slices.Clone(rows)
			rows[0] = rows[len(rows)/2]
			n.SetInput(1, n.Graph().NewInitializer("afc.other_rows", graph.Vec(rows...)))
		}
		return found
	}},
}

// broken writes a model with a fault in the first node that takes it.
func broken(t *testing.T, path string, plant func(*graph.Node) bool) string {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	planted := false
	for n := range m.Graph.Nodes() {
		if planted = plant(n); planted {
			break
		}
	}
	if !planted {
		t.Fatal("no node takes the fault")
	}
	out := filepath.Join(t.TempDir(), "broken.onnx")
	data, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// failures are the checks, of those named or of all but times, that fail on a
// model.
func failures(t *testing.T, path string, only []string) []string {
	t.Helper()
	opt := VerifyOptions{Model: path, Only: only}
	if only == nil {
		opt.Skip = []string{"latency"}
	}
	r, err := Verify(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, c := range r.Checks {
		if c.Status == verify.Fail {
			failed = append(failed, c.Name+": "+c.Figure+" "+c.Where)
		}
	}
	return failed
}
