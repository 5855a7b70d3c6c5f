package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// minOpset is the oldest opset emitted. The operators are spelled so that any
// newer one up to maxOpset reads them alike.
const (
	minOpset = 13
	maxOpset = 28
)

// lowerer writes one network.
type lowerer struct {
	*builder
	model *graph.Model
	net   *afblock.Network
	nav   *navigator
	how   strategy
	sizes []afblock.Size // of what each stage reads, and of what the last one makes

	// singleClip says that the model takes one clip at a time.
	singleClip bool
	// beside is where shifted channels come from, by pieces a frame.
	beside map[int]neighbours
	// zeros are channels of blocks' answers to unselected frames, in the main
	// graph.
	zeros map[string]*graph.Value
	// cells are branch's plans for blocks that choose inside the frames.
	cells map[*afblock.Block]*cellPlan
}

// newLowerer returns the writer of a network, with nothing written. It fails on
// options that do not fit the network and on an opset out of range.
func newLowerer(net *afblock.Network, opt Options) (*lowerer, error) {
	opset, err := opsetOf(net)
	if err != nil {
		return nil, err
	}
	if err := checkOptions(net, opt); err != nil {
		return nil, err
	}
	m := graph.NewModel("afc", graph.IRVersionOf(opset), opset)
	sizes, err := net.Sizes()
	if err != nil {
		return nil, err
	}
	l := &lowerer{builder: newBuilder(m.Graph, &opt), model: m, net: net, sizes: sizes, beside: map[int]neighbours{}, zeros: map[string]*graph.Value{}, cells: map[*afblock.Block]*cellPlan{}}
	l.unselected = net.Unselected
	if l.how, err = l.strategy(); err != nil {
		return nil, err
	}
	return l, l.how.check()
}

// without returns a writer of the same model that leaves out one more step.
func (l *lowerer) without(s Step) *lowerer {
	other, b, opt := *l, *l.builder, *l.opt
	opt.Without = append(slices.Clone(opt.Without), s)
	b.opt, other.builder = &opt, &b
	return &other
}

// Lower writes the network as a model: the source's prefix (or an input
// "video" [N, T, 3, H, W]), the trunk, the source's suffix (or GAP, linear
// layer, mean over frames). The initializers carry the authors' key names, so
// that afblock can read the Network back from the model (ReadModel). It also
// says which lowering it took, and why. It fails on options that do not fit the
// network and on an opset out of range.
func Lower(net *afblock.Network, opt Options) (*graph.Model, Choice, error) {
	choice := Choose(net, opt)
	opt.Lowering = choice.Lowering
	l, err := newLowerer(net, opt)
	if err != nil {
		return nil, choice, err
	}
	in, out, err := l.network()
	if err != nil {
		return nil, choice, err
	}
	if opt.MasksOutput {
		l.output(l.nav.masksOutput(), names.Masks, l.masksType())
		for i, s := range net.Selections() {
			if v := l.nav.cellsOutput(i); v != nil {
				l.output(v, names.Cells(i), l.cellsType(s))
			}
		}
	}
	if n := len(l.nav.drops); n > 0 {
		v := l.node("Concat", names.Dropped, l.nav.drops, graph.Int("axis", 1))
		l.output(v, names.Dropped, graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(int64(n))}))
	}
	l.addMetadata(in, out)
	if opt.Lowering != Mask && opt.Lowering != Plain {
		for _, note := range l.cellNotes() {
			choice.Reason += "; " + note
		}
	}
	return l.model, choice, nil
}

// network emits prefix, trunk and suffix. It returns what the trunk reads and
// what it makes.
func (l *lowerer) network() (trunkIn, trunkOut *graph.Value, err error) {
	frames, err := l.net.Shell.Prefix(l.g, l.net)
	if err != nil {
		return nil, nil, err
	}
	if n := frames.Type.Shape; len(n) > 0 && n[0].Size == int64(l.net.Frames) {
		l.singleClip = true
	}
	l.nav = l.navigator()
	if err := l.planCells(); err != nil {
		return nil, nil, err
	}
	out, err := l.trunk(feature{v: frames, c: l.net.Stem.Conv.In(), h: l.net.Size[0], w: l.net.Size[1]})
	if err != nil {
		return nil, nil, err
	}
	return frames, out.v, l.net.Shell.Suffix(l.g, out.v, l.net)
}

// addMetadata adds the metadata that ReadModel needs to the source's own.
func (l *lowerer) addMetadata(trunkIn, trunkOut *graph.Value) {
	info := compiled.FileInfo{Lowering: string(l.opt.Lowering), Budget: l.opt.Budget, Sampling: l.opt.Sampling, Masks: l.opt.MasksOutput, Dial: l.opt.Dial, Precision: l.opt.Precision, IO: l.opt.IO}
	if source := l.net.Shell.Model(); source != nil {
		l.model.Metadata = slices.Clone(source.Metadata)
		info.TrunkIn, info.TrunkOut = trunkIn.Name(), trunkOut.Name()
	}
	for _, p := range compiled.Metadata(l.net, info) {
		l.model.SetMeta(p.Key, p.Value)
	}
}

