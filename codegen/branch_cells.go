package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// A frame of which cells are selected is computed inside branch's own Ifs. What
// lies in front of a bottleneck's last convolution makes a narrow map, and the
// last convolution sees each pixel alone, so that it may as well blend there:
//
//	M·F(x) + (1−M)·F(0) = last(M·hidden(x) + (1−M)·hidden(0))
//
// The hidden map is computed of the box around the frame's selected cells, with as
// much around it as the convolutions reach; the wide maps are read once, by the
// box, and once by the residual, whose sum the last convolution takes in:
//
//	x [1, C, h, w] → Slice → conv1 → Pad → conv2 → Where, Pad, + (1−M)·hidden(0) → conv3 + x
//
// Where a box is not worth it, the hidden map is computed whole and blended in
// ONNX Runtime's blocked layout, which has neither Slice nor Where, nor products
// that broadcast: a convolution of 1−M to −10³⁰ a pixel, added in front of the
// ReLU, leaves zero there, and one of 1−M by border class adds hidden(0).

// boxUse says when a block computes the box around a frame's cells.
type boxUse int

const (
	boxNever boxUse = iota
	boxAlways
	boxAtRun // where the frame's box is small enough
)

// boxPays is how many of a map's pixels a box and its halo may have: beyond, what
// cuts it out and puts it back costs more than the rest of the map. Measured on
// the CPU on maps of 56, 28 and 14 pixels: docs/SPATIAL.md.
const boxPays = 0.6

// cellPlan is how branch computes a block that chooses inside the frames.
type cellPlan struct {
	tiling
	blk    *afblock.Block
	read   afblock.Size   // of the map that the block reads
	hidden *afblock.Block // the layers behind which it blends: to the last convolution, or all
	tail   *afblock.Conv  // the last convolution; nil: among hidden
	lead   int            // so many layers are computed of whole frames, the box behind them
	use    boxUse
	fixed  []bool // the cells, where they are the same in all frames
	why    string // it computes no boxes
}

// planCells plans every block that chooses inside the frames and that branch runs
// frame by frame.
func (l *lowerer) planCells() error {
	how, ok := l.how.(branch)
	if !ok || !l.opt.takes(CellBoxes) {
		return nil
	}
	block, led := 0, max(how.scannedStages(), how.unrolledStages())
	for i, s := range l.net.Stages {
		if s.AF == nil {
			continue
		}
		size, chain := l.sizes[i], 1
		if i >= led && !(how.scanPays(size) && how.scansPieces(s.AF, size)) {
			block += len(s.AF.Focal)
			continue
		}
		if !shifts(s.AF) {
			chain = l.chainLength(s.AF.Focal, feature{h: size[0], w: size[1]})
		}
		for n, blk := range s.AF.Focal {
			if c := s.AF.Navigation[n].Cells; c != nil {
				p, err := l.planBlock(blk, c, block, size, chain)
				if err != nil {
					return err
				}
				l.cells[blk] = p
			}
			block, size = block+1, blk.Through(size)
		}
	}
	return nil
}

// planBlock plans a block that reads maps of the given size, in chains of so many
// blocks.
func (l *lowerer) planBlock(blk *afblock.Block, c *afblock.Cells, index int, size afblock.Size, chain int) (*cellPlan, error) {
	p := &cellPlan{blk: blk, read: size}
	p.hidden, p.tail = hiddenOf(blk, l.net.Unselected)
	made := blk.Through(size)
	p.tiling, p.why = newTiling(p.hidden, feature{h: size[0], w: size[1]}, c.Grid)
	p.grid, p.h, p.w = c.Grid, made[0], made[1]
	if p.why != "" {
		return p, nil
	}
	if first := p.hidden.Main[0].(*afblock.Conv); chain > 1 && first.Kernel() == 1 && p.hidden.Main[1] == afblock.ReLU {
		p.lead = 2
	}
	share := expectedShare
	if p.use = boxAtRun; c.Fixed != nil {
		p.fixed = c.Fixed.Select(c.Grid, index)
		p.use, share = boxAlways, p.boxShare(p.fixed)
	}
	if p.use == boxAtRun && l.opt.counted {
		p.use = boxNever // at most
	}
	if share > boxPays {
		p.use, p.why = boxNever, fmt.Sprintf("the box around a frame's cells, with its halo, is %.2f of the frame", share)
	}
	return p, nil
}

