package afblock

import (
	"strings"

	"github.com/afc-project/afc/graph"
)

// Network is a video ResNet as afc understands it: a trunk of stem and stages
// run on [N·T, C, H, W], N clips of T frames folded into the batch axis, and a
// head that turns frames into one answer a clip. Recognition and checkpoints
// fill it, rewrites change it, and every emitter walks it.
//
// Tensors are shared with the model they came from and never changed.
type Network struct {
	Frames int    // T, frames (segments) a clip
	Size   [2]int // H, W of a frame the network is made for; 0 where any size goes
	Stem   Stem
	Stages []*Stage
	Head   Head

	// Unselected says what a focal block answers for a frame not selected.
	Unselected Unselected

	// Shell is what lies around the trunk: of the model the network was recognised
	// in, or the standard one.
	Shell Shell

	// Keys is how the checkpoint the weights came from spells its keys.
	Keys KeyStyle

	// FineTune is set when AF weights were transplanted, not trained: the
	// network must be fine-tuned before it predicts well.
	FineTune bool
}

// Unselected is the answer of a focal block's residual branch for a frame that
// navigation did not select.
type Unselected int

const (
	// UnselectedBias: the mask multiplies the block's input, so the branch
	// answers F(0), what its biases make of a zero image (authors' code).
	UnselectedBias Unselected = iota
	// UnselectedZero: the branch answers zero (the paper's formula).
	UnselectedZero
)

func (u Unselected) String() string {
	if u == UnselectedZero {
		return "zero"
	}
	return "bias"
}

// Stem is convolution, ReLU, max-pool.
type Stem struct {
	Conv Conv
	Pool Pool // 3×3/2 max-pool, pad 1, in every ResNet seen
}

// Pool is a pooling window, square and symmetric.
type Pool struct{ Kernel, Stride, Pad int }

// Conv is a 2-D convolution with its batch normalisation, if the source keeps
// them apart. Key is its name in the authors' state dict, without prefix and
// without ".weight" ("layer1.refine_module.0.conv1").
type Conv struct {
	Key    string
	Weight *graph.Tensor // [out, in/groups, kh, kw]
	Bias   *graph.Tensor // [out], nil if none
	BN     *BatchNorm    // nil if folded
	Stride int
	Pad    int
	Groups int
}

// Out returns the output channels.
func (c *Conv) Out() int { return int(c.Weight.Dims[0]) }

// In returns the input channels.
func (c *Conv) In() int { return int(c.Weight.Dims[1]) * c.Groups }

// Kernel returns the window's height (= width).
func (c *Conv) Kernel() int { return int(c.Weight.Dims[2]) }

// BatchNorm is inference batch normalisation: gamma·(x−mean)/√(var+eps)+beta,
// each tensor [channels].
type BatchNorm struct {
	Key                    string
	Gamma, Beta, Mean, Var *graph.Tensor
	Eps                    float32
	Batches                *graph.Tensor // num_batches_tracked, int64 scalar, nil if not stored
}

// Stage is one resolution of the trunk ("layer1" … "layer4"): a run of plain
// blocks, or an AF module.
type Stage struct {
	Name   string
	Blocks []*Block  // plain blocks; nil where AF is set
	AF     *AFModule // nil for a plain stage
}

// Block is a residual block: basic (two 3×3 convs) or bottleneck (1×1, 3×3,
// 1×1). Between the convs stands ReLU; behind the sum stands ReLU where
// FinalReLU is set.
type Block struct {
	Key        string
	Convs      []*Conv
	Downsample Downsample
	Shift      *Shift // nil: none
	FinalReLU  bool
}

// Bottleneck reports whether the block has three convolutions.
func (b *Block) Bottleneck() bool { return len(b.Convs) == 3 }

// In returns the block's input channels.
func (b *Block) In() int { return b.Convs[0].In() }

// Out returns the block's output channels.
func (b *Block) Out() int { return b.Convs[len(b.Convs)-1].Out() }

