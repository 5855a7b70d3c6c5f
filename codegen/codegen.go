package codegen

import "github.com/afc-project/afc/afblock/compiled"

// Lowering is a way to write the focal branch.
type Lowering string

const (
	// Mask computes every frame and multiplies: the reference. Static shapes, saves nothing.
	Mask Lowering = "mask"
	// Gather computes the selected frames as one smaller batch and scatters them back.
	Gather Lowering = "gather"
	// Branch scans over frames with an If per focal block.
	Branch Lowering = "branch"
	// TopK computes a fixed number of frames, the most certain ones. Static shapes.
	TopK Lowering = "topk"
)

// Plain is what LowerPlain writes: a network without AF modules.
const Plain Lowering = "plain"

// Lowerings lists the ways, the reference first.
var Lowerings = []Lowering{Mask, Gather, Branch, TopK}

// Options are the choices of Lower.
type Options struct {
	// Lowering is the way to write the focal branch; "": Choose picks it.
	Lowering Lowering
	// Target is where the model is to run; "": cpu.
	Target Target
	// MasksOutput adds the output "masks": float32 0/1 [N, blocks, T], blocks
	// in network order.
	MasksOutput bool
	// MasksInput replaces navigation by an input "masks_in" of that form, so
	// that any selection can be forced. For verification.
	MasksInput bool
	// Sampling compiled.Gumbel adds the input "gumbel_noise" [N, blocks, T, 2], added to the
	// navigation logits before the argmax.
	Sampling compiled.Sampling
	// Dial adds the input "margin", a number that is added to every logit of
	// selecting a frame, 0 where a caller gives none.
	Dial bool
	// Precision is what the model will compute in, and IO what its inputs and
	// outputs will be: the file says so. Lower itself writes float32.
	Precision, IO compiled.Precision
	// Budget is, for TopK, the frames each block computes, in network order;
	// one entry serves all.
	Budget []int
	// Without leaves out steps that make the model faster.
	Without []Step

	// counted has sizes of boxes that do not depend on data written as such, and
	// others as those of whole frames: what executes is to be counted.
	counted bool
}

// OptionsOf returns the options that a file was written with.
func OptionsOf(file compiled.FileInfo) Options {
	return Options{Lowering: Lowering(file.Lowering), Budget: file.Budget, MasksOutput: file.Masks, Sampling: file.Sampling, Dial: file.Dial, Precision: file.Precision, IO: file.IO}
}