// hiddenOf splits a block's main path in front of a last convolution that sees
// each pixel alone, behind a ReLU; tail is nil where there is none, or where what
// is not selected is zero behind it.
func hiddenOf(blk *afblock.Block, unselected afblock.Unselected) (hidden *afblock.Block, tail *afblock.Conv) {
	h := *blk
	n := len(blk.Main)
	last, ok := blk.Main[n-1].(*afblock.Conv)
	if !ok || n < 3 || unselected != afblock.UnselectedBias || last.Window() != (afblock.Window{Kernel: 1, Stride: 1}) || blk.Main[n-2] != afblock.ReLU {
		return &h, nil
	}
	if _, ok := blk.Main[n-3].(*afblock.Conv); !ok {
		return &h, nil
	}
	h.Key, h.Main = blk.Key+".hidden", blk.Main[:n-1]
	return &h, last
}

// rectangle is part of a map: rows and columns from, and behind it, to.
type rectangle struct{ from, to [2]int }

// grown is the rectangle with as much around it as lies inside a map of that size.
func (r rectangle) grown(by int, size [2]int) rectangle {
	for axis, n := range size {
		r.from[axis], r.to[axis] = max(r.from[axis]-by, 0), min(r.to[axis]+by, n)
	}
	return r
}

// boxOf is the box around cells; the whole map where there is none.
func (p *cellPlan) boxOf(cells []bool) rectangle {
	low, high := [2]int{p.grid, p.grid}, [2]int{-1, -1}
	for i, on := range cells {
		if on {
			for axis, c := range [2]int{i / p.grid, i % p.grid} {
				low[axis], high[axis] = min(low[axis], c), max(high[axis], c)
			}
		}
	}
	size := [2]int{p.h, p.w}
	if high[0] < 0 {
		return rectangle{to: size}
	}
	var r rectangle
	for axis, n := range size {
		r.from[axis], r.to[axis] = afblock.CellStart(low[axis], n, p.grid), afblock.CellStart(high[axis]+1, n, p.grid)
	}
	return r
}

// boxShare is how many of the map's pixels the box around cells has, with the halo
// that it reads; none without cells.
func (p *cellPlan) boxShare(cells []bool) float64 {
	if !slices.Contains(cells, true) {
		return 0
	}
	r := p.boxOf(cells).grown(p.halo, [2]int{p.h, p.w})
	return float64((r.to[0]-r.from[0])*(r.to[1]-r.from[1])) / float64(p.h*p.w)
}

// plainTail reports whether the last convolution runs in the plain layout, in
// which a box leaves its map and in which the residual comes: with the residual's
// sum and the activation in one.
func (p *cellPlan) plainTail() bool {
	return p.use != boxNever && p.lead == 0 && p.tail != nil && p.tail.BN == nil && p.blk.Residual.Conv == nil && p.blk.Residual.Pool == nil
}

// cellInputs are a block's choices inside the frames as its Ifs read them, of all
// frames.
type cellInputs struct {
	*cellPlan
	rest  feature      // 1 where a pixel is not selected, else 0: [N·T, 1, h, w]
	boxes *graph.Value // int64 [N·T, K], split by boxParts; nil without boxes
	pays  *graph.Value // bool [N·T]: the box is worth it; nil where that is known
}

