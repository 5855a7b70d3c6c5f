package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// minOpset is the oldest opset emitted. The operators are spelled so that any
// newer one up to maxOpset reads them alike.
const (
	minOpset = 13
	maxOpset = 23
)

// Names of the inputs and outputs Options ask for.
const (
	MasksName   = "masks"
	MasksInName = "masks_in"
	DroppedName = "dropped"
	NoiseName   = "gumbel_noise"
)

// lowerer writes one network.
type lowerer struct {
	*builder
	net *afblock.Network
	nav *navigator

	// singleClip says that the model takes one clip at a time.
	singleClip bool
	// beside is where shifted channels come from, by pieces a frame.
	beside map[int]neighbours
}

// Lower writes the network as a model: the source's prefix (or an input
// "video" [N, T, 3, H, W]), the trunk, the source's suffix (or GAP, linear
// layer, mean over frames). The initializers carry the authors' key names, so
// that afblock can read the Network back from the model (ReadModel). It fails
// on options that do not fit the network and on an opset out of range.
func Lower(net *afblock.Network, opt Options) (*graph.Model, error) {
	opset, err := opsetOf(net)
	if err != nil {
		return nil, err
	}
	opt.Lowering = Choose(net, opt).Lowering
	blocks, err := checkOptions(net, opt)
	if err != nil {
		return nil, err
	}
	m := graph.NewModel("afc", irVersion(opset), opset)
	l := &lowerer{builder: newBuilder(m.Graph, &opt), net: net, beside: map[int]neighbours{}}
	frames, err := afblock.EmitPrefix(m.Graph, net)
	if err != nil {
		return nil, err
	}
	if n := frames.Type.Shape; len(n) > 0 && n[0].Size == int64(net.Frames) {
		l.singleClip = true
	}
	l.nav = l.navigator(int64(blocks))
	out, err := l.trunk(feature{v: frames, c: net.Stem.Conv.In(), h: net.Size[0], w: net.Size[1]})
	if err != nil {
		return nil, err
	}
	if err := afblock.EmitSuffix(m.Graph, out.v, net); err != nil {
		return nil, err
	}
	if opt.MasksOutput {
		l.output(l.nav.masksOutput(), MasksName, l.masksType(int64(blocks)))
	}
	if n := len(l.nav.drops); n > 0 {
		v := l.node("Concat", DroppedName, l.nav.drops, graph.Int("axis", 1))
		l.output(v, DroppedName, graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(int64(n))}))
	}
	l.describe(m, frames, out.v)
	return m, nil
}

// describe adds the metadata that ReadModel needs to the source's own.
func (l *lowerer) describe(m *graph.Model, trunkIn, trunkOut *graph.Value) {
	info := afblock.FileInfo{Lowering: string(l.opt.Lowering), Budget: l.opt.Budget, Masks: l.opt.MasksOutput}
	if l.opt.Gumbel {
		info.Sampling = "gumbel"
	}
	if src := l.net.Source; src != nil {
		m.Metadata = slices.Clone(src.Model.Metadata)
		info.TrunkIn, info.TrunkOut = trunkIn.Name(), trunkOut.Name()
	}
	for _, p := range afblock.Metadata(l.net, info) {
		m.SetMeta(p.Key, p.Value)
	}
}

// opsetOf is the opset to emit: the source's, at least minOpset.
func opsetOf(net *afblock.Network) (int64, error) {
	opset := int64(minOpset)
	if net.Source != nil {
		opset = max(opset, net.Source.Model.Opset(""))
	}
	if opset > maxOpset {
		return 0, fmt.Errorf("the source speaks opset %d; afc writes up to %d: export it with opset %d or older", opset, maxOpset, maxOpset)
	}
	return opset, nil
}

// irVersion is the oldest IR version whose release had the opset.
func irVersion(opset int64) int64 {
	switch {
	case opset < 15:
		return 7
	case opset < 19:
		return 8
	case opset < 21:
		return 9
	case opset < 23:
		return 10
	}
	return 11
}

