package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// gather is the strategy that computes the selected frames of a focal block as
// one batch of K: a gather, the convolutions, and a second gather that puts each
// answer in its place and the unselected frames' one answer everywhere else.
// That is one parallel pass over the map, where ScatterND makes a copy on one
// thread.
type gather struct{ *lowerer }

func (l gather) check() error { return nil }

func (l gather) module(x stream, s *afblock.Stage, _ []span) (stream, error) {
	return l.batchModule(x, s, l.focal)
}

func (l gather) focal(x feature, blk *afblock.Block, s selection) (feature, error) {
	main, residual := l.shifted(x, blk, l.net.Frames)
	residual = l.residual(residual, blk)
	if s.cells != nil {
		if t, why := tilesOf(blk, l.net.Navigation()[s.index].Cells, s.index, main); why == "" {
			y, err := l.focalTiles(main, blk, s.cells, t)
			return l.join(y, residual, blk), err
		}
	}

	indices := l.reshape(l.node("NonZero", blk.Key+".nonzero", in(s.chosen)), blk.Key+".frames", -1)
	picked := main.with(l.node("Gather", blk.Key+".gather", in(main.v, indices), graph.Int("axis", 0)))
	answers, err := l.withUnselected(picked, blk, main, s.cells, indices)
	if err != nil {
		return feature{}, err
	}
	// Frame t's answer is row rank(t) among the selected, or the last row. Summed
	// in float32, which is exact to 2^24 frames: tract has no running sum of the
	// integers that it keeps for sizes.
	ranks := l.node("CumSum", blk.Key+".ranks", in(s.mask, l.scalar(0)))
	places := l.node("Mul", blk.Key+".places", in(ranks, s.mask))
	rows := l.node("Cast", blk.Key+".rows", in(l.node("Sub", blk.Key+".last_or", in(places, l.floats(1)))), graph.Int("to", int64(graph.Int64)))
	placed := answers.with(l.node("Gather", blk.Key+".place", in(answers.v, rows), graph.Int("axis", 0)))
	return l.join(placed, residual, blk), nil
}

// withUnselected emits the main path of the picked frames, of which rows are the
// indices, and, as one row more, what stands for every other frame.
func (l *lowerer) withUnselected(picked feature, blk *afblock.Block, like feature, cells *cellChoice, rows *graph.Value) (feature, error) {
	if cells != nil {
		return l.cellsWithUnselected(picked, blk, like, cells, rows)
	}
	switch {
	case l.net.Unselected == afblock.UnselectedZero:
		return l.zeroRow(l.convs(picked, blk), blk.Key+".unselected"), nil
	case !like.sized():
		// F(0) depends on the map's size: compute it along, from a frame of zeros.
		return l.convs(l.zeroRow(picked, blk.Key+".zero_frame"), blk), nil
	}
	zero, err := l.zeroMap(blk, like)
	if err != nil {
		return feature{}, err
	}
	y := l.convs(picked, blk)
	return y.with(l.node("Concat", blk.Key+".unselected", in(y.v, zero), graph.Int("axis", 0))), nil
}

// zeroRow appends a map of zeros to the batch.
func (b *builder) zeroRow(x feature, hint string) feature {
	return x.with(b.node("Pad", hint, in(x.v, b.vec(0, 0, 0, 0, 1, 0, 0, 0))))
}

// zeroMap emits F(0) for maps of x's size, [1, C, h, w], from its few distinct
// values; ONNX Runtime expands them when it loads the model.
func (b *builder) zeroMap(blk *afblock.Block, x feature) (*graph.Value, error) {
	return b.zeroChannels(blk, x, span{0, blk.Out()})
}

// zeroChannels emits the channels of s of F(0).
func (b *builder) zeroChannels(blk *afblock.Block, x feature, s span) (*graph.Value, error) {
	z, err := b.zeroResponse(blk, x.size())
	if err != nil {
		return nil, err
	}
	values := param{"afc." + blk.Key + ".zero", z.Values}
	if s != (span{0, blk.Out()}) {
		values = values.slice(s, 1)
	}
	v := b.weight(values)
	if len(z.Rows) > int(z.Values.Dims[2]) {
		v = b.node("Gather", blk.Key+".zero_rows", in(v, b.vec(z.Rows...)), graph.Int("axis", 2))
	}
	if len(z.Cols) > int(z.Values.Dims[3]) {
		v = b.node("Gather", blk.Key+".zero_map", in(v, b.vec(z.Cols...)), graph.Int("axis", 3))
	}
	return v, nil
}

// cellsWithUnselected is withUnselected for a block that chooses inside the
// frames and computes whole ones.
func (l *lowerer) cellsWithUnselected(picked feature, blk *afblock.Block, like feature, cells *cellChoice, rows *graph.Value) (feature, error) {
	y := l.convs(picked, blk)
	mine := l.node("Gather", blk.Key+".picked", in(cells.picked, rows), graph.Int("axis", 0))
	y, err := l.blended(y, blk, like, l.pixels(mine, cells.grid, y, blk.Key+".pixels"))
	if err != nil || l.net.Unselected == afblock.UnselectedZero {
		return l.zeroRow(y, blk.Key+".unselected"), err
	}
	zero, err := l.zeroMap(blk, like)
	if err != nil {
		return feature{}, err
	}
	return y.with(l.node("Concat", blk.Key+".unselected", in(y.v, zero), graph.Int("axis", 0))), nil
}