// cellInputs emits what a block's Ifs read, and has them choose by whether the
// frame has any cell: a frame without answers as one not selected.
func (l branch) cellInputs(s *selection, blk *afblock.Block) *cellInputs {
	p := l.lowerer.cells[blk]
	if p == nil {
		return nil
	}
	picked := s.cells.picked
	count := l.node("ReduceSum", blk.Key+".cell_count", in(picked, l.vec(1, 2)), graph.Int("keepdims", 0))
	s.chosen = l.node("Greater", names.SomeCell(blk.Key), in(count, l.floats(0.5)))
	in1 := &cellInputs{cellPlan: p, rest: feature{c: 1, h: p.h, w: p.w}}
	in1.rest.v = l.node("Sub", names.RestPixels(blk.Key), in(l.floats(1), l.pixels(picked, p.grid, in1.rest, blk.Key+".pixels")))
	if p.use != boxNever {
		in1.boxes, in1.pays = l.boxes(picked, p)
	}
	return in1
}

// addCells emits what the Ifs of a module's focal blocks read of their cells.
func (l branch) addCells(a *ample, m *afblock.AFModule) {
	for n, blk := range m.Focal {
		a.cells = append(a.cells, l.cellInputs(&a.chosen[n], blk))
	}
}

// region is a rectangle of a map for each frame, int64 [N·T, 2] each: row and
// column.
type region struct{ from, to *graph.Value }

// boxes emits the boxes around the cells picked, float32 0/1 [N·T, g, g], and all
// that is cut and padded from there, and whether they pay.
func (l branch) boxes(picked *graph.Value, p *cellPlan) (packed, pays *graph.Value) {
	key, size := p.blk.Key, l.vec(int64(p.h), int64(p.w))
	box := l.boxAround(picked, p)
	zero := l.node("Sub", key+".box_zero", in(box.from, box.from))
	back := in(zero, box.from, zero, l.node("Sub", key+".box_behind", in(size, box.to)))
	parts, at := in(), box
	convs := p.hidden.Convs()
	for i := len(convs) - 1; i >= 0; i-- {
		if convs[i].Pad == 0 {
			continue
		}
		pad := l.scalar(int64(convs[i].Pad))
		wide := region{l.node("Sub", key+".box_reach", in(at.from, pad)), l.node("Add", key+".box_reach", in(at.to, pad))}
		at = region{l.node("Max", key+".box_from", in(wide.from, l.scalar(0))), l.node("Min", key+".box_to", in(wide.to, size))}
		pads := in(zero, l.node("Sub", key+".box_before", in(at.from, wide.from)), zero, l.node("Sub", key+".box_after", in(wide.to, at.to)))
		parts = append(pads, parts...)
	}
	parts = append(in(at.from, at.to), parts...)
	parts = append(append(parts, box.from, box.to), back...)
	packed = l.node("Concat", names.Boxes(key), parts, graph.Int("axis", 1))
	if p.use == boxAtRun {
		sides := l.node("Cast", key+".box_sides", in(l.node("Sub", key+".box_size", in(at.to, at.from))), graph.Int("to", int64(graph.Float32)))
		side := func(axis int64) *graph.Value {
			return l.node("Gather", key+".box_side", in(sides, l.scalar(axis)), graph.Int("axis", 1))
		}
		area := l.node("Mul", key+".box_area", in(side(0), side(1)))
		pays = l.node("Less", names.BoxPays(key), in(area, l.floats(float32(boxPays*float64(p.h*p.w)))))
	}
	return packed, pays
}

// boxAround emits the boxes around the cells picked; whole maps where none is.
func (l branch) boxAround(picked *graph.Value, p *cellPlan) region {
	var from, to []*graph.Value
	for axis, n := range [2]int{p.h, p.w} {
		hint := p.blk.Key + ".box_" + []string{"rows", "columns"}[axis]
		count := l.node("ReduceSum", hint+".count", in(picked, l.vec(int64(2-axis))), graph.Int("keepdims", 0))
		any := l.node("Where", hint+".any", in(l.node("Greater", hint+".on", in(count, l.floats(0.5))), l.floats(1), l.floats(0)))
		var begins, ends []int64
		for c := range p.grid {
			begins = append(begins, int64(afblock.CellStart(c, n, p.grid)))
			ends = append(ends, int64(afblock.CellStart(c+1, n, p.grid)))
		}
		first := l.node("ArgMax", hint+".first", in(any), graph.Int("axis", 1))
		last := l.node("ArgMax", hint+".last", in(any), graph.Int("axis", 1), graph.Int("select_last_index", 1))
		from = append(from, l.node("Gather", hint+".from", in(l.vec(begins...), first), graph.Int("axis", 0)))
		to = append(to, l.node("Gather", hint+".to", in(l.vec(ends...), last), graph.Int("axis", 0)))
	}
	return region{
		l.node("Concat", p.blk.Key+".box_from", from, graph.Int("axis", 1)),
		l.node("Concat", p.blk.Key+".box_to", to, graph.Int("axis", 1)),
	}
}

