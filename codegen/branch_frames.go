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

// stageSizes are the heights and widths of what each stage reads.
func stageSizes(net *afblock.Network) [][2]int {
	var sizes [][2]int
	size := net.Size
	through := func(kernel, stride, pad int) {
		size = [2]int{window(size[0], kernel, stride, pad), window(size[1], kernel, stride, pad)}
	}
	blocks := func(bs ...*afblock.Block) {
		for _, b := range bs {
			for _, c := range b.Convs {
				through(c.Kernel(), c.Stride, c.Pad)
			}
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

// frameScans emits stem and the given stages.
func (l *lowerer) frameScans(x feature, stages []*afblock.Stage) (feature, error) {
	var prev *ample
	for i := range len(stages) + 1 {
		var next *afblock.Stage
		name := "head.frames"
		if i < len(stages) {
			next = stages[i]
		}
		ins, elems := in(x.v), []graph.DataType{graph.Float32}
		var ones *graph.Value
		if i > 0 {
			name = stages[i-1].Name + ".frames"
			ins, elems = in(prev.x.v, prev.a.v), []graph.DataType{graph.Float32, graph.Float32}
			for _, c := range prev.chosen {
				ins, elems = append(ins, c.chosen), append(elems, graph.Bool)
			}
			ones = l.onesMap(prev.chosen[0], prev.x.h, prev.x.w, stages[i-1].Name+".ones")
		}
		outs, err := l.scan(name, ins, elems, func(fr *frame) ([]feature, error) {
			var y feature
			if i == 0 {
				y = fr.stem(fr.feature(0, x), &l.net.Stem)
			} else {
				var err error
				if y, err = l.frameModule(fr, stages[i-1], prev, ones); err != nil {
					return nil, err
				}
			}
			if next == nil {
				return []feature{y}, nil
			}
			return append([]feature{y}, l.frameAmple(fr, next.AF, y)...), nil
		})
		if err != nil {
			return feature{}, err
		}
		if next == nil {
			return outs[0], nil
		}
		prev = &ample{x: outs[0], a: outs[1]}
		for n, nav := range next.AF.Navigation {
			var look feature
			if !l.opt.MasksInput {
				look = outs[2+n]
			}
			prev.chosen = append(prev.chosen, l.nav.choose(nav, look))
		}
	}
	panic("BUG: the last Scan returns")
}

// frameAmple emits one frame's ample branch: its end, and what navigation
// looks at.
func (l *lowerer) frameAmple(fr *frame, m *afblock.AFModule, a feature) []feature {
	outs := []feature{{}}
	for n, blk := range m.Ample {
		if !l.opt.MasksInput {
			outs = append(outs, fr.look(m.Navigation[n], streamOf(a)))
		}
		a = fr.block(a, blk, 1)
	}
	outs[0] = a
	return outs
}

// frameModule emits one frame's focal branch, gate and fusion.
func (l *lowerer) frameModule(fr *frame, s *afblock.Stage, m *ample, ones *graph.Value) (feature, error) {
	f, err := l.branchChains(fr.builder, fr.feature(0, m.x), ones, s.AF.Focal, fr.parts[2:])
	if err != nil {
		return feature{}, err
	}
	t := fr.conv(fr.feature(1, m.a), convOf(&s.AF.Transform))
	return fr.block(fr.mixLow(t, f, &s.AF.Gate, s.Name), s.AF.Fusion, 1), nil
}
