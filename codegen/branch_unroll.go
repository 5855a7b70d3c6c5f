package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Under a temporal shift no Scan can take a module frame by frame, since each
// block reads the frames beside its own; and what leaves a Scan, or waits for
// the neighbours, leaves ONNX Runtime's blocked layout. So where a clip is all
// that the model takes, its frames are written out one by one in the main graph,
// each in pieces: the channels that go to the frame before, those that go to the
// frame behind, and the rest, cut at the groups of a focal block. With a tensor
// for each, a shift is no operator at all: a convolution reads some of its pieces
// from other frames, and at the clip's ends leaves them out. Only what an If
// reads or makes leaves the blocked layout.
//
// An If computes with kernels of its own, of which there is then one a frame. So
// stages whose kernels are larger than their maps are left to the Scans, which
// keep one for all frames.

// frameMap is one frame's feature map: in pieces and, where it was made as one,
// whole.
type frameMap struct {
	pieces stream
	whole  feature
}

// all is the map in as few pieces as it was made in.
func (f frameMap) all() stream {
	if f.whole.v != nil {
		return streamOf(f.whole)
	}
	return f.pieces
}

// clip is the feature maps of one clip's frames.
type clip []frameMap

// unrolledStages is the number of stages, from the first, that are written frame
// by frame.
func (l branch) unrolledStages() int {
	if !l.opt.takes(Unroll) || !l.singleClip || l.net.Frames == 1 {
		return 0
	}
	sizes := l.sizes
	for i, s := range l.net.Stages {
		if s.AF == nil || !l.unrolls(s.AF, sizes[i]) {
			return i
		}
	}
	return len(l.net.Stages)
}

// minUnrolledPixels is the size of a map below which writing out the frames
// costs more than it brings.
const minUnrolledPixels = 400

// unrolls reports whether a module that reads maps of that size is written frame
// by frame.
func (l branch) unrolls(m *afblock.AFModule, size afblock.Size) bool {
	last := m.Focal[len(m.Focal)-1]
	made := behind(size, m.Focal)
	if !shifts(m) || !l.takesCells(m) || made[0]*made[1] < minUnrolledPixels || weights(last) > last.Out()*made[0]*made[1] {
		return false
	}
	for _, blk := range slices.Concat(m.Ample, m.Focal, []*afblock.Block{m.Fusion}) {
		if !inPieces(blk) {
			return false
		}
	}
	return true
}

// inPieces reports whether a block can be written over pieces: the channels that
// move belong to its first group, and stay where they are on the residual path.
func inPieces(blk *afblock.Block) bool {
	if blk.Residual.None || excites(blk) {
		return false
	}
	groups := blk.Convs()[0].Groups
	if slices.ContainsFunc(blk.Convs(), func(c *afblock.Conv) bool { return c.Groups != groups }) {
		return false
	}
	if c := blk.Residual.Conv; c != nil && c.Groups != 1 {
		return false
	}
	s := blk.Shift
	return s == nil || !s.Residual && s.Fold > 0 && 2*s.Fold <= blk.In()/groups
}

// bounds are the channels of what a block reads at which it wants it cut.
func bounds(blk *afblock.Block) []int {
	var at []int
	if s := blk.Shift; s != nil {
		at = append(at, s.Fold, 2*s.Fold)
	}
	for g := range blk.Convs()[0].Groups {
		at = append(at, g*blk.In()/blk.Convs()[0].Groups)
	}
	return at
}

// cutAt cuts channels at the given bounds.
func cutAt(channels int, at ...int) []span {
	at = append(at, 0, channels)
	slices.Sort(at)
	at = slices.Compact(at)
	var cuts []span
	for i := range len(at) - 1 {
		cuts = append(cuts, span{at[i], at[i+1]})
	}
	return cuts
}

// unrolled emits stem and the first n stages frame by frame.
func (l branch) unrolled(x feature, n int) (stream, error) {
	stages := l.net.Stages[:n]
	c := l.stems(x, entry(stages[0].AF))
	for i, s := range stages {
		ends := l.wanted(n)
		if i+1 < n {
			ends = cutAt(s.AF.Fusion.Out(), entry(stages[i+1].AF)...)
		} else if ends == nil {
			ends = cutAt(s.AF.Fusion.Out())
		}
		var err error
		if c, err = l.unrolledModule(c, s, ends); err != nil {
			return nil, err
		}
	}
	return l.stacked(c), nil
}

// entry are the bounds at which a module wants its input cut.
func entry(m *afblock.AFModule) []int {
	return append(bounds(m.Ample[0]), bounds(m.Focal[0])...)
}