// boxParts are the lengths of what boxes packs for a frame: what is cut out, what
// each convolution that looks beyond a pixel is padded with, the box itself, and
// what is put around it.
func (p *cellPlan) boxParts() []int64 {
	parts := []int64{2, 2}
	for _, c := range p.hidden.Convs() {
		if c.Pad > 0 {
			parts = append(parts, 8)
		}
	}
	return append(parts, 2, 2, 8)
}

// scanned are the choices as a Scan reads them.
func (c *cellInputs) scanned() []scanned {
	if c == nil {
		return nil
	}
	list := []scanned{scannedMap(c.rest)}
	if c.boxes != nil {
		width := int64(0)
		for _, n := range c.boxParts() {
			width += n
		}
		list = append(list, scanned{c.boxes, graph.TensorType(graph.Int64, graph.ShapeOf(width))})
	}
	if c.pays != nil {
		list = append(list, scanned{c.pays, graph.TensorType(graph.Bool, graph.Shape{})})
	}
	return list
}

// frameCells is one frame's share of cellInputs.
type frameCells struct {
	*cellPlan
	rest      feature
	box, pays *graph.Value
}

// cellsOf is a frame's choices inside itself in a Scan that reads them as its
// inputs from number from on.
func (f *frame) cellsOf(c *cellInputs, from int) *frameCells {
	if c == nil {
		return nil
	}
	fc := &frameCells{cellPlan: c.cellPlan, rest: f.feature(from, c.rest)}
	if c.boxes != nil {
		fc.box = f.parts[from+1]
	}
	if c.pays != nil {
		fc.pays = f.parts[from+2]
	}
	return fc
}

// cellsAt is frame t's choices inside itself, where frames are written out.
func (b *builder) cellsAt(c *cellInputs, t int) *frameCells {
	if c == nil {
		return nil
	}
	key := c.blk.Key
	fc := &frameCells{cellPlan: c.cellPlan, rest: c.rest.with(b.node("Gather", key+".frame_rest", in(c.rest.v, b.vec(int64(t))), graph.Int("axis", 0)))}
	if c.boxes != nil {
		fc.box = b.node("Gather", key+".frame_box", in(c.boxes, b.scalar(int64(t))), graph.Int("axis", 0))
	}
	if c.pays != nil {
		fc.pays = b.node("Gather", key+".frame_pays", in(c.pays, b.scalar(int64(t))), graph.Int("axis", 0))
	}
	return fc
}

// lane is a group of a block's channels written on its own, or all of them.
type lane struct{ groups, g int }

// lanes are all channels, or the groups of a block that is written over pieces.
func lanes(blk *afblock.Block, pieces bool) []lane {
	if !pieces {
		return []lane{{1, 0}}
	}
	groups := blk.Convs()[0].Groups
	all := make([]lane, groups)
	for g := range all {
		all[g] = lane{groups, g}
	}
	return all
}

func (n lane) of(channels int) span { return group(channels, n.groups, n.g) }

func (n lane) conv(c *afblock.Conv) conv {
	if n.groups == 1 {
		return convOf(c)
	}
	return convOf(c).group(n.g)
}

