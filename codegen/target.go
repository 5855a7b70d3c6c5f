package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
)

// Target is where a model is to run.
type Target string

const (
	CPU      Target = "cpu"      // ONNX Runtime's CPU provider
	CUDA     Target = "cuda"     // its CUDA provider
	TensorRT Target = "tensorrt" // TensorRT, alone or as a provider
	WebGPU   Target = "webgpu"   // its WebGPU provider
	Portable Target = "portable" // any runtime: no control flow, no shapes that depend on data
)

// Targets lists the targets, the default first.
var Targets = []Target{CPU, CUDA, TensorRT, WebGPU, Portable}

// Choice is a lowering and why it was taken.
type Choice struct {
	Lowering Lowering
	Reason   string
}

// Choose returns the lowering that opt asks for or, where it asks for none, the
// one that runs the network best on opt.Target ("": cpu).
func Choose(net *afblock.Network, opt Options) Choice {
	hasAF := slices.ContainsFunc(net.Stages, func(s *afblock.Stage) bool { return s.AF != nil })
	sized := net.Size[0] > 0 && net.Size[1] > 0
	budget := len(opt.Budget) > 0
	switch {
	case opt.Lowering != "":
		return Choice{opt.Lowering, "asked for"}
	case !hasAF:
		return Choice{Mask, "the network has no focal branch to skip"}
	case budget:
		return Choice{TopK, "a budget fixes how many frames a block computes"}
	}
	switch opt.Target {
	case CUDA:
		return Choice{Gather, "computes just the selected frames; conditions of branch would be fetched from the GPU at every block"}
	case TensorRT:
		return Choice{Mask, "TensorRT wants static shapes; give a budget for topk, which skips"}
	case WebGPU:
		return Choice{Mask, "the provider has no kernel for shapes that depend on data; give a budget for topk, which skips"}
	case Portable:
		return Choice{Mask, "runs everywhere: no control flow, no shapes that depend on data; give a budget for topk, which skips"}
	}
	if sized {
		return Choice{Branch, "fastest measured on the CPU: a frame's maps stay in the cache and keep the blocked layout"}
	}
	return Choice{Gather, "frames of open height and width rule out branch, the fastest on the CPU"}
}