// stems emits the stem for each frame. Of its maps small pieces are copied; what
// reads the others skips the rest of the map.
func (l branch) stems(x feature, at []int) clip {
	const large = 4 // a piece of more than a fourth of the channels
	attrs := []*graph.Attribute{graph.Int("axis", 0)}
	if l.model.Opset("") >= 18 { // since when it says so itself
		attrs = append(attrs, graph.Int("num_outputs", int64(l.net.Frames)))
	}
	parts := l.nodes("Split", "frame", in(x.v), l.net.Frames, attrs...)
	c := make(clip, len(parts))
	for t, v := range parts {
		whole := l.stem(x.with(v), &l.net.Stem)
		c[t].whole = whole
		for _, s := range cutAt(whole.c, at...) {
			p := piece{whole, s, s.lo}
			if large*(s.hi-s.lo) < whole.c {
				p = piece{l.own(p, "moving"), s, 0}
			}
			c[t].pieces = append(c[t].pieces, p)
		}
	}
	return c
}

// shifted is what a block's main path reads of frame t: channels that move come
// from the frames beside it, and are missing where there is none.
func (c clip) shifted(t int, s *afblock.Shift) stream {
	if s == nil {
		return c[t].pieces
	}
	first := 1
	if s.PastFirst {
		first = -1
	}
	var x stream
	for i, p := range c[t].pieces {
		from := t
		switch {
		case p.hi <= s.Fold:
			from = t + first
		case p.hi <= 2*s.Fold:
			from = t - first
		}
		if from >= 0 && from < len(c) {
			x = append(x, c[from].pieces[i])
		}
	}
	return x
}

// unrolledModule emits an AF module, whose ends it cuts for what reads them.
func (l branch) unrolledModule(x clip, s *afblock.Stage, ends []span) (clip, error) {
	m := s.AF
	a, chosen, cells := l.unrolledChoices(x, m)
	f := x
	for n, blk := range m.Focal {
		at := bounds(m.Fusion)
		if n+1 < len(m.Focal) {
			at = bounds(m.Focal[n+1])
		}
		var err error
		if f, err = l.unrolledFocal(f, blk, chosen[n], cells[n], at); err != nil {
			return nil, err
		}
	}
	y := make(clip, len(f))
	for t := range f {
		y[t].pieces = l.mixedPieces(a[t].pieces[0].feature, f[t].pieces, s)
	}
	return l.unrolledBlock(y, m.Fusion, ends), nil
}

// unrolledChoices emits the ample branch, each frame's end whole, and the
// choices.
func (l branch) unrolledChoices(x clip, m *afblock.AFModule) (clip, []selection, []*cellInputs) {
	var c ample
	for n, blk := range m.Ample {
		nav, seen := m.Navigation[n], feature{}
		if !l.opt.MasksInput {
			seen = l.poolFrames(x, nav.Key+".pool")
		}
		c.chosen = append(c.chosen, l.nav.choose(nav, seen, l.lookFrames(x, nav)))
		var at []int
		if n+1 < len(m.Ample) {
			at = bounds(m.Ample[n+1])
		}
		x = l.unrolledBlock(x, blk, cutAt(blk.Out(), at...))
	}
	l.addCells(&c, m)
	return x, c.chosen, c.cells
}

// lookFrames is cellLook of all frames.
func (l branch) lookFrames(x clip, nav *afblock.Navigation) feature {
	var looks []*graph.Value
	var y feature
	for _, f := range x {
		if y = l.cellLook(nav, f.all()); y.v == nil {
			return feature{}
		}
		looks = append(looks, y.v)
	}
	return y.with(l.node("Concat", nav.Key+".cells.frames", looks, graph.Int("axis", 0)))
}

// poolFrames averages each frame's map: [T, C, 1, 1].
func (l branch) poolFrames(x clip, hint string) feature {
	pooled := make([]*graph.Value, len(x))
	var y feature
	for t, f := range x {
		y = l.poolOver(f.all(), hint)
		pooled[t] = y.v
	}
	return y.with(l.node("Concat", hint+".frames", pooled, graph.Int("axis", 0)))
}

// unrolledBlock emits a block that all frames go through.
func (l branch) unrolledBlock(x clip, blk *afblock.Block, cuts []span) clip {
	y := make(clip, len(x))
	for t := range x {
		mains := l.convsOver(x.shifted(t, blk.Shift), blk, cuts)
		residual := l.residualOver(x[t], blk, cuts)
		for i, cut := range cuts {
			y[t].pieces = append(y[t].pieces, piece{l.join(mains[i], residual[i], suffixed(blk, i)), cut, 0})
		}
	}
	return y
}