// selectedCells emits what a focal block computes of a frame some of whose cells
// are selected, inside an If, with a map for each cut. Main is what the main path
// reads, x what the residual path does; cast takes the residual, which comes from
// outside the If, into the blocked layout.
func (l branch) selectedCells(b *builder, main stream, x frameMap, fc *frameCells, cuts []span, all []lane, cast bool) ([]feature, error) {
	blk := fc.blk
	hidden, err := l.hiddenMaps(b, main, fc, all)
	if err != nil {
		return nil, err
	}
	residual := b.residualOver(x, blk, cuts)
	outs := make([]feature, len(cuts))
	for i, cut := range cuts {
		outs[i] = b.answerOf(hidden, fc, all, cut)
		if r := residual[i]; cast && !fc.plainTail() && fc.tail != nil && blk.Residual.Conv == nil {
			residual[i] = b.layoutCast(r, fmt.Sprintf("%s.cast%d", blk.Key, i))
		}
		outs[i] = b.join(outs[i], residual[i], suffixed(blk, i))
	}
	return outs, nil
}

// answerOf emits the main path's channels of cut from the hidden maps, one a lane.
func (b *builder) answerOf(hidden []feature, fc *frameCells, all []lane, cut span) feature {
	var whole stream
	for i, n := range all {
		made := n.of(fc.blk.Out())
		if fc.tail == nil {
			whole = append(whole, piece{hidden[i], made, 0})
			continue
		}
		if cut.lo < made.lo || cut.hi > made.hi {
			continue
		}
		c := n.conv(fc.tail).outputs(span{cut.lo - made.lo, cut.hi - made.lo})
		if fc.plainTail() {
			return b.plainConv(hidden[i], c)
		}
		return b.conv(hidden[i], c)
	}
	return b.cut(whole, cut, fc.blk.Key+".answer")
}

// plainConv emits a convolution inside a subgraph that ONNX Runtime leaves in the
// plain layout, since its kernel is not of the subgraph.
func (b *builder) plainConv(x feature, c conv) feature {
	main := b
	if b.main != nil {
		main = b.main
	}
	return b.convWith(x, c, main.initializer(c.weight))
}

// hiddenMaps emits a frame's hidden maps, one a lane, as hidden(0) where a pixel
// is not selected.
func (l branch) hiddenMaps(b *builder, x stream, fc *frameCells, all []lane) ([]feature, error) {
	switch fc.use {
	case boxNever:
		return l.wholeHidden(b, x, fc, all)
	case boxAlways:
		return l.boxHidden(b, x, fc, all)
	}
	return b.decide(fc.blk.Key+".box", in(fc.pays), func(b *builder, pays []bool) ([]feature, error) {
		if pays[0] {
			return l.boxHidden(b, x, fc, all)
		}
		return l.wholeHidden(b, x, fc, all)
	})
}

// laneLayers emits layers over a lane's channels, x. In a box, convolutions that
// look beyond a pixel are padded by pads in turn.
func (b *builder) laneLayers(x stream, key string, layers []afblock.Layer, n lane, pads []*graph.Value) feature {
	for _, layer := range layers {
		c, ok := layer.(*afblock.Conv)
		if !ok {
			x = streamOf(b.layers(x[0].feature, []afblock.Layer{layer}, key))
			continue
		}
		e := n.conv(c)
		if pads != nil && c.Pad > 0 {
			x = b.padded(x, pads[0], c.Key+".padded")
			e.pad, pads = 0, pads[1:]
		}
		key = c.Key
		if len(x) == 1 && x[0].alone() {
			x = streamOf(b.conv(x[0].feature, e))
		} else {
			x = streamOf(b.convOver(x, e))
		}
	}
	return x[0].feature
}

// padded pads each map of a stream.
func (b *builder) padded(x stream, pads *graph.Value, hint string) stream {
	return b.eachMap(x, func(f feature) *graph.Value { return b.node("Pad", hint, in(f.v, pads)) })
}

// eachMap is a stream of other maps: each that x has pieces of is emitted once.
func (b *builder) eachMap(x stream, emit func(feature) *graph.Value) stream {
	y, made := make(stream, len(x)), map[*graph.Value]*graph.Value{}
	for i, p := range x {
		if made[p.v] == nil {
			made[p.v] = emit(p.feature)
		}
		p.v, p.h, p.w = made[p.v], 0, 0
		y[i] = p
	}
	return y
}

