package codegen

import (
	"slices"

	"github.com/afc-project/afc/afblock"
)

// Stages whose kernels are larger than their maps keep a Scan for each focal
// block, which holds one kernel for all frames. With their maps in pieces, as a
// batch each, no kernel has zeros for channels that come from elsewhere, and what
// all frames go through, the mix and the fusion, reads its weights once.

// scansPieces reports whether a module that reads maps of that size hands them
// from Scan to Scan in pieces, and mixes and fuses them as a batch.
func (l branch) scansPieces(m *afblock.AFModule, size afblock.Size) bool {
	if !l.opt.takes(PieceScans) || !shifts(m) || l.net.Frames == 1 || !l.scanPays(size) || l.framesPay(behind(size, m.Focal)) {
		return false
	}
	return !slices.ContainsFunc(append(slices.Clone(m.Focal), m.Fusion), func(blk *afblock.Block) bool {
		return !inPieces(blk) || hasShift(blk) && blk.Shift.PastFirst // neighbours are gathered in the other order
	})
}

// scanBounds are the channels at which a Scan wants a block's input cut: what
// moves, which is gathered, and the groups.
func scanBounds(blk *afblock.Block) []int {
	var at []int
	if s := blk.Shift; s != nil {
		at = append(at, 2*s.Fold)
	}
	groups := blk.Convs()[0].Groups
	for g := range groups {
		at = append(at, group(blk.In(), groups, g).lo)
	}
	return at
}

// pieceScans emits an AF module: a Scan for each focal block, the rest for all
// frames at once.
func (l branch) pieceScans(x stream, s *afblock.Stage, ends []span) (stream, error) {
	m := s.AF
	a := l.choices(x, m)
	l.addCells(&a, m)
	f := l.recut(x, cutAt(m.Focal[0].In(), scanBounds(m.Focal[0])...), s.Name+".focal")
	for n, blk := range m.Focal {
		reader := m.Fusion
		if n+1 < len(m.Focal) {
			reader = m.Focal[n+1]
		}
		var err error
		if f, err = l.pieceScan(f, blk, a.chosen[n], a.cells[n], focalCuts(blk, scanBounds(reader))); err != nil {
			return nil, err
		}
	}
	return l.blocksOf(l.mixedPieces(a.a, f, s), []*afblock.Block{m.Fusion}, ends, l.net.Frames, nil), nil
}

// recut returns a map in other pieces.
func (b *builder) recut(x stream, ends []span, hint string) stream {
	y := make(stream, len(ends))
	for i, end := range ends {
		y[i] = piece{b.cut(x, end, hint), end, 0}
	}
	return y
}

// pieceScan emits a focal block of maps in pieces as a Scan over frames.
func (l branch) pieceScan(x stream, blk *afblock.Block, s selection, cells *cellInputs, cuts []span) (stream, error) {
	ins := []scanned{s.scanned()}
	for _, p := range x {
		ins = append(ins, scannedMap(p.feature))
	}
	var moving shiftScan
	if blk.Shift != nil {
		moving = l.shiftScan(x[0].feature, blk)
		ins = append(ins, moving.ins...)
	}
	inside := len(ins)
	ins = append(ins, cells.scanned()...)
	outs, err := l.scan(blk.Key+".frames", ins, func(fr *frame) ([]feature, error) {
		var own frameMap
		for i, p := range x {
			own.pieces = append(own.pieces, piece{fr.feature(1+i, p.feature), p.span, 0})
		}
		size := blk.Through(x[0].size())
		ones := &onesMap{body: fr.builder, choice: fr.parts[0], h: size[0], w: size[1], hint: blk.Key + ".ones"}
		return fr.decide(blk.Key, fr.parts[:1], func(b *builder, chosen []bool) ([]feature, error) {
			if !chosen[0] {
				return l.unselectedPieces(b, own, ones, blk, cuts, b.zeroChannels)
			}
			main := own.pieces
			if blk.Shift != nil {
				main = slices.Clone(main)
				main[0].feature = b.moved(main[0].feature, moving, fr.parts[1+len(x):inside], blk.Shift.Fold, blk.Key+".moved")
			}
			return l.selectedPieces(b, main, own, blk, fr.cellsOf(cells, inside), cuts)
		})
	})
	if err != nil {
		return nil, err
	}
	var y stream
	for i, cut := range cuts {
		y = append(y, piece{outs[i], cut, 0})
	}
	return y, nil
}
