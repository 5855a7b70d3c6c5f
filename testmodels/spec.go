package testmodels

import (
	"fmt"
	"slices"
)

// Spec says what to build. The zero value of each choice is what a plain
// TorchScript export has; Build fills in numbers left zero.
type Spec struct {
	Depth  int   // 18, 34, 50, 101 or 152; 0: Blocks and Basic say
	Blocks []int // residual blocks of each stage
	Basic  bool  // basic blocks (3×3, 3×3), not bottlenecks

	Width    int // channels behind the stem; 64 as published
	Frames   int // T; 8
	Channels int // of a frame; 3. Optical flow has two for each of its steps
	Size     int // height and width of a frame; 224
	Classes  int // 400
	Batch    int // clips; 1. Unused where Dynamic
	Dynamic  bool

	Input Input
	// Pixels makes the input uint8, channels last, which the model casts,
	// normalises and transposes.
	Pixels  bool
	Shift   Shift
	FoldDiv int // channels over fold; 8
	// ShiftBlock puts the shift before the block, so that the residual path
	// reads it too ("block"); otherwise before the first convolution ("blockres").
	ShiftBlock bool
	// ShiftEverySecond shifts blocks 0, 2, 4, … of a stage, as the MIT code
	// does for ResNet-101 and 152.
	ShiftEverySecond bool

	CaffeStride bool // stride in the first 1×1 convolution, not in the 3×3
	BN          BN
	Head        Head
	Softmax     bool

	InitializersAsInputs bool
	ConstantWeights      bool // weights as Constant nodes
	Unnamed              bool // nodes without names
	Identities           bool // equal BN initializers stored once, aliased by Identity

	Opset int64 // 13
	Seed  uint64

	miss miss
}

// Input is the layout of the model's input.
type Input int

// The input layouts.
const (
	FramesInChannels Input = iota // [N, T·3, H, W], the MIT code's
	FramesOwnAxis                 // [N, T, 3, H, W]
	FramesInBatch                 // [N·T, 3, H, W]
)

// Shift is the spelling of the temporal shift.
type Shift int

// The shift spellings.
const (
	NoShift       Shift = iota // TSN
	ShiftScatter               // MIT code, raw TorchScript export: assignments onto a folded zero tensor, as ScatterND with its index arithmetic. Static batch, opset ≥ 11
	ShiftMMAction              // mmaction2: 4-D view, Slices, Sub(x, x) as zeros, Concats, baked N·T
	ShiftConcat                // split and concatenation with zero constants
	ShiftPad                   // Pad of the sliced folds
	ShiftConv1D                // depthwise Conv over time with one-hot weights
	ShiftGather                // torch.export of indexing by lists of frames: Transpose, GatherND, times 1 or 0
)

// BN is the form of batch normalisation.
type BN int

// The forms of batch normalisation.
const (
	BNFolded   BN = iota // into the convolutions' weights and biases
	BNKept               // BatchNormalization nodes
	BNTraining           // as exported with TrainingMode.TRAINING: 5 outputs below opset 14, then training_mode=1
)

// Head is how the trunk's output becomes the answer.
type Head int

// The heads.
const (
	MeanAfterFC    Head = iota // GAP → Flatten → Gemm → Reshape [-1,T,K] → ReduceMean
	MeanKeepDims               // … → ReduceMean keepdims → Squeeze
	MeanBeforeFC               // mmaction2's TSNHead: features averaged over frames, then the linear layer
	SumDiv                     // ReduceSum ÷ T for the mean
	PoolConsensus              // Transpose → GlobalAveragePool → Flatten for the mean
	MatMulFC                   // spatial ReduceMean, Transpose + MatMul + Add for the linear layer
	PerFrameScores             // no consensus: [N·T, K]
)

// published holds the residual blocks of each stage (He et al., 2016, table 1).
var published = map[int][]int{
	18: {2, 2, 2, 2}, 34: {3, 4, 6, 3}, 50: {3, 4, 6, 3}, 101: {3, 4, 23, 3}, 152: {3, 8, 36, 3},
}

// filled returns s with defaults in place of zeros.
func (s Spec) filled() Spec {
	if s.Depth == 0 && s.Blocks == nil {
		s.Depth = 50
	}
	if s.Depth != 0 {
		s.Blocks, s.Basic = published[s.Depth], s.Depth < 50
	}
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&s.Width, 64)
	def(&s.Frames, 8)
	def(&s.Channels, 3)
	def(&s.Size, 224)
	def(&s.Classes, 400)
	def(&s.Batch, 1)
	def(&s.FoldDiv, 8)
	if s.Opset == 0 {
		s.Opset = 13
	}
	return s
}

// Validate reports why the model cannot be built, nil if it can.
func (s Spec) Validate() error {
	s = s.filled()
	positive := func(n int) bool { return n > 0 }
	switch {
	case len(s.Blocks) == 0:
		return fmt.Errorf("depth %d is none of 18, 34, 50, 101, 152", s.Depth)
	case !slices.ContainsFunc(s.Blocks, positive) || slices.Min(s.Blocks) < 1:
		return fmt.Errorf("blocks %v: every stage needs one at least", s.Blocks)
	case min(s.Width, s.Frames, s.Channels, s.Size, s.Classes, s.Batch, s.FoldDiv) < 1:
		return fmt.Errorf("width, frames, channels, size, classes, batch and fold divisor must be positive")
	case s.Opset < 9 || s.Opset > 23:
		return fmt.Errorf("opset %d is not in 9…23", s.Opset)
	case s.Shift != NoShift && s.Width/s.FoldDiv < 1:
		return fmt.Errorf("width %d over fold divisor %d leaves no channel to shift", s.Width, s.FoldDiv)
	case s.Shift == ShiftScatter && (s.Opset < 11 || s.Dynamic):
		return fmt.Errorf("ScatterND shift needs opset 11 and a static batch")
	case s.Shift == ShiftGather && s.Opset < 11:
		return fmt.Errorf("GatherND shift needs opset 11")
	case s.Shift != NoShift && s.FoldDiv < 2:
		return fmt.Errorf("fold divisor %d: two folds do not fit", s.FoldDiv)
	}
	return nil
}
