package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Without a temporal shift, frames meet only in navigation, which is a few
// numbers a frame. So branch runs a network frame by frame, in one Scan between
// each two AF modules' choices:
//
//	Scan 1   stem, ample branch of module 1        → x, a, what navigation looks at
//	         choices of module 1
//	Scan 2   focal branch, gate, fusion of 1, ample branch of 2
//	         choices of module 2
//	…
//
// A frame's maps then stay in the processor's cache from one node to the next.

// ample is what a Scan leaves of a module for the one behind it.
type ample struct {
	x, a   feature // the module's input, and the ample branch's end
	chosen []selection
}

// scannedStages is the number of stages, from the first, that branch runs frame
// by frame: AF modules whose frames do not read each other.
func (l *lowerer) scannedStages() int {
	if !l.opt.takes(FrameScans) {
		return 0
	}
	sizes := stageSizes(l.net)
	for i, s := range l.net.Stages {
		if s.AF == nil || shifts(s.AF) || !l.scanPays(sizes[i]) {
			return i
		}
	}
	return len(l.net.Stages)
}

// minScanPixels is the size of a map below which branch gathers the selected
// frames of a block instead of scanning over frames. A Scan reads the block's
// weights once a frame; a weight has one product to do for each pixel, and with
// too few of them the convolutions wait for memory.
const minScanPixels = 64

// scanPays reports whether maps of that height and width are worth a Scan.
func (l *lowerer) scanPays(size [2]int) bool {
	return size[0]*size[1] >= minScanPixels || !l.opt.takes(SmallGather)
}

// outSize is the height, or width, of what a block makes of maps of that size.
func outSize(b *afblock.Block, size int) int {
	for _, c := range b.Convs {
		size = window(size, c.Kernel(), c.Stride, c.Pad)
	}
	return size
}

// stageSizes are the heights and widths of what each stage reads.
func stageSizes(net *afblock.Network) [][2]int {
	var sizes [][2]int
	size := net.Size
	through := func(kernel, stride, pad int) {
		size = [2]int{window(size[0], kernel, stride, pad), window(size[1], kernel, stride, pad)}
	}
	blocks := func(bs ...*afblock.Block) {
		for _, b := range bs {
			size = [2]int{outSize(b, size[0]), outSize(b, size[1])}
		}
	}
	stem := &net.Stem
	through(stem.Conv.Kernel(), stem.Conv.Stride, stem.Conv.Pad)
	through(stem.Pool.Kernel, stem.Pool.Stride, stem.Pool.Pad)
	for _, s := range net.Stages {
		sizes = append(sizes, size)
		if s.AF != nil {
			blocks(s.AF.Focal...)
			blocks(s.AF.Fusion)
		}
		blocks(s.Blocks...)
	}
	return sizes
}

// shifts reports whether a module has a temporal shift.
func shifts(m *afblock.AFModule) bool {
	has := func(b *afblock.Block) bool { return b.Shift != nil }
	return has(m.Fusion) || slices.ContainsFunc(m.Focal, has) || slices.ContainsFunc(m.Ample, has)
}

// frameStep is what one Scan does for a frame up to a module's end.
type frameStep struct {
	name  string
	ins   []*graph.Value
	elems []graph.DataType
	emit  func(*frame) (feature, error)
}

// frameScans emits stem and the given stages.
func (l *lowerer) frameScans(x feature, stages []*afblock.Stage) (feature, error) {
	sizes := stageSizes(l.net)
	step := frameStep{"head.frames", in(x.v), []graph.DataType{graph.Float32}, func(fr *frame) (feature, error) {
		return fr.stem(fr.feature(0, x), &l.net.Stem), nil
	}}
	for i, s := range stages {
		a, err := l.scanToChoices(step, s.AF, sizes[i])
		if err != nil {
			return feature{}, err
		}
		step = l.moduleStep(s, a)
	}
	outs, err := l.scan(step.name, step.ins, step.elems, func(fr *frame) ([]feature, error) {
		y, err := step.emit(fr)
		return []feature{y}, err
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}

// scanToChoices emits a step, the ample branch of the module behind it and that
// module's choices. The ample branch is part of the step's Scan where its own,
// smaller maps allow.
func (l *lowerer) scanToChoices(step frameStep, m *afblock.AFModule, size [2]int) (*ample, error) {
	first := m.Ample[0]
	inScan := l.scanPays([2]int{outSize(first, size[0]), outSize(first, size[1])})
	outs, err := l.scan(step.name, step.ins, step.elems, func(fr *frame) ([]feature, error) {
		y, err := step.emit(fr)
		if err != nil || !inScan {
			return []feature{y}, err
		}
		return append([]feature{y}, fr.ampleBranch(y, m)...), nil
	})
	if err != nil {
		return nil, err
	}
	if !inScan {
		outs = append(outs, l.ampleBranch(outs[0], m)...)
	}
	a := &ample{x: outs[0], a: outs[1]}
	for n, nav := range m.Navigation {
		var pooled feature
		if !l.opt.MasksInput {
			pooled = outs[2+n]
		}
		a.chosen = append(a.chosen, l.nav.choose(nav, pooled))
	}
	return a, nil
}

// moduleStep is a module behind its choices.
func (l *lowerer) moduleStep(s *afblock.Stage, a *ample) frameStep {
	step := frameStep{name: s.Name + ".frames", ins: in(a.x.v, a.a.v), elems: []graph.DataType{graph.Float32, graph.Float32}}
	for _, c := range a.chosen {
		step.ins, step.elems = append(step.ins, c.chosen), append(step.elems, graph.Bool)
	}
	// As large as the blocks' answers: the first block, strided where the source's
	// strides were kept, reads more but has a stored map.
	first := s.AF.Focal[0]
	ones := &onesMap{outer: l.builder, s: a.chosen[0], h: outSize(first, a.x.h), w: outSize(first, a.x.w), hint: s.Name + ".ones"}
	step.emit = func(fr *frame) (feature, error) { return l.frameModule(fr, s, a, ones) }
	return step
}

// ampleBranch emits an ample branch without shift: its end, and the averages
// that navigation reads, none where masks are an input.
func (b *builder) ampleBranch(a feature, m *afblock.AFModule) []feature {
	outs := []feature{{}}
	for n, blk := range m.Ample {
		if p := b.average(m.Navigation[n], streamOf(a)); p.v != nil {
			outs = append(outs, p)
		}
		a = b.block(a, blk, 1)
	}
	outs[0] = a
	return outs
}

// frameModule emits one frame's focal branch, gate and fusion.
func (l *lowerer) frameModule(fr *frame, s *afblock.Stage, m *ample, ones *onesMap) (feature, error) {
	f, err := l.branchChains(fr.builder, fr.feature(0, m.x), ones, s.AF.Focal, fr.parts[2:])
	if err != nil {
		return feature{}, err
	}
	t := fr.conv(fr.feature(1, m.a), convOf(&s.AF.Transform))
	return fr.block(fr.mixLow(t, f, &s.AF.Gate, s.Name), s.AF.Fusion, 1), nil
}