// convsOver emits a block's main path over pieces, group by group, with an
// output for each cut.
func (b *builder) convsOver(x stream, blk *afblock.Block, cuts []span) []feature {
	convs := blk.Convs()
	first, last := convs[0], convs[len(convs)-1]
	var outs []feature
	for g := range first.Groups {
		y, key := b.convOver(x.within(group(blk.In(), first.Groups, g)), convOf(first).group(g)), first.Key
		for _, layer := range blk.Main[1 : len(blk.Main)-1] {
			if c, ok := layer.(*afblock.Conv); ok {
				y, key = b.conv(y, convOf(c).group(g)), c.Key
			} else {
				y = b.layers(y, []afblock.Layer{layer}, key)
			}
		}
		made := group(blk.Out(), last.Groups, g)
		for _, cut := range cuts {
			if cut.lo >= made.lo && cut.hi <= made.hi {
				outs = append(outs, b.conv(y, convOf(last).group(g).outputs(span{cut.lo - made.lo, cut.hi - made.lo})))
			}
		}
	}
	return outs
}

// group is the channels of group g.
func group(channels, groups, g int) span {
	return span{g * channels / groups, (g + 1) * channels / groups}
}

// within is what of a stream lies in s, counted from there.
func (x stream) within(s span) stream {
	var y stream
	for _, p := range x {
		if p.lo >= s.lo && p.hi <= s.hi {
			p.span = span{p.lo - s.lo, p.hi - s.lo}
			y = append(y, p)
		}
	}
	return y
}

// residualOver emits a block's residual path over pieces, with an output for
// each cut.
func (b *builder) residualOver(x frameMap, blk *afblock.Block, cuts []span) []feature {
	pieces, conv := x.all(), blk.Residual.Conv
	if conv != nil {
		pieces = streamOf(b.joined(pieces, blk.Key+".residual"))
	}
	if p := blk.Residual.Pool; p != nil {
		pieces = b.poolPieces(pieces, *p, blk.Key+".downsample.pool")
	}
	outs := make([]feature, len(cuts))
	for i, cut := range cuts {
		if conv != nil {
			outs[i] = b.convOver(pieces, convOf(conv).outputs(cut))
		} else {
			outs[i] = b.cut(pieces, cut, blk.Key+".residual")
		}
	}
	return outs
}

// unrolledFocal emits a focal block: an If for each frame, which makes a map for
// each piece.
func (l branch) unrolledFocal(x clip, blk *afblock.Block, s selection, cells *cellInputs, at []int) (clip, error) {
	cuts := focalCuts(blk, at)
	size := blk.Through(x[0].pieces[0].size())
	ones := &onesMap{body: l.builder, h: size[0], w: size[1], hint: blk.Key + ".ones"}
	y := make(clip, len(x))
	for t := range x {
		chosen := l.node("Gather", s.key+".frame", in(s.chosen, l.scalar(int64(t))), graph.Int("axis", 0))
		if t == 0 {
			ones.choice = chosen
		}
		outs, err := l.decide(blk.Key, in(chosen), func(b *builder, chosen []bool) ([]feature, error) {
			if chosen[0] {
				return l.selectedPieces(b, x.shifted(t, blk.Shift), x[t], blk, b.cellsAt(cells, t), cuts)
			}
			return l.unselectedPieces(b, x[t], ones, blk, cuts, l.zeroOf)
		})
		if err != nil {
			return nil, err
		}
		for i, cut := range cuts {
			y[t].pieces = append(y[t].pieces, piece{outs[i], cut, 0})
		}
	}
	return y, nil
}

// focalCuts are the cuts of what a focal block makes: at the given bounds, and
// between its groups.
func focalCuts(blk *afblock.Block, at []int) []span {
	groups := blk.Convs()[0].Groups
	for g := range groups {
		at = append(at, group(blk.Out(), groups, g).lo)
	}
	return cutAt(blk.Out(), at...)
}

// selectedPieces emits what a focal block computes of a frame, inside an If; main
// is what its main path reads.
func (l branch) selectedPieces(b *builder, main stream, x frameMap, blk *afblock.Block, cells *frameCells, cuts []span) ([]feature, error) {
	if cells != nil {
		return l.selectedCells(b, main, x, cells, cuts, lanes(blk, true), true)
	}
	outs := b.convsOver(main, blk, cuts)
	for i, r := range b.residualOver(x, blk, cuts) {
		if blk.Residual.Conv == nil {
			// It comes from outside the If, in the plain layout.
			r = b.layoutCast(r, fmt.Sprintf("%s.cast%d", blk.Key, i))
		}
		outs[i] = b.join(outs[i], r, suffixed(blk, i))
	}
	return outs, nil
}