// opsetOf is the opset to emit: the source's, at least minOpset.
func opsetOf(net *afblock.Network) (int64, error) {
	opset := int64(minOpset)
	if source := net.Shell.Model(); source != nil {
		opset = max(opset, source.Opset(""))
	}
	if opset > maxOpset {
		return 0, fmt.Errorf("the source speaks opset %d; afc writes up to %d: export it with opset %d or older", opset, maxOpset, maxOpset)
	}
	return opset, nil
}

// checkOptions refuses options that do not fit the network, whatever the
// strategy.
func checkOptions(net *afblock.Network, opt Options) error {
	blocks := len(compiled.FocalBlocks(net))
	switch {
	case opt.Target != "" && !slices.Contains(Targets, opt.Target):
		return fmt.Errorf("unknown target %q: want one of %v", opt.Target, Targets)
	case net.Frames < 1:
		return fmt.Errorf("network has %d frames a clip; it needs at least 1", net.Frames)
	case blocks == 0 && (opt.MasksOutput || opt.MasksInput || opt.Sampling == compiled.Gumbel || opt.Dial):
		return fmt.Errorf("masks, sampling and the dial need an AF module; the network has none")
	case net.HasCells() && !net.Size.Known():
		return fmt.Errorf("cells inside the frames need height and width of a frame, which the network leaves open: fix the input's shape (--input-shapes, --size)")
	case net.HasCells() && opt.Sampling == compiled.Gumbel:
		return fmt.Errorf("noise is for choices of whole frames; the network chooses cells inside them, too: leave out --sampling gumbel")
	case opt.MasksInput && opt.Dial:
		return fmt.Errorf("masks given as an input leave nothing to dial: choose masks or the dial")
	case opt.MasksInput && opt.Sampling == compiled.Gumbel:
		return fmt.Errorf("masks given as an input leave nothing to sample: choose masks or sampling")
	}
	if err := checkSchedules(net, opt); err != nil {
		return err
	}
	return checkSteps(opt.Without)
}

// navigator makes the inputs that navigation reads besides the clip.
func (l *lowerer) navigator() *navigator {
	n := &navigator{builder: l.builder, frames: int64(l.net.Frames)}
	t := l.masksType()
	if l.opt.MasksInput {
		n.masks, n.cells = l.g.AddInput(names.MasksIn, t), map[int]*graph.Value{}
		for i, s := range l.net.Selections() {
			if l.net.Navigation()[i].Cells != nil {
				n.cells[i] = l.g.AddInput(names.CellsIn(i), l.cellsType(s))
			}
		}
	}
	if l.opt.Dial {
		n.margin = l.g.AddInput(names.Margin, graph.TensorType(graph.Float32, graph.Shape{}))
		l.g.AddInitializer(names.Margin, graph.Float32s(nil, 0))
	}
	if l.opt.Sampling == compiled.Gumbel {
		t.Shape = append(t.Shape, graph.D(2))
		n.noise = l.g.AddInput(names.Noise, t)
	}
	return n
}

func (l *lowerer) masksType() graph.Type {
	blocks := int64(len(compiled.FocalBlocks(l.net)))
	return graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(blocks), graph.D(int64(l.net.Frames))})
}

// cellsType is the type of a block's choices inside the frames.
func (l *lowerer) cellsType(s afblock.Selection) graph.Type {
	g := int64(s.Grid)
	return graph.TensorType(graph.Float32, graph.Shape{graph.Sym("batch"), graph.D(int64(s.Frames)), graph.D(g), graph.D(g)})
}

// trunk emits stem and stages.
func (l *lowerer) trunk(x feature) (feature, error) {
	y, led, err := l.how.lead(x)
	if err != nil {
		return feature{}, err
	}
	for i, s := range l.net.Stages[led:] {
		ends := l.wanted(led + i + 1)
		switch {
		case s.AF != nil:
			if y, err = l.how.module(y, s, ends); err != nil {
				return feature{}, err
			}
		case l.opt.Lowering == Branch && s.Blocks[0].Schedule != nil:
			y = streamOf(l.scheduledRun(l.joined(y, s.Name+".whole"), s.Blocks, l.net.Frames))
		case l.interleaves(y[0].size(), s.Blocks):
			y = streamOf(l.interleaved(y, s.Blocks))
		case l.scansHidden(s.Blocks[0], y[0].size()):
			f, err := l.hiddenScans(l.joined(y, s.Name+".whole"), s.Blocks)
			if err != nil {
				return feature{}, err
			}
			y = streamOf(f)
		default:
			y = l.blocksOf(y, s.Blocks, ends, l.net.Frames, nil)
		}
	}
	return l.layers(l.joined(y, "trunk"), l.net.Head.Before(), ""), nil
}

// wanted is how stage i would have what it reads cut.
func (l *lowerer) wanted(i int) []span {
	if i == len(l.net.Stages) || !l.opt.takes(SplitStream) {
		return nil
	}
	s := l.net.Stages[i]
	if s.AF == nil {
		return cuts(s.Blocks, s.Blocks[0].In())
	}
	if b, ok := l.how.(branch); ok && b.scansPieces(s.AF, l.sizes[i]) {
		return cutAt(s.AF.Focal[0].In(), scanBounds(s.AF.Focal[0])...)
	}
	return nil
}

func (b *builder) stem(x feature, stem *afblock.Stem) feature {
	return b.layers(x, stem.Layers(), stem.Conv.Key)
}
