package codegen_test

import (
	"testing"

	"github.com/afc-project/afc/codegen"
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