// boxValues are the parts of what boxes packs for a frame.
func (b *builder) boxValues(fc *frameCells) []*graph.Value {
	if b.opt.counted {
		return b.fixedBox(fc.cellPlan)
	}
	sizes := fc.boxParts()
	return b.nodes("Split", fc.blk.Key+".box_parts", in(fc.box, b.vec(sizes...)), len(sizes), graph.Int("axis", 0))
}

// fixedBox are boxValues of fixed cells, as constants: of known size.
func (b *builder) fixedBox(p *cellPlan) []*graph.Value {
	size := [2]int{p.h, p.w}
	pair := func(v [2]int) *graph.Value { return b.vec(int64(v[0]), int64(v[1])) }
	around := func(before, behind [2]int) *graph.Value {
		return b.vec(0, 0, int64(before[0]), int64(before[1]), 0, 0, int64(behind[0]), int64(behind[1]))
	}
	box := p.boxOf(p.fixed)
	back := around(box.from, [2]int{size[0] - box.to[0], size[1] - box.to[1]})
	at, pads, convs := box, []*graph.Value(nil), p.hidden.Convs()
	for i := len(convs) - 1; i >= 0; i-- {
		pad := convs[i].Pad
		if pad == 0 {
			continue
		}
		read := at.grown(pad, size)
		var before, behind [2]int
		for axis := range size {
			before[axis], behind[axis] = read.from[axis]-at.from[axis]+pad, at.to[axis]+pad-read.to[axis]
		}
		pads, at = append(in(around(before, behind)), pads...), read
	}
	return append(append(in(pair(at.from), pair(at.to)), pads...), pair(box.from), pair(box.to), back)
}

// boxHidden computes hidden maps of a frame's box.
func (l branch) boxHidden(b *builder, x stream, fc *frameCells, all []lane) ([]feature, error) {
	key := fc.blk.Key
	parts := b.boxValues(fc)
	k := len(parts)
	box, back := region{parts[k-3], parts[k-2]}, parts[k-1]
	axes := b.vec(2, 3)
	read := func(x stream) stream {
		return b.eachMap(x, func(f feature) *graph.Value {
			return b.node("Slice", key+".box_read", in(f.v, parts[0], parts[1], axes))
		})
	}
	if fc.lead == 0 {
		x = read(x)
	}
	on := b.node("Greater", key+".box_on", in(b.floats(0.5), b.node("Slice", key+".box_rest", in(fc.rest.v, box.from, box.to, axes))))
	outs := make([]feature, len(all))
	for i, n := range all {
		mine, layers := x.within(n.of(fc.hidden.In())), fc.hidden.Main
		if fc.lead > 0 {
			mine, layers = read(streamOf(b.laneLayers(mine, fc.hidden.Key, layers[:fc.lead], n, nil))), layers[fc.lead:]
		}
		y := b.laneLayers(mine, fc.hidden.Key, layers, n, parts[2:k-3])
		y.v = b.node("Where", key+".box_made", in(on, y.v, b.floats(0)))
		y.v = b.node("Pad", key+".box_placed", in(y.v, back))
		if l.net.Unselected == afblock.UnselectedBias {
			zero, err := b.hiddenZero(fc, n)
			if err != nil {
				return nil, err
			}
			y.v = b.node("Add", key+".blended", in(y.v, b.node("Mul", key+".unselected_pixels", in(zero, fc.rest.v))))
		}
		// Of known size, or ONNX Runtime does not fuse what follows.
		outs[i] = feature{v: b.reshape(y.v, key+".box_map", 1, int64(y.c), int64(fc.h), int64(fc.w)), c: y.c, h: fc.h, w: fc.w}
	}
	return outs, nil
}

// hiddenZero emits a lane's channels of hidden(0).
func (b *builder) hiddenZero(fc *frameCells, n lane) (*graph.Value, error) {
	return b.zeroChannels(fc.hidden, fc.readMap(), n.of(fc.hidden.Out()))
}

// readMap is the size of the map that the block reads.
func (p *cellPlan) readMap() feature { return feature{h: p.read[0], w: p.read[1]} }

