package weights

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/key"
)

// Options say what a checkpoint's shapes do not.
type Options struct {
	// Frames is T. 0: read from the navigation's second convolution; needed
	// where the checkpoint has none.
	Frames int
	// Size is H, W of a frame; 0 where any goes.
	Size [2]int
	// ShiftDiv turns the temporal shift on: each block shifts 1/ShiftDiv of
	// its input channels either way (authors: 8). 0: no shift.
	ShiftDiv   int
	StrideAt   afblock.StrideAt
	Unselected afblock.Unselected
}

// OptionsFrom returns what a network recognised in a model tells of a
// checkpoint for it: size, and the share of channels its blocks shift. How many
// frames a clip has is the checkpoint's to say.
func OptionsFrom(src *afblock.Network) Options {
	opt := Options{Size: src.Size}
	for b := range src.AllBlocks() {
		if b.Shift != nil && b.Shift.Fold > 0 {
			opt.ShiftDiv = b.In() / b.Shift.Fold
			break
		}
	}
	return opt
}

// FromStateDict makes a network of a checkpoint of the authors' PyTorch code,
// or one that afc exported. Depth, widths, α, G, T, classes and the kind of
// navigation come from the tensors. Floating-point tensors of other types
// become float32. A file that afc exported carries its network's structure
// (StateDict.Structure): of the options, Frames and Size still count then. If tensors are missing, left over or of the wrong shape, the
// error is a *checkpoint.Error that lists them all.
func FromStateDict(sd *checkpoint.StateDict, opt Options) (*afblock.Network, error) {
	if sd.Structure != "" {
		return fromStructure(sd, opt)
	}
	net, err := planNetwork(sd, opt)
	if err != nil {
		return nil, err
	}
	if err := bind(net, sd); err != nil {
		return nil, err
	}
	return net, nil
}

// fromStructure makes the network that an exported state dict describes.
func fromStructure(sd *checkpoint.StateDict, opt Options) (*afblock.Network, error) {
	net, _, err := DecodeStructure(sd.Structure)
	if err != nil {
		return nil, &checkpoint.Error{File: sd.File, Reason: err.Error()}
	}
	if opt.Size != [2]int{} {
		net.Size = opt.Size
	}
	if err := bind(net, sd); err != nil {
		return nil, err
	}
	if _, err := Export(net); err != nil {
		return nil, &checkpoint.Error{File: sd.File, Reason: fmt.Sprintf("metadata %s: %v", key.Network, err)}
	}
	if opt.Frames == 0 {
		return net, nil
	}
	return net.WithFrames(opt.Frames)
}

// Replace returns the network with the weights of a checkpoint in the
// place of its own: fine-tuned ones, such as come back from training what
// StateDict gave. Everything but the weights, T and the classes is the
// network's. It fails as FromStateDict does.
func Replace(net *afblock.Network, sd *checkpoint.StateDict) (*afblock.Network, error) {
	prefix, ok := stemPrefix(sd.Names())
	if !ok {
		return nil, notAFResNet(sd)
	}
	out := net.WithBatchNorm()
	out.Frames, out.FineTune = 0, false
	out.Keys = afblock.KeyStyle{Prefix: prefix, FC: newCheckpointKeys(prefix, sd.Names()).fc()}
	out.Head.Bias = nil
	for c := range out.AllConvs() {
		c.Bias = nil
	}
	for _, s := range out.Stages {
		if s.AF != nil {
			s.AF.Gate.B1, s.AF.Gate.B2 = nil, nil // training code may have none
		}
	}
	if err := bind(out, sd); err != nil {
		return nil, err
	}
	return out, nil
}

// checkpointKeys is what the plan asks of a checkpoint: which keys there are
// behind a prefix.
type checkpointKeys struct {
	prefix string
	nodes  map[string]bool // every key and every parent of one
	lists  map[string]int  // by parent "list": how many distinct numbers N in "list.N"
}

func newCheckpointKeys(prefix string, names []string) checkpointKeys {
	c := checkpointKeys{prefix, map[string]bool{}, map[string]int{}}
	for _, n := range names {
		for end := len(n); end > 0 && !c.nodes[n[:end]]; end = strings.LastIndexByte(n[:end], '.') {
			c.nodes[n[:end]] = true
			if dot := strings.LastIndexByte(n[:end], '.'); dot > 0 && strings.Trim(n[dot+1:end], "0123456789") == "" {
				c.lists[n[:dot]]++
			}
		}
	}
	return c
}

func (c checkpointKeys) has(key string) bool { return c.nodes[c.prefix+key] }

func (c checkpointKeys) children(list string) int { return c.lists[c.prefix+list] }

// stemKey is the stem's weight behind any prefix: wrappers add "module." and
// "base_model.".
var stemKey = regexp.MustCompile(`^((?:[A-Za-z_]\w*\.)*)conv1\.weight$`)

// stemPrefix returns what stands before the backbone's keys, and whether there
// are any. Blocks have a conv1, too; their keys hold a number ("layer4.0.").
func stemPrefix(names []string) (prefix string, ok bool) {
	for _, n := range names {
		if m := stemKey.FindStringSubmatch(n); m != nil {
			return m[1], true
		}
	}
	return "", false
}

func notAFResNet(sd *checkpoint.StateDict) error {
	return &checkpoint.Error{File: sd.File,
		Reason: "not an AF-ResNet: expected the keys conv1.weight and layer1.… behind some prefix, " + found(sd.Names())}
}

