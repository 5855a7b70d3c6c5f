package afc_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// computedKernels are the convolutions of a file whose kernels no initializer
// holds, each with the operator that makes its kernel.
func computedKernels(t *testing.T, path string) (computed []*graph.Node, convs int) {
	t.Helper()
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	for n := range m.Graph.AllNodes() {
		if !n.Is("Conv") {
			continue
		}
		if convs++; n.Input(1).Initializer() == nil {
			computed = append(computed, n)
		}
	}
	return computed, convs
}

// TestKernelsAreStored: quantisers and converters look for kernels among the
// initializers, and find all of them there, but of branch and of OpenVINO's form
// of a shift, which put some together of what is there (docs/RATIONALE.md).
func TestKernelsAreStored(t *testing.T) {
	for family, shift := range map[string]testmodels.Shift{"TSN": testmodels.NoShift, "TSM": testmodels.ShiftPad} {
		for _, open := range []bool{false, true} {
			for _, size := range []int{64, 192} {
				spec := testmodels.Spec{Blocks: []int{2, 2, 2, 2}, Width: 16, Frames: 4, Size: size, Classes: 3, Shift: shift, BN: testmodels.BNKept, Dynamic: open}
				source := written(t, spec)
				name := fmt.Sprintf("%s %d open %v", family, size, open)
				fast := filepath.Join(t.TempDir(), "fast.onnx")
				if _, err := afc.Optimize(t.Context(), afc.OptimizeOptions{Model: source, Output: fast}); err != nil {
					t.Fatal(err)
				}
				if computed, convs := computedKernels(t, fast); len(computed) > 0 || convs == 0 {
					t.Errorf("%s, optimize: %d of %d kernels are computed, %s", name, len(computed), convs, computed[0].Input(1).Name())
				}
				for _, opt := range kernelWays() {
					opt.Model = source
					computed, convs := computedKernels(t, converted(t, opt))
					for _, n := range computed {
						if made := n.Input(1); !overInitializers(made) {
							t.Errorf("%s, %s%s: the kernel of %s depends on what %s reads", name, opt.Lowering, opt.Target, n.Name, made.Producer().OpType)
						}
					}
					joins := opt.Lowering == codegen.Branch || opt.Target == codegen.CPU || opt.Target == codegen.OpenVINO
					if len(computed) > 0 && !joins {
						t.Errorf("%s, %s%s: %d of %d kernels are computed", name, opt.Lowering, opt.Target, len(computed), convs)
					}
				}
			}
		}
	}
}

// kernelWays are the ways to write an AFNet.
func kernelWays() []afc.ConvertOptions {
	ways := []afc.ConvertOptions{{Lowering: codegen.TopK, Budget: []int{2}}, {Lowering: codegen.Mask}, {Lowering: codegen.Gather}, {Lowering: codegen.Branch}}
	for _, target := range codegen.Targets {
		ways = append(ways, afc.ConvertOptions{Target: target})
	}
	return ways
}

// overInitializers reports whether a value is made of initializers alone, so that
// a runtime makes it once, when it loads the model.
func overInitializers(v *graph.Value) bool {
	if v == nil || v.Initializer() != nil {
		return true
	}
	n := v.Producer()
	return n != nil && !slices.ContainsFunc(n.Inputs(), func(in *graph.Value) bool { return !overInitializers(in) })
}