// unselectedPixels are what a lane's channels are where a pixel is not selected.
func (l branch) unselectedPixels(b *builder, fc *frameCells, n lane) (*graph.Value, error) {
	if l.net.Unselected == afblock.UnselectedZero {
		return b.floats(0), nil
	}
	return b.hiddenZero(fc, n)
}

// wholeHidden computes hidden maps of a whole frame.
func (l branch) wholeHidden(b *builder, x stream, fc *frameCells, all []lane) ([]feature, error) {
	if fc.tail == nil || l.opt.Precision == compiled.FP16 { // whose largest number is 65,504
		return l.chosenHidden(b, x, fc, all)
	}
	key, hidden := fc.blk.Key, fc.hidden
	kernel, classes, err := restKernel(hidden, fc.readMap().size())
	if err != nil {
		return nil, err
	}
	byClass := b.node("Mul", key+".rest_classes", in(fc.rest.v, b.weight(param{"afc." + key + ".rest_classes", classes})))
	outs := make([]feature, len(all))
	for i, n := range all {
		made := n.of(hidden.Out())
		off := make([]float32, made.hi-made.lo)
		for i := range off {
			off[i] = -1e30
		}
		pixels := func(from *graph.Value, kernel param, hint string) *graph.Value {
			return b.node("Conv", key+hint, in(from, b.weight(kernel)), graph.Ints("kernel_shape", 1, 1))
		}
		hide := pixels(fc.rest.v, param{fmt.Sprintf("afc.%s.hide%d", key, len(off)), graph.Float32s([]int64{int64(len(off)), 1, 1, 1}, off...)}, ".hide")
		y := b.laneLayers(x.within(n.of(hidden.In())), hidden.Key, hidden.Main[:len(hidden.Main)-1], n, nil)
		y = b.relu(y.with(b.node("Add", key+".hidden", in(y.v, hide))), key+".hidden.relu")
		zero := pixels(byClass, param{"afc." + key + ".rest_kernel", kernel}.slice(made, 0), ".rest_zero")
		outs[i] = y.with(b.node("Add", key+".blended", in(zero, y.v)))
	}
	return outs, nil
}

// chosenHidden is wholeHidden outside the blocked layout.
func (l branch) chosenHidden(b *builder, x stream, fc *frameCells, all []lane) ([]feature, error) {
	key := fc.blk.Key
	on := b.node("Greater", key+".pixels_on", in(b.floats(0.5), fc.rest.v))
	outs := make([]feature, len(all))
	for i, n := range all {
		zero, err := l.unselectedPixels(b, fc, n)
		if err != nil {
			return nil, err
		}
		y := b.laneLayers(x.within(n.of(fc.hidden.In())), fc.hidden.Key, fc.hidden.Main, n, nil)
		outs[i] = y.with(b.node("Where", key+".blended", in(on, y.v, zero)))
	}
	return outs, nil
}

// restKernel is hidden(0) by border class: a kernel [D, classes, 1, 1] that reads
// maps of the classes, 0 or 1, [1, classes, h, w].
func restKernel(hidden *afblock.Block, size afblock.Size) (kernel, classes *graph.Tensor, err error) {
	z, err := hidden.ZeroResponse(size)
	if err != nil {
		return nil, nil, fmt.Errorf("block %s: its answer to a zero image: %w", hidden.Key, err)
	}
	v, err := z.Values.Float32s()
	if err != nil {
		return nil, nil, err
	}
	channels, rows, cols := z.Values.Dims[1], z.Values.Dims[2], z.Values.Dims[3]
	h, w := len(z.Rows), len(z.Cols)
	planes := make([]float32, int(rows*cols)*h*w)
	for y, r := range z.Rows {
		for x, c := range z.Cols {
			planes[(int(r*cols+c)*h+y)*w+x] = 1
		}
	}
	return graph.Float32s([]int64{channels, rows * cols, 1, 1}, v...), graph.Float32s([]int64{1, rows * cols, int64(h), int64(w)}, planes...), nil
}
