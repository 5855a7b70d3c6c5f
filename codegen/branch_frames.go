package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
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
// Where maps are small, what all frames go through leaves the Scans and runs as
// one batch, which reads its weights once; the focal branch remains.

// scannedStages is the number of stages, from the first, that branch runs frame
// by frame: AF modules whose frames do not read each other.
func (l branch) scannedStages() int {
	if !l.opt.takes(FrameScans) {
		return 0
	}
	sizes := l.sizes
	for i, s := range l.net.Stages {
		if s.AF == nil || shifts(s.AF) || !l.takesCells(s.AF) || !l.scanPays(sizes[i]) {
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
func (l branch) scanPays(size afblock.Size) bool {
	return size[0]*size[1] >= minScanPixels || !l.opt.takes(SmallGather)
}

// minFramePixels is the size of a map below which a block that all frames go
// through runs as one batch. A batch keeps large maps from the processor's
// cache, but has the processors share frames and not rows.
const minFramePixels = 256

// framesPay reports whether a block that all frames go through and that reads or
// makes maps of that height and width belongs into a Scan.
func (l branch) framesPay(size afblock.Size) bool {
	return size[0]*size[1] >= minFramePixels || !l.opt.takes(SmallBatch)
}

// behind is the size of the map behind some blocks.
func behind(size afblock.Size, blocks []*afblock.Block) afblock.Size {
	for _, b := range blocks {
		size = b.Through(size)
	}
	return size
}

func hasShift(b *afblock.Block) bool { return b.Shift != nil }

// shifts reports whether a module has a temporal shift.
func shifts(m *afblock.AFModule) bool {
	return hasShift(m.Fusion) || slices.ContainsFunc(m.Focal, hasShift) || slices.ContainsFunc(m.Ample, hasShift)
}

// frameStep is what one Scan does for a frame up to a module's end.
type frameStep struct {
	name string
	ins  []scanned
	emit func(*frame) (feature, error)
}

// frameScans emits stem and the given stages.
func (l branch) frameScans(x feature, stages []*afblock.Stage) (feature, error) {
	sizes := l.sizes
	step := &frameStep{"head.frames", []scanned{scannedMap(x)}, func(fr *frame) (feature, error) {
		return fr.stem(fr.feature(0, x), &l.net.Stem), nil
	}}
	for i, s := range stages {
		a, err := l.toChoices(step, x, s.AF, sizes[i])
		if err != nil {
			return feature{}, err
		}
		if l.framesPay(behind(sizes[i], s.AF.Focal)) {
			step = l.moduleStep(s, a)
			continue
		}
		f, err := l.scanOne(l.focalStep(s, a))
		if err != nil {
			return feature{}, err
		}
		x, step = l.block(l.mixed(a.a, f, s, false), s.AF.Fusion, l.net.Frames), nil
	}
	if step == nil {
		return x, nil
	}
	return l.scanOne(step)
}

// toChoices emits a step, or where there is none takes x, then the ample branch
// of the module behind it and that module's choices. The ample branch is part of
// the step's Scan where its own, smaller maps allow.
func (l branch) toChoices(step *frameStep, x feature, m *afblock.AFModule, size afblock.Size) (ample, error) {
	inScan := step != nil && l.framesPay(m.Ample[0].Through(size))
	outs := []feature{x}
	if step != nil {
		var err error
		outs, err = l.scan(step.name, step.ins, func(fr *frame) ([]feature, error) {
			y, err := step.emit(fr)
			if err != nil || !inScan {
				return []feature{y}, err
			}
			return append([]feature{y}, fr.ampleOf(y, m)...), nil
		})
		if err != nil {
			return ample{}, err
		}
	}
	if !inScan {
		outs = append(outs, l.ampleOf(outs[0], m)...)
	}
	a := ample{x: outs[0], a: outs[1]}
	seen := outs[2:]
	next := func(is bool) (f feature) {
		if is && !l.opt.MasksInput {
			f, seen = seen[0], seen[1:]
		}
		return f
	}
	for _, nav := range m.Navigation {
		pooled := next(true)
		a.chosen = append(a.chosen, l.nav.choose(nav, pooled, next(nav.Looks())))
	}
	l.addCells(&a, m)
	return a, nil
}

// ampleOf emits an ample branch without shift: its end, and what each navigation
// sees and answers to its cells, if anything.
func (b *builder) ampleOf(x feature, m *afblock.AFModule) []feature {
	outs := []feature{{}}
	outs[0] = b.ampleBranch(streamOf(x), m, 1, func(nav *afblock.Navigation, seen feature, x stream) {
		for _, y := range []feature{seen, b.cellLook(nav, x)} {
			if y.v != nil {
				outs = append(outs, y)
			}
		}
	})
	return outs
}

// focalStep is a module's focal branch.
func (l branch) focalStep(s *afblock.Stage, a ample) *frameStep {
	step := &frameStep{name: s.Name + ".frames", ins: []scanned{scannedMap(a.x)}}
	for _, c := range a.chosen {
		step.ins = append(step.ins, c.scanned())
	}
	for _, c := range a.cells {
		step.ins = append(step.ins, c.scanned()...)
	}
	step.emit = func(fr *frame) (feature, error) { return l.frameFocal(fr, s, a, nil) }
	return step
}

// moduleStep is all of a module behind its choices.
func (l branch) moduleStep(s *afblock.Stage, a ample) *frameStep {
	step := l.focalStep(s, a)
	step.ins = append(step.ins, scannedMap(a.a))
	step.emit = func(fr *frame) (feature, error) {
		low := fr.feature(len(fr.parts)-1, a.a)
		end := func(b *builder, f feature, blocked bool) feature {
			return b.block(b.mixed(low, f, s, blocked), s.AF.Fusion, 1)
		}
		if l.endsInChain(s.AF, a.x) {
			return l.frameFocal(fr, s, a, func(b *builder, f feature) feature { return end(b, f, true) })
		}
		f, err := l.frameFocal(fr, s, a, nil)
		if err != nil {
			return feature{}, err
		}
		return end(fr.builder, f, false), nil
	}
	return step
}

// frameFocal emits one frame's focal branch, and what end emits behind it, in a
// Scan that reads the module's input and then its choices.
func (l branch) frameFocal(fr *frame, s *afblock.Stage, a ample, end func(*builder, feature) feature) (feature, error) {
	// The map of ones is as large as the blocks' answers: the first block, strided
	// where the source's strides were kept, reads more but has a stored map.
	size := s.AF.Focal[0].Through(a.x.size())
	ones := &onesMap{body: fr.builder, choice: fr.parts[1], h: size[0], w: size[1], hint: s.Name + ".ones"}
	cells, at := make([]*frameCells, len(a.cells)), 1+len(a.chosen)
	for i, c := range a.cells {
		cells[i] = fr.cellsOf(c, at)
		at += len(c.scanned())
	}
	return l.branchChains(fr.builder, fr.feature(0, a.x), ones, s.AF.Focal, fr.parts[1:1+len(a.chosen)], cells, end)
}

// scanOne emits a step that makes one map.
func (l branch) scanOne(step *frameStep) (feature, error) {
	outs, err := l.scan(step.name, step.ins, func(fr *frame) ([]feature, error) {
		y, err := step.emit(fr)
		return []feature{y}, err
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}
