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
	OpenVINO Target = "openvino" // Intel's OpenVINO, on the CPU
	Tract    Target = "tract"    // Sonos' tract
	Portable Target = "portable" // any runtime: no control flow, no shapes that depend on data
)

// Targets lists the targets, the default first.
var Targets = []Target{CPU, CUDA, TensorRT, WebGPU, OpenVINO, Tract, Portable}

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
	case net.Schedule() != nil && sized && (opt.Target == "" || opt.Target == CPU):
		return Choice{Branch, "computes just the frames of the schedule, one by one, so that their maps stay in the cache"}
	case net.Schedule() != nil:
		return Choice{Gather, "computes just the frames of the schedule, which the file fixes: every shape is static"}
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
	case OpenVINO:
		moving := slices.ContainsFunc(net.Stages, func(s *afblock.Stage) bool { return s.AF != nil && shifts(s.AF) })
		if !sized || moving {
			return Choice{Mask, "sizes that depend on data, and with a temporal shift Scans, cost OpenVINO more than they save"}
		}
		return Choice{Branch, "fastest measured there: its shapes are static, where gather's depend on data"}
	case Tract:
		return Choice{Gather, "skips, with one graph: tract reads no two Ifs of one graph"}
	case Portable:
		return Choice{Mask, "runs everywhere: no control flow, no shapes that depend on data; give a budget for topk, which skips"}
	}
	if sized {
		return Choice{Branch, "fastest measured on the CPU: a frame's maps stay in the cache and keep the blocked layout"}
	}
	return Choice{Gather, "frames of open height and width rule out branch, the fastest on the CPU"}
}

// without lists the steps that do not pay on the target: they are made for ONNX
// Runtime's CPU provider, its layout and what it fuses.
func (t Target) without() []Step {
	switch t {
	case OpenVINO:
		return []Step{LayoutCast, BorderKernel, Interleave, Unroll, PieceScans, CellBoxes}
	case Tract:
		return []Step{LayoutCast, Interleave}
	}
	return nil
}

// with lists the steps that pay on the target beside those of the lowering.
func (t Target) with(l Lowering) []Step {
	if t == OpenVINO && l == Mask {
		return []Step{SplitStream, ShiftSelect}
	}
	return nil
}

// captures reports whether the target lets a Scan's body read a map from
// outside that is made when the model runs.
func (t Target) captures() bool { return t != OpenVINO }
