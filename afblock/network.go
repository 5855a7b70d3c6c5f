package afblock

import "slices"

// Network is a video ResNet as afc understands it: a trunk of stem and stages
// run on [N·T, C, H, W], N clips of T frames folded into the batch axis, and a
// head that turns frames into one answer a clip. Recognition and checkpoints
// fill it, rewrites change it, and every emitter walks it.
//
// Tensors are shared with the model they came from and never changed.
type Network struct {
	Frames int  // T, frames (segments) a clip
	Size   Size // of a frame the network is made for; 0 where any goes
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

	// Exporter names the program whose export of an AFNet the weights were read
	// from (Exporters); "": they were not.
	Exporter string

	// Fit says how the weights were fitted; nil if they were not.
	Fit *Fitted

	// Tune says how afc trained the weights; nil if it did not.
	Tune *Tuned
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

// Stem is what stands before the stages: a convolution, its activation, and in
// ResNets a max-pool.
type Stem struct {
	Conv Conv
	Act  Act
	Pool *Window // 3×3/2, pad 1, in every ResNet seen; nil: none
}

// Layers returns the stem's layers.
func (s *Stem) Layers() []Layer {
	layers := []Layer{&s.Conv, s.Act}
	if s.Pool != nil {
		layers = append(layers, MaxPool(*s.Pool))
	}
	return layers
}

// Stage is one resolution of the trunk ("layer1" … "layer4"): a run of plain
// blocks, or an AF module.
type Stage struct {
	Name   string
	Blocks []*Block  // plain blocks; nil where AF is set
	AF     *AFModule // nil for a plain stage
}

// Block is a residual block: in ResNets basic (two 3×3 convolutions) or
// bottleneck (1×1, 3×3, 1×1), with ReLU between them; in MobileNetV3 an inverted
// residual (1×1, depthwise, 1×1), with squeeze-and-excitation behind the
// depthwise convolution or without.
type Block struct {
	Key      string
	Main     []Layer // the main path, convolutions at its ends; the residual path is summed to its end
	Residual Residual
	Shift    *Shift // nil: none
	Act      Act    // behind the sum

	// Schedule is which frames the main path computes, of a block outside an AF
	// module; nil: all.
	Schedule *Schedule
}

// Chain puts an activation between convolutions.
func Chain(act Act, convs ...*Conv) []Layer {
	var layers []Layer
	for i, c := range convs {
		if i > 0 {
			layers = append(layers, act)
		}
		layers = append(layers, c)
	}
	return layers
}

// Convs returns the convolutions of the main path.
func (b *Block) Convs() []*Conv {
	var convs []*Conv
	for _, l := range b.Main {
		if c, ok := l.(*Conv); ok {
			convs = append(convs, c)
		}
	}
	return convs
}

// Bottleneck reports whether the block has three convolutions.
func (b *Block) Bottleneck() bool { return len(b.Convs()) == 3 }

// Inverted reports whether the block has a depthwise convolution.
func (b *Block) Inverted() bool {
	return slices.ContainsFunc(b.Convs(), (*Conv).Depthwise)
}

// In returns the block's input channels.
func (b *Block) In() int { return b.Convs()[0].In() }

// Out returns the block's output channels.
func (b *Block) Out() int {
	convs := b.Convs()
	return convs[len(convs)-1].Out()
}

// Stride returns the block's total stride.
func (b *Block) Stride() int {
	s := 1
	for _, c := range b.Convs() {
		s *= c.Stride
	}
	return s
}

// Through is the size of the map that the block makes.
func (b *Block) Through(s Size) Size {
	for _, c := range b.Convs() {
		s = s.Through(c.Window())
	}
	return s
}

// Residual is the path beside a block's main one: the identity, or an average
// pool, a convolution, or the one and then the other.
type Residual struct {
	Pool *Window // nil: none
	Conv *Conv   // nil: none
	None bool    // there is no such path, and no sum
}

// Layers returns the path's layers.
func (r *Residual) Layers() []Layer {
	var layers []Layer
	if r.Pool != nil {
		layers = append(layers, AveragePool(*r.Pool))
	}
	if r.Conv != nil {
		layers = append(layers, r.Conv)
	}
	return layers
}

// Shift is TSM's temporal shift of a block's input, zero at the clip's ends:
// channels [0, Fold) of frame t come from t+1, [Fold, 2·Fold) from t−1, the
// rest stay.
type Shift struct {
	Fold int
	// PastFirst: the first fold comes from t−1 and the second from t+1 (Paddle's
	// temporal_shift). All shifts of a network agree in it.
	PastFirst bool
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
	Transform  *Conv // 1×1 with BN, ample out → module out; nil: the ample branch has full width
	Gate       Gate
	Act        Act // behind the mix
	Fusion     *Block
}

// Navigation decides which frames a focal block computes: global average pool →
// Look → ReLU → view [N, 2T] → Choice → view [N, T, 2], for each frame the
// logits of leaving it out and of selecting it. A frame is selected when the
// second exceeds the first: rows 2t and 2t+1 of Choice speak of frame t
// (Selects, Force).
type Navigation struct {
	Key    string
	Look   Conv     // 1×1, C → 2, BN
	Choice Conv     // 1×1, 2T → 2T: T groups, each frame alone, or one, dense
	Fixed  *Pattern // the selection that Choice spells; nil if it was trained
	Cells  *Cells   // chooses inside the frames, too; nil: whole frames
}

// Layers returns the layers behind the global average pool. Choice reads the
// frames of a clip at once.
func (n *Navigation) Layers() []Layer { return []Layer{&n.Look, ReLU, &n.Choice} }

// chooses reports whether a convolution makes logits of a selection: no batch
// normalisation stands behind it.
func (n *Navigation) chooses(c *Conv) bool {
	return c == &n.Choice || n.Cells != nil && c == &n.Cells.Choice
}

// Dense reports whether frames see each other.
func (n *Navigation) Dense() bool { return n.Choice.Groups == 1 }

// MixKey names the mix by its first layer.
func (m *AFModule) MixKey() string {
	if m.Transform != nil {
		return m.Transform.Key
	}
	return m.Gate.Squeeze.Key
}

// MixLayers returns the layers that mix the branches.
func (m *AFModule) MixLayers() []Layer {
	layers := []Layer{&m.Gate.Squeeze, &m.Gate.Excite}
	if m.Transform != nil {
		layers = append([]Layer{m.Transform}, layers...)
	}
	return layers
}

// Gate mixes the branches: g = sigmoid(Excite(relu(Squeeze(GAP(a+f))))),
// y = act(g·a + (1−g)·f).
type Gate struct {
	Squeeze Linear // out → out/16
	Excite  Linear // out/16 → out
}

// Head turns the last stage's output into the answer: global average pool, a
// linear layer, consensus over the frames. MobileNetV3 has a convolution before
// the pool and a linear layer behind it.
type Head struct {
	Last   *Conv   // 1×1, before the pool; nil: none
	Hidden *Linear // before FC; nil: none
	Act    Act     // behind each of them
	FC     Linear  // its key is "new_fc", "fc" or "fc.3"
	// Consensus is how frames become a clip.
	Consensus Consensus
	Softmax   bool
}

// Before returns the layers before the global average pool, which the trunk ends
// in.
func (h *Head) Before() []Layer {
	if h.Last == nil {
		return nil
	}
	return []Layer{h.Last, h.Act}
}

// Classify returns the layers behind the global average pool.
func (h *Head) Classify() []Layer {
	if h.Hidden == nil {
		return []Layer{&h.FC}
	}
	return []Layer{h.Hidden, h.Act, &h.FC}
}

// Features returns the channels that the pool makes a vector of.
func (h *Head) Features() int64 {
	if h.Hidden != nil {
		return h.Hidden.Weight.Dims[1]
	}
	return h.FC.Weight.Dims[1]
}

// Layers returns all layers.
func (h *Head) Layers() []Layer { return slices.Concat(h.Before(), h.Classify()) }

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