// unselectedPieces emits the answer to a frame not selected, inside an If; stored
// makes channels of F(0) on maps of x's size.
func (l branch) unselectedPieces(b *builder, x frameMap, ones *onesMap, blk *afblock.Block, cuts []span, stored zeroMaker) ([]feature, error) {
	outs := b.residualOver(x, blk, cuts)
	for i, cut := range cuts {
		y, as := outs[i], suffixed(blk, i)
		switch {
		case l.net.Unselected == afblock.UnselectedBias:
			zero, err := b.zeroPiece(x.pieces[0].feature, ones, blk, cut, stored)
			if err != nil {
				return nil, err
			}
			outs[i] = b.join(y.with(zero), y, as)
		case blk.Act != afblock.Identity:
			outs[i] = b.end(y, as)
		default:
			// A subgraph must make what it returns.
			outs[i] = y.with(b.node("Identity", as.Key+".same", in(y.v)))
		}
	}
	return outs, nil
}

// zeroMaker makes channels of a block's F(0) on maps of x's size.
type zeroMaker func(blk *afblock.Block, x feature, cut span) (*graph.Value, error)

// zeroPiece emits channels of F(0) on maps of x's size: a convolution where the
// residual is in the blocked layout, a stored map where it is not.
func (b *builder) zeroPiece(x feature, ones *onesMap, blk *afblock.Block, cut span, stored zeroMaker) (*graph.Value, error) {
	if blk.Residual.Conv == nil {
		return stored(blk, x, cut)
	}
	kernel, err := b.borderKernel(blk, x.size())
	if err != nil {
		return nil, err
	}
	if kernel == nil {
		return stored(blk, x, cut)
	}
	k := int(kernel.Dims[2])
	w := b.weight(param{"afc." + blk.Key + ".zero_kernel", kernel}.slice(cut, 0))
	return b.node("Conv", blk.Key+".zero", in(ones.value(), w), windowAttrs(afblock.Window{Kernel: k, Stride: 1, Pad: k / 2})...), nil
}

// zeroOf makes channels of F(0) in the main graph, once for all frames.
func (l branch) zeroOf(blk *afblock.Block, x feature, cut span) (*graph.Value, error) {
	key := fmt.Sprint(blk.Key, cut)
	if l.zeros[key] == nil {
		zero, err := l.zeroChannels(blk, x, cut)
		if err != nil {
			return nil, err
		}
		l.zeros[key] = zero
	}
	return l.zeros[key], nil
}

// mixedPieces emits a module's mix for one frame, whose focal branch ends in
// pieces.
func (b *builder) mixedPieces(a feature, f stream, s *afblock.Stage) stream {
	gate, hint := &s.AF.Gate, gateHint(s.Name)
	y := slices.Clone(f)
	h, w := f[0].h, f[0].w
	if !b.opt.takes(LowGate) || !a.sized() || h%a.h != 0 || w%a.w != 0 {
		whole := b.mixed(a, b.joined(f, s.Name+".focal"), s, false)
		for i, p := range f {
			y[i].feature = b.cut(streamOf(whole), p.span, s.Name+".mix")
		}
		return y
	}
	low, pooled := make([]feature, len(f)), make(stream, len(f))
	for i, p := range f {
		if t := s.AF.Transform; t != nil {
			low[i] = b.conv(a, convOf(t).outputs(p.span))
		} else {
			low[i] = b.cut(streamOf(a), p.span, s.Name+".ample")
		}
		pooled[i] = piece{b.add(b.globalPool(low[i], hint("ample_pool")), b.globalPool(p.feature, hint("focal_pool")), hint("pool")), p.span, 0}
	}
	z := b.gateHidden(b.joined(pooled, hint("pools")), gate)
	last := gateConv(&gate.Excite)
	for i, p := range f {
		part := last.outputs(p.span)
		g := b.sigmoid(b.conv(z, part), hint("gate"))
		rest := b.node("Sub", hint("rest"), in(b.floats(1), g.v))
		y[i].feature = b.weighted(low[i], p.feature, g, rest, s, hint(fmt.Sprintf("focal_cast%d", i)))
	}
	return y
}

// stacked joins frames to a batch.
func (l branch) stacked(c clip) stream {
	out := slices.Clone(c[0].pieces)
	for i, p := range out {
		maps := make([]*graph.Value, len(c))
		for t, f := range c {
			maps[t] = f.pieces[i].v
		}
		v := l.node("Concat", "frames.channels", maps, graph.Int("axis", 1))
		out[i].v = l.reshape(v, "frames", -1, int64(p.c), int64(p.h), int64(p.w))
	}
	return out
}