// checkOptions refuses options that do not fit the network. It returns the
// number of focal blocks.
func checkOptions(net *afblock.Network, opt Options) (int, error) {
	blocks := 0
	for _, s := range net.Stages {
		if s.AF != nil {
			blocks += len(s.AF.Focal)
		}
	}
	switch {
	case opt.Target != "" && !slices.Contains(Targets, opt.Target):
		return 0, fmt.Errorf("unknown target %q: want one of %v", opt.Target, Targets)
	case net.Frames < 1:
		return 0, fmt.Errorf("network has %d frames a clip; it needs at least 1", net.Frames)
	case blocks == 0 && (opt.MasksOutput || opt.MasksInput || opt.Gumbel):
		return 0, fmt.Errorf("masks and sampling need an AF module; the network has none")
	case opt.MasksInput && opt.Gumbel:
		return 0, fmt.Errorf("masks given as an input leave nothing to sample: choose masks or sampling")
	}
	switch opt.Lowering {
	case Mask, Gather:
	case Branch, TopK:
		if net.Size[0] <= 0 || net.Size[1] <= 0 {
			return 0, fmt.Errorf("lowering %s needs to know height and width of a frame, which the network leaves open: fix the input's shape (--input-shapes), or use gather", opt.Lowering)
		}
	default:
		return 0, fmt.Errorf("unknown lowering %q: want one of %v", opt.Lowering, Lowerings)
	}
	if err := checkSteps(opt.Without); err != nil {
		return 0, err
	}
	if opt.Lowering == TopK {
		if err := checkBudget(net, opt.Budget, blocks); err != nil {
			return 0, err
		}
	}
	return blocks, nil
}

// navigator makes the inputs that navigation reads besides the clip.
func (l *lowerer) navigator(blocks int64) *navigator {
	n := &navigator{builder: l.builder, frames: int64(l.net.Frames)}
	t := l.masksType(blocks)
	if l.opt.MasksInput {
		n.masks = l.g.AddInput(MasksInName, t)
	}
	if l.opt.Gumbel {
		t.Shape = append(t.Shape, graph.D(2))
		n.noise = l.g.AddInput(NoiseName, t)
	}
	return n
}

func (l *lowerer) masksType(blocks int64) graph.Type {
	return graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(blocks), graph.D(int64(l.net.Frames))})
}

// trunk emits stem and stages.
func (l *lowerer) trunk(x feature) (feature, error) {
	stages := l.net.Stages
	if n := l.scannedStages(); n > 0 {
		var err error
		if x, err = l.frameScans(x, stages[:n]); err != nil {
			return feature{}, err
		}
		stages = stages[n:]
	} else {
		x = l.stem(x, &l.net.Stem)
	}
	for _, s := range stages {
		if s.AF != nil {
			module := l.module
			if l.opt.Lowering == Branch && l.scanPays(x.size()) {
				module = l.branchModule
			}
			var err error
			if x, err = module(x, s); err != nil {
				return feature{}, err
			}
			continue
		}
		switch {
		case l.interleaves(x, s.Blocks):
			x = l.interleaved(x, s.Blocks)
		case l.opt.takes(SplitStream):
			x = l.joined(l.splitBlocks(streamOf(x), s.Blocks, l.net.Frames, nil), s.Name)
		default:
			for _, blk := range s.Blocks {
				x = l.block(x, blk, l.net.Frames)
			}
		}
	}
	return x, nil
}

func (b *builder) stem(x feature, stem *afblock.Stem) feature {
	x = b.relu(b.conv(x, convOf(&stem.Conv)), stem.Conv.Key+".relu")
	return b.maxPool(x, stem.Pool, "maxpool")
}

// module emits an AF module. No choice depends on the focal branch, so the
// ample branch and all choices come first.
func (l *lowerer) module(x feature, s *afblock.Stage) (feature, error) {
	a := x
	chosen := make([]selection, len(s.AF.Ample))
	for n, blk := range s.AF.Ample {
		chosen[n] = l.nav.choose(s.AF.Navigation[n], l.average(s.AF.Navigation[n], streamOf(a)))
		a = l.block(a, blk, l.net.Frames)
	}
	f := x
	for n, blk := range s.AF.Focal {
		var err error
		if f, err = l.focalBlock(f, blk, chosen[n]); err != nil {
			return feature{}, err
		}
	}
	return l.block(l.mixed(a, f, s, false), s.AF.Fusion, l.net.Frames), nil
}

func (l *lowerer) focalBlock(x feature, blk *afblock.Block, s selection) (feature, error) {
	switch l.opt.Lowering {
	case Gather, Branch: // branch scans where that pays
		return l.gatherBlock(x, blk, s)
	case TopK:
		return l.topkBlock(x, blk, s, l.opt.budgetOf(s.index))
	}
	return l.maskBlock(x, blk, s), nil
}
