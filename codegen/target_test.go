package codegen_test

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

func TestChoose(t *testing.T) {
	af := spec{name: "af", frames: 4, size: [2]int{32, 32}, width: 8, af: []int{2}, plain: []int{1}}
	open, plain := af, af
	open.size = [2]int{}
	plain.af = nil
	budget := []int{2}
	for _, tc := range []struct {
		name string
		spec
		opt  codegen.Options
		want codegen.Lowering
	}{
		{"default", af, codegen.Options{}, codegen.Branch},
		{"cpu, any size", open, codegen.Options{Target: codegen.CPU}, codegen.Gather},
		{"cuda", af, codegen.Options{Target: codegen.CUDA}, codegen.Gather},
		{"tensorrt", af, codegen.Options{Target: codegen.TensorRT}, codegen.Mask},
		{"tensorrt with a budget", af, codegen.Options{Target: codegen.TensorRT, Budget: budget}, codegen.TopK},
		{"webgpu", af, codegen.Options{Target: codegen.WebGPU}, codegen.Mask},
		{"webgpu with a budget", af, codegen.Options{Target: codegen.WebGPU, Budget: budget}, codegen.TopK},
		{"openvino", af, codegen.Options{Target: codegen.OpenVINO}, codegen.Branch},
		{"openvino, any size", open, codegen.Options{Target: codegen.OpenVINO}, codegen.Mask},
		{"tract", af, codegen.Options{Target: codegen.Tract}, codegen.Gather},
		{"portable", af, codegen.Options{Target: codegen.Portable}, codegen.Mask},
		{"asked for", af, codegen.Options{Target: codegen.WebGPU, Lowering: codegen.Gather}, codegen.Gather},
		{"plain network", plain, codegen.Options{}, codegen.Mask},
	} {
		t.Run(tc.name, func(t *testing.T) {
			net := newNetwork(tc.spec)
			c := codegen.Choose(net, tc.opt)
			if c.Lowering != tc.want || c.Reason == "" {
				t.Errorf("chose %q because %q, want %q with a reason", c.Lowering, c.Reason, tc.want)
			}
			if _, _, err := codegen.Lower(net, tc.opt); err != nil {
				t.Error(err)
			}
		})
	}
	if _, _, err := codegen.Lower(newNetwork(af), codegen.Options{Target: "abacus"}); err == nil {
		t.Error("an unknown target is accepted")
	}
}

// TestTargetsAgree: what a target is written differs in steps and order of sums
// alone.
func TestTargetsAgree(t *testing.T) {
	still := spec{name: "tsn", frames: 4, size: [2]int{96, 64}, width: 8, af: []int{3, 2}, plain: []int{2}}
	moving := still
	moving.name, moving.shift = "tsm", true
	for _, s := range []spec{still, moving} {
		inputs := map[string]*graph.Tensor{
			afblock.DefaultInput: clip(2, s),
			names.MasksIn:        masksOf(2, 3, int64(s.frames), 4),
		}
		net := newNetwork(s)
		want, _ := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true}).run(t, inputs)
		for _, target := range codegen.Targets {
			got, _ := open(t, net, codegen.Options{Target: target, MasksInput: true}).run(t, inputs)
			same(t, fmt.Sprintf("%s, %s: logits", s.name, target), got, want, alike)
		}
	}
}
