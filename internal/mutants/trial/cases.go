package main

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
)

// trialCase is a network to compile: a source to convert, or a checkpoint.
type trialCase struct {
	name     string
	source   *testmodels.Spec
	optimize bool                   // the source, and hold it to itself
	how      afblock.RewriteOptions // of the source
	cells    []int                  // a side, of the source's modules, in the middle of each frame
	af       *testmodels.AFSpec
	with     weights.Options // of the checkpoint
	mobile   bool            // an AF-MobileNetV3 of random weights
	opt      codegen.Options
}

// cases are ordered so that those that find most come first: a fault ends the
// trial where it is found.
func cases() []trialCase {
	tsm := testmodels.Spec{Blocks: []int{3, 2, 1}, Width: 8, Frames: 4, Size: 48, Classes: 5, Shift: testmodels.ShiftConcat, Seed: 5}
	whole := tsm
	whole.ShiftBlock, whole.Blocks = true, []int{2, 2, 1}
	wholeFrames := whole
	wholeFrames.Size, wholeFrames.Frames = 160, 2
	tsn := testmodels.Spec{Blocks: []int{2, 2, 1}, Basic: true, Width: 8, Frames: 3, Size: 33, Classes: 5, Seed: 6}
	large := tsm
	large.Size, large.Frames, large.Blocks = 160, 3, []int{3, 2, 1, 1}
	thirds := tsm
	thirds.FoldDiv = 3 // 10 of 32 channels, which they are no multiple of
	bottleneck := testmodels.Spec{Blocks: []int{2, 2, 2}, Width: 8, Frames: 3, Size: 48, Classes: 5, Seed: 7}
	wide := tsm
	wide.Size, wide.Frames, wide.Blocks = 64, 2, []int{3, 2, 1}
	af := testmodels.AFSpec{Blocks: []int{3, 2, 1}, Width: 8, Frames: 4, Classes: 5, Dense: true, Seed: 3}
	celled := af
	celled.Cells, celled.Frames = true, 2
	merged, other := tsm, nonLocal(tsm)
	merged.BN, merged.Dynamic, merged.Shift = testmodels.BNKept, true, testmodels.ShiftPad
	branch, gather := codegen.Options{Lowering: codegen.Branch}, codegen.Options{Lowering: codegen.Gather, MasksOutput: true}
	square := afblock.Size{48, 48}
	return []trialCase{
		{name: "TSM, gather", source: &tsm, opt: gather},
		{name: "TSM, branch", source: &tsm, opt: branch},
		{name: "TSN of basic blocks, branch", source: &tsn, opt: branch},
		{name: "TSM, optimized", source: &tsm, optimize: true},
		{name: "TSM of any number of clips, optimized", source: &merged, optimize: true},
		{name: "TSM of large frames, optimized", source: &large, optimize: true},
		{name: "TSN of basic blocks, optimized", source: &tsn, optimize: true},
		{name: "a trunk with attention, optimized", source: &other, optimize: true},
		{name: "AF-MobileNetV3, branch", mobile: true, opt: branch},
		{name: "AF-MobileNetV3, gather", mobile: true, opt: gather},
		{name: "checkpoint, topk", af: &af, with: weights.Options{Size: square}, opt: codegen.Options{Lowering: codegen.TopK, Budget: []int{2}, MasksOutput: true}},
		{name: "checkpoint with shift, branch with noise", af: &af, with: weights.Options{Size: square, ShiftDiv: 8}, opt: codegen.Options{Lowering: codegen.Branch, Sampling: compiled.Gumbel}},
		{name: "checkpoint with Paddle's shift, gather", af: &af, with: weights.Options{Size: square, ShiftDiv: 4, PastFirst: true}, opt: gather},
		{name: "checkpoint of any size, gather", af: &af, opt: gather},
		{name: "checkpoint with shift of any size, gather", af: &af, with: weights.Options{ShiftDiv: 8}, opt: gather},
		{name: "TSN with the source's strides, branch", source: &bottleneck, how: afblock.RewriteOptions{Groups: 1, StrideAt: afblock.StrideSource}, opt: branch},
		{name: "TSM, mask", source: &tsm, opt: codegen.Options{Lowering: codegen.Mask}},
		{name: "TSM, branch for OpenVINO", source: &tsm, opt: codegen.Options{Lowering: codegen.Branch, Target: codegen.OpenVINO}},
		{name: "TSM that shifts thirds, branch", source: &thirds, opt: branch},
		{name: "TSM with a shift of whole blocks, mask", source: &whole, opt: codegen.Options{Lowering: codegen.Mask}},
		{name: "TSM with fixed cells, gather", source: &wide, cells: []int{4, 2}, opt: gather},
		{name: "TSM with fixed cells, branch", source: &wide, cells: []int{4, 2}, opt: branch},
		{name: "checkpoint with cells, branch", af: &celled, with: weights.Options{Size: afblock.Size{64, 64}, ShiftDiv: 8, Grid: []int{3, 2}}, opt: branch},
		{name: "checkpoint with cells, gather", af: &celled, with: weights.Options{Size: afblock.Size{64, 64}, ShiftDiv: 8, Grid: []int{3, 2}}, opt: gather},
		{name: "checkpoint with cells, mask", af: &celled, with: weights.Options{Size: square, Grid: []int{3, 2}}, opt: codegen.Options{Lowering: codegen.Mask, MasksOutput: true}},
		{name: "TSM of large frames, one clip, branch", source: &large, opt: branch},
		{name: "TSM with a shift of whole blocks, large frames, branch", source: &wholeFrames, opt: branch},
	}
}

// nonLocal has self-attention between its stages, so that it is no ResNet whose
// stream of channels is split, but one whose shifts are written anew.
func nonLocal(s testmodels.Spec) testmodels.Spec {
	for _, m := range testmodels.NearMisses() {
		if m.Name == "non-local" {
			m.Spec.Depth, m.Spec.Blocks, m.Spec.Width, m.Spec.Frames, m.Spec.Size = 0, s.Blocks, s.Width, s.Frames, s.Size
			m.Spec.Classes, m.Spec.Shift, m.Spec.Seed, m.Spec.Opset = s.Classes, testmodels.ShiftScatter, s.Seed, 13
			return m.Spec
		}
	}
	panic("BUG: no near-miss non-local")
}

// mobile is an AF-MobileNetV3 with random weights.
func mobile(size afblock.Size) (*afblock.Network, error) {
	net, err := afblock.Architecture("af-mobilenetv3", 2, 5)
	if err != nil {
		return nil, err
	}
	net.Size = size
	r := rand.New(rand.NewPCG(11, 12))
	for key, at := range net.Tensors() {
		dims := (*at).Dims
		fan := 1.0
		for _, d := range dims[1:] {
			fan *= float64(d)
		}
		centre, scale := 0.0, 0.2
		switch {
		case strings.HasSuffix(key, ".running_var"), len(dims) == 1 && strings.HasSuffix(key, ".weight"):
			centre = 1
		case len(dims) > 1: // a kernel or matrix
			scale = 1 / math.Sqrt(fan)
		}
		*at = random(r, centre, scale, dims)
	}
	return net, nil
}

// random draws numbers around a centre; around one, that are not negative.
func random(r *rand.Rand, centre, scale float64, dims []int64) *graph.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		if v[i] = float32(centre + scale*r.NormFloat64()); centre > 0 {
			v[i] = max(v[i], 0.2)
		}
	}
	return graph.Float32s(dims, v...)
}
