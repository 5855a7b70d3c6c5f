package codegen

import (
	"fmt"
	"slices"
)

// Step is one of the things codegen does to make skipping pay on ONNX Runtime's
// CPU provider. None changes what a network computes, beyond the order of sums;
// each can be left out, to see what it is worth.
type Step string

const (
	LowGate      Step = "low-gate"
	LayoutCast   Step = "layout-cast"
	BorderKernel Step = "border-kernel"
	Chains       Step = "chains"
	FrameScans   Step = "frame-scans"
	SplitStream  Step = "split-stream"
	ShiftSelect  Step = "shift-select"
	SmallGather  Step = "small-gather"
	SmallBatch   Step = "small-batch"
	Interleave   Step = "interleave"
	Unroll       Step = "unroll"
	PieceScans   Step = "piece-scans"
	HiddenScans  Step = "hidden-scans"
	CellBoxes    Step = "cell-boxes"
)

// StepInfo describes a step.
type StepInfo struct {
	Step Step
	File string // where it is written
	Doc  string
	// Lowerings that take it.
	Lowerings []Lowering
}

// Steps lists the steps, each with what it does. Mask takes none: it stands for
// the network as an exporter writes it.
var Steps = []StepInfo{
	{LowGate, "lowgate.go", "take the gate's averages, and its product with the ample branch, before that is enlarged; the gate by convolutions", []Lowering{Gather, Branch, TopK}},
	{LayoutCast, "layoutcast.go", "cast the mix into the blocked layout by a depthwise convolution with ones, which takes sum and ReLU in", []Lowering{Gather, Branch, TopK}},
	{BorderKernel, "border.go", "write F(0) as a convolution of ones, which takes the residual's sum and ReLU in", []Lowering{Branch}},
	{Chains, "branch_chains.go", "choose among consecutive focal blocks at once, so that maps between them keep the blocked layout", []Lowering{Branch}},
	{FrameScans, "branch_frames.go", "without shift, run stem, ample branch, focal branch and fusion frame by frame", []Lowering{Branch}},
	{SplitStream, "splitstream.go", "carry the channels that a shift moves as a tensor of their own", []Lowering{Branch, Plain}},
	{ShiftSelect, "shift_select.go", "gather the channels that a shift moves for just the frames computed", []Lowering{Branch}},
	{SmallGather, "branch_frames.go", "gather instead of scanning where maps are so small that weights are most of the traffic", []Lowering{Branch}},
	{SmallBatch, "branch_frames.go", "take what all frames go through out of the Scans where maps are small", []Lowering{Branch}},
	{Interleave, "interleave.go", "let the frames of a clip share maps that are too narrow to fill the registers alone", []Lowering{Branch, Plain}},
	{Unroll, "branch_unroll.go", "with shift, write the frames of a clip one by one in the main graph, each in pieces that a shift moves or leaves", []Lowering{Branch}},
	{PieceScans, "branch_pieces.go", "with shift, where maps are small, hand maps from Scan to Scan in pieces, and mix and fuse them as a batch", []Lowering{Branch}},
	{HiddenScans, "branch_hidden.go", "run inverted residuals that all frames go through frame by frame, so that their wide maps stay in the cache", []Lowering{Branch}},
	{CellBoxes, "branch_cells.go", "compute the box around a frame's selected cells, and blend in front of a block's last convolution, instead of gathering tiles of all frames", []Lowering{Branch}},
}

// takes reports whether the model is written with the step.
func (o *Options) takes(s Step) bool {
	i := slices.IndexFunc(Steps, func(i StepInfo) bool { return i.Step == s })
	taken := slices.Contains(Steps[i].Lowerings, o.Lowering) || slices.Contains(o.Target.with(o.Lowering), s)
	return taken && !slices.Contains(o.Without, s) && !slices.Contains(o.Target.without(), s)
}

// checkSteps refuses steps that do not exist.
func checkSteps(without []Step) error {
	for _, s := range without {
		if !slices.ContainsFunc(Steps, func(i StepInfo) bool { return i.Step == s }) {
			return fmt.Errorf("unknown step %q", s)
		}
	}
	return nil
}
