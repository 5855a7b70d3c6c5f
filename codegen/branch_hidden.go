package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// An inverted residual makes a map several times as wide as what it reads and
// what it leaves. As a batch these hidden maps of all frames go through memory,
// written and read again by each layer; frame by frame they stay in the
// processor's cache. Its shift, which needs all frames, comes before.

// minHiddenPixels is the size of a map below which an inverted residual runs as
// one batch: a Scan reads its weights once a frame.
const minHiddenPixels = 14 * 14

// scansHidden reports whether a block of all frames, which reads maps of that
// size, runs frame by frame for the sake of its hidden maps.
func (l *lowerer) scansHidden(blk *afblock.Block, size afblock.Size) bool {
	made := blk.Through(size)
	return l.opt.takes(HiddenScans) && blk.Inverted() && l.net.Frames > 1 && made[0]*made[1] >= minHiddenPixels
}

// hiddenScans emits a run of blocks, those whose hidden maps are worth it frame
// by frame.
func (l *lowerer) hiddenScans(x feature, run []*afblock.Block) (feature, error) {
	for _, blk := range run {
		if !l.scansHidden(blk, x.size()) {
			x = l.block(x, blk, l.net.Frames)
			continue
		}
		var err error
		if x, err = l.hiddenScan(x, blk); err != nil {
			return feature{}, err
		}
	}
	return x, nil
}

// hiddenScan emits a block frame by frame.
func (l *lowerer) hiddenScan(x feature, blk *afblock.Block) (feature, error) {
	main, residual := l.shifted(x, blk, l.net.Frames)
	ins := []scanned{scannedMap(main)}
	if !blk.Residual.None {
		ins = append(ins, scannedMap(residual))
	}
	outs, err := l.scan(blk.Key+".frames", ins, func(fr *frame) ([]feature, error) {
		var beside feature
		if !blk.Residual.None {
			beside = fr.residual(fr.feature(1, residual), blk)
		}
		return []feature{fr.join(fr.convs(fr.feature(0, main), blk), beside, blk)}, nil
	})
	if err != nil {
		return feature{}, err
	}
	return outs[0], nil
}