// Stride returns the block's total stride.
func (b *Block) Stride() int {
	s := 1
	for _, c := range b.Convs {
		s *= c.Stride
	}
	return s
}

// Downsample is the residual path: identity, or a pool, a convolution, or a
// pool and then a convolution.
type Downsample struct {
	Pool *Pool // average pool, padding counted; nil: none
	Conv *Conv // nil: none
}

// Shift is TSM's temporal shift of a block's input, zero at the clip's ends:
// channels [0, Fold) of frame t come from t+1, [Fold, 2·Fold) from t−1, the
// rest stay.
type Shift struct {
	Fold int
	// Residual: the residual path reads the shifted tensor too ("block"
	// placement); otherwise only the first convolution does ("blockres").
	Residual bool
}

// AFModule is a stage in ample and focal branches (paper, section 3).
// Ample, Focal and Navigation have the same length, B−1.
type AFModule struct {
	Alpha      int // channel reduction of the ample branch
	Groups     int // groups of the focal convolutions
	Ample      []*Block
	Focal      []*Block
	Navigation []*Navigation
	Transform  Conv // 1×1 with BN, ample out → module out, no ReLU
	Gate       Gate
	Fusion     *Block
}

// Navigation decides which frames a focal block computes: GAP → Pool → ReLU →
// view [N, 2T] → Weight, Bias → view [N, T, 2]; frame t is selected when logit
// 1 exceeds logit 0.
type Navigation struct {
	Key    string
	Pool   Conv          // 1×1, C → 2, BN
	Key2   string        // of the second convolution ("….conv_gs")
	Weight *graph.Tensor // [2T, 2, 1, 1]: each frame alone; [2T, 2T, 1, 1]: dense
	Bias   *graph.Tensor // [2T]
	Fixed  *Pattern      // the selection Weight and Bias spell; nil if they were trained
}

// Dense reports whether the second convolution lets frames see each other.
func (n *Navigation) Dense() bool { return n.Weight.Dims[1] != 2 || n.Weight.Dims[0] == 2 }

// Gate mixes the branches: g = sigmoid(W2·relu(W1·GAP(a+f))),
// y = relu(g·a + (1−g)·f).
type Gate struct {
	Key1, Key2 string
	W1         *graph.Tensor // [out/16, out]
	W2         *graph.Tensor // [out, out/16]
	B1, B2     *graph.Tensor // nil in the ResNets
}

// Head turns the trunk's output into the answer: global average pool, a linear
// layer, consensus over the frames.
type Head struct {
	Key    string        // of the linear layer ("new_fc", "fc")
	Weight *graph.Tensor // [classes, C]
	Bias   *graph.Tensor // [classes], nil if none
	// Consensus is how frames become a clip.
	Consensus Consensus
	Softmax   bool
}

// Consensus is the place of the mean over frames.
type Consensus int

const (
	// MeanAfterFC averages the frames' scores (TSN, TSM).
	MeanAfterFC Consensus = iota
	// MeanBeforeFC averages the frames' features (mmaction2's TSNHead).
	MeanBeforeFC
	// PerFrame leaves one row of scores a frame.
	PerFrame
)

func (c Consensus) String() string {
	switch c {
	case MeanAfterFC:
		return "mean of the frames' scores"
	case MeanBeforeFC:
		return "mean of the frames' features"
	}
	return "scores of each frame"
}

// KeyStyle is how a checkpoint spells its keys, so that weights go back out
// under the names they came in.
type KeyStyle struct {
	Prefix string // before backbone keys: "module.base_model."
	FC     string // the linear layer's full key: "module.new_fc"
}

// FullKey is a key as the checkpoint spells it.
func (net *Network) FullKey(key string) string {
	if rest, ok := strings.CutPrefix(key, net.Head.Key+"."); ok {
		return net.Keys.FC + "." + rest
	}
	return net.Keys.Prefix + key
}
