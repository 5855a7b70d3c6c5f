package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// blockScans emits an AF module whose frames read each other: the ample branch
// for all frames, on a split stream, then a Scan for each focal block, since a
// shift needs all frames of what lies before it. The last one takes the mix with
// the ample branch along.
func (l branch) blockScans(x feature, s *afblock.Stage) (feature, error) {
	m := s.AF
	a := l.choices(streamOf(x), m)
	f, last := x, len(m.Focal)-1
	for n, blk := range m.Focal {
		var behind *stageEnd
		if n == last {
			behind = &stageEnd{stage: s, a: a.a}
		}
		var err error
		if f, err = l.blockScan(f, blk, a.chosen[n], behind); err != nil {
			return feature{}, err
		}
	}
	return l.fusionScan(f, m.Fusion)
}

// stageEnd is what mixes the branches of a stage.
type stageEnd struct {
	stage *afblock.Stage
	a     feature // the ample branch's end, all frames
}

// mix emits one frame's mix; part is its share of a among the Scan's inputs.
func (e *stageEnd) mix(fr *frame, f feature, part int) feature {
	return fr.mixed(fr.feature(part, e.a), f, e.stage, false)
}

// blockScan emits one focal block as a Scan, and, if given, the stage's mix
// behind it.
func (l branch) blockScan(x feature, blk *afblock.Block, s selection, behind *stageEnd) (feature, error) {
	main, residual := x, x
	ins := []scanned{scannedMap(x), s.scanned()}
	var gathered *shiftScan
	switch {
	case l.gathersShift(blk):
		g := l.shiftScan(x, blk)
		gathered = &g
		ins = append(ins, g.ins...)
	case blk.Shift != nil:
		main, residual = l.shifted(x, blk, l.net.Frames)
		ins[0] = scannedMap(residual)
		ins = append(ins, scannedMap(main))
	}
	if behind != nil {
		ins = append(ins, scannedMap(behind.a))
	}
	outs, err := l.scan(blk.Key+".frames", ins, func(fr *frame) ([]feature, error) {
		r := fr.feature(0, residual)
		ones := &onesMap{body: fr.builder, choice: fr.parts[1], h: x.h, w: x.w, hint: blk.Key + ".ones"}
		y, err := fr.decideOne(blk.Key, fr.parts[1:2], func(b *builder, chosen []bool) (feature, error) {
			switch {
			case !chosen[0]:
				return l.unselectedFrame(b, r, ones, blk, true)
			case gathered != nil:
				moved := b.moved(r, *gathered, fr.parts[2:2+len(gathered.ins)], blk.Shift.Fold, blk.Key+".moved")
				return b.join(b.shiftedConvs(r, moved, blk), b.residual(r, blk), blk), nil
			case blk.Shift != nil:
				return b.join(b.convs(b.unsqueezed(fr.parts[2], main), blk), b.residual(r, blk), blk), nil
			}
			return b.join(b.convs(r, blk), b.residual(r, blk), blk), nil
		})
		if err == nil && behind != nil {
			y = behind.mix(fr, y, len(ins)-1)
		}
		return []feature{y}, err
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}

// fusionScan emits a plain block frame by frame, where its shift allows.
func (l branch) fusionScan(x feature, blk *afblock.Block) (feature, error) {
	if !l.gathersShift(blk) {
		return l.block(x, blk, l.net.Frames), nil
	}
	g := l.shiftScan(x, blk)
	outs, err := l.scan(blk.Key+".frames", append([]scanned{scannedMap(x)}, g.ins...),
		func(fr *frame) ([]feature, error) {
			f := fr.feature(0, x)
			moved := fr.moved(f, g, fr.parts[1:], blk.Shift.Fold, blk.Key+".moved")
			return []feature{fr.join(fr.shiftedConvs(f, moved, blk), fr.residual(f, blk), blk)}, nil
		})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}