// planNetwork makes the network without its tensors, from the keys.
func planNetwork(sd *checkpoint.StateDict, opt Options) (*afblock.Network, error) {
	prefix, ok := stemPrefix(sd.Names())
	ck := newCheckpointKeys(prefix, sd.Names())
	if !ok || !ck.has("layer1") {
		return nil, notAFResNet(sd)
	}
	net := &afblock.Network{
		Frames: opt.Frames, Size: opt.Size, Unselected: opt.Unselected, Shell: afblock.StandardShell{},
		Stem: afblock.Stem{Conv: ck.conv("conv1", 7, 2), Pool: afblock.Pool{Kernel: 3, Stride: 2, Pad: 1}},
		Keys: afblock.KeyStyle{Prefix: ck.prefix, FC: ck.fc()},
	}
	net.Head.Key = net.Keys.FC[strings.LastIndexByte(net.Keys.FC, '.')+1:]
	var af []bool
	var entry []int
	for s := 1; ck.has(fmt.Sprintf("layer%d", s)); s++ {
		name := fmt.Sprintf("layer%d", s)
		af = append(af, ck.has(name+".refine_module") || ck.has(name+".base_module") || ck.has(name+".list_gen"))
		entry = append(entry, min(s, 2))
	}
	first, last := afblock.StrideLayout(af, entry, opt.StrideAt)
	for i := range af {
		stage := &afblock.Stage{Name: fmt.Sprintf("layer%d", i+1)}
		if af[i] {
			stage.AF = ck.afModule(stage.Name, first[i], last[i])
		} else {
			stage.Blocks = ck.blocks(stage.Name, first[i], false)
		}
		net.Stages = append(net.Stages, stage)
	}
	if opt.ShiftDiv > 0 {
		for b := range net.AllBlocks() {
			b.Shift = &afblock.Shift{Fold: -opt.ShiftDiv} // a fraction until bind knows the channels
		}
	}
	return net, nil
}

// fc finds the linear layer: the video head's own, or the backbone's.
func (c checkpointKeys) fc() string {
	outer := strings.TrimSuffix(c.prefix, "base_model.")
	for _, key := range []string{outer + "new_fc", c.prefix + "new_fc", c.prefix + "fc", outer + "fc"} {
		if c.nodes[key] {
			return key
		}
	}
	return outer + "new_fc"
}

// conv plans a convolution of a k×k window that keeps the size but for its
// stride, with batch normalisation unless the checkpoint has it folded.
func (c checkpointKeys) conv(key string, k, stride int) afblock.Conv {
	conv := afblock.Conv{Key: key, Stride: stride, Pad: k / 2, Groups: 1}
	if bn := afblock.BatchNormKey(key); c.has(bn) || !c.has(key+".bias") {
		conv.BN = &afblock.BatchNorm{Key: bn, Eps: afblock.BatchNormEps}
	}
	return conv
}

// block plans a residual block.
func (c checkpointKeys) block(key string, stride int, relu bool) *afblock.Block {
	b := &afblock.Block{Key: key, FinalReLU: relu}
	kernels, strided := []int{3, 3}, 0
	if c.has(key+".conv3") || c.has(key+".bn3") {
		kernels, strided = []int{1, 3, 1}, 1
	}
	for i, k := range kernels {
		s := 1
		if i == strided {
			s = stride
		}
		conv := c.conv(fmt.Sprintf("%s.conv%d", key, i+1), k, s)
		b.Convs = append(b.Convs, &conv)
	}
	// The pool is entry 0 of the residual path where it is there, so the
	// convolution's number tells; without convolution a stride needs the pool.
	switch {
	case c.has(key + ".downsample.0"):
		conv := c.conv(key+".downsample.0", 1, stride)
		b.Downsample.Conv = &conv
	case c.has(key + ".downsample.1"):
		conv := c.conv(key+".downsample.1", 1, 1)
		b.Downsample = afblock.Downsample{Pool: afblock.ResidualPool(stride), Conv: &conv}
	case stride > 1:
		b.Downsample.Pool = afblock.ResidualPool(stride)
	}
	return b
}

// blocks plans a chain of blocks; a branch of an AF module leaves the last
// ReLU out, unless it is the only one.
func (c checkpointKeys) blocks(list string, stride int, branch bool) []*afblock.Block {
	n := c.children(list)
	blocks := make([]*afblock.Block, n)
	for i := range blocks {
		relu := !branch || i < n-1 || n == 1
		blocks[i] = c.block(fmt.Sprintf("%s.%d", list, i), stride, relu)
		stride = 1
	}
	return blocks
}

func (c checkpointKeys) afModule(name string, first, last int) *afblock.AFModule {
	m := &afblock.AFModule{
		Ample:     c.blocks(name+".base_module", afblock.AmpleStride, true),
		Focal:     c.blocks(name+".refine_module", first, true),
		Transform: c.conv(name+".base_transform.0", 1, 1),
		Gate:      afblock.Gate{Key1: name + ".att_gen.fc.0", Key2: name + ".att_gen.fc.2"},
		Fusion:    c.block(name+".fusion.0", last, true),
	}
	for _, b := range m.Focal {
		for _, conv := range b.Convs {
			conv.Groups = 0 // its shape says
		}
	}
	for i := range c.children(name + ".list_gen") {
		key := fmt.Sprintf("%s.list_gen.%d", name, i)
		m.Navigation = append(m.Navigation, &afblock.Navigation{
			Key: key, Pool: c.conv(key+".conv_pool", 1, 1), Key2: key + ".conv_gs",
		})
	}
	return m
}

// found shows the first keys of a checkpoint that is not what was expected.
func found(names []string) string {
	if len(names) == 0 {
		return "found no tensors"
	}
	shown := names[:min(len(names), 4)]
	more := ""
	if len(names) > len(shown) {
		more = fmt.Sprintf(" and %d more", len(names)-len(shown))
	}
	return fmt.Sprintf("found %s%s", strings.Join(shown, ", "), more)
}
