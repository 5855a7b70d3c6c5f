package codegen

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// The split stream is the fastest form of a temporal shift found on ONNX
// Runtime's CPU provider. A shift moves 2·fold channels of a block's input and
// leaves the rest; written as Slice and Concat it drags the whole feature map
// out of the runtime's blocked layout and back. So the residual stream is
// carried as two tensors, the channels that shifts move and the rest: what
// makes a feature map (a block's last convolution, the residual convolution) is
// split by output channels, what reads one by input channels. Only the small
// tensor leaves the blocked layout. The products are the same; sums over input
// channels are taken in two parts.

// LowerPlain writes a network of plain blocks as the fastest model known for ONNX
// Runtime's CPU provider, without the metadata that ReadModel wants. It fails on
// AF modules.
func LowerPlain(net *afblock.Network) (*graph.Model, error) {
	l, err := newLowerer(net, Options{Lowering: Plain})
	if err != nil {
		return nil, err
	}
	_, _, err = l.network()
	return l.model, err
}

// plain is the strategy for networks without AF modules, as optimize leaves
// them: every shift on a split stream that goes from stage to stage.
type plain struct{ *lowerer }

func (l plain) check() error {
	for _, u := range l.net.Units() {
		if u.Stage != nil && u.Stage.AF != nil {
			return fmt.Errorf("%s is an AF module; a split stream is for plain networks", u.Stage.Name)
		}
		if u.Block != nil && u.Block.Schedule != nil {
			return fmt.Errorf("%s computes some of the frames; a split stream is for blocks that compute all", u.Key)
		}
		for _, layer := range u.All() {
			if c, ok := layer.(*afblock.Conv); ok {
				if err := splittable(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lead emits all stages up to one whose frames share maps: a stream's cuts go on
// from stage to stage.
func (l plain) lead(x feature) (stream, int, error) {
	n := 0
	var run []*afblock.Block
	for n < len(l.net.Stages) && !l.interleaves(l.sizes[n], l.net.Stages[n].Blocks) {
		run = append(run, l.net.Stages[n].Blocks...)
		n++
	}
	return l.blocksOf(streamOf(l.stem(x, &l.net.Stem)), run, l.wanted(n), l.net.Frames, nil), n, nil
}

func (l plain) module(_ stream, s *afblock.Stage, _ []span) (stream, error) {
	panic("BUG: check lets no AF module through: " + s.Name)
}

// splittable refuses convolutions that do not split by channels.
func splittable(c *afblock.Conv) error {
	if c.Groups != 1 {
		return fmt.Errorf("%s: a convolution of %d groups does not split by channels", c.Key, c.Groups)
	}
	_, err := c.Weight.Bytes()
	return err
}

// span is a range of channels.
type span struct{ lo, hi int }

// piece is the part of a feature map that bears the channels of span. The map
// may have other channels around them, which are not part of the piece.
type piece struct {
	feature
	span
	at int // where the piece's channels begin in the map
}

// behind is how many channels of the map stand behind the piece's.
func (p piece) behind() int { return p.c - p.at - (p.hi - p.lo) }

// alone reports whether the map has no other channels.
func (p piece) alone() bool { return p.c == p.hi-p.lo }

// own returns the piece as a map of its own.
func (b *builder) own(p piece, hint string) feature {
	if p.alone() {
		return p.feature
	}
	to := p.at + p.hi - p.lo
	y := p.with(b.node("Slice", hint, in(p.v, b.vec(int64(p.at)), b.vec(int64(to)), b.vec(1))))
	y.c = to - p.at
	return y
}

// stream is a feature map in pieces that follow each other along the channels.
type stream []piece

func streamOf(x feature) stream { return stream{{x, span{0, x.c}, 0}} }

// cuts is how the stream in front of a block is cut: behind the channels that
// the next shift of maps of that width moves. Blocks in between carry the cut
// on, for joining the pieces costs more.
func cuts(blocks []*afblock.Block, channels int) []span {
	at, _ := cutAhead(blocks, channels)
	return at
}

// cutAhead is cuts; decided says that the blocks leave nothing to those behind.
func cutAhead(blocks []*afblock.Block, channels int) (at []span, decided bool) {
	for _, blk := range blocks {
		if blk.In() != channels {
			return []span{{0, channels}}, true
		}
		if s := blk.Shift; s != nil && 2*s.Fold < channels {
			return []span{{0, 2 * s.Fold}, {2 * s.Fold, channels}}, true
		}
	}
	return []span{{0, channels}}, false
}

// splits reports whether a block can be written on a split stream: a grouped
// convolution does not split by channels, nor does one that computes some frames.
func splits(blk *afblock.Block) bool {
	return blk.Schedule == nil && !slices.ContainsFunc(blk.Convs(), func(c *afblock.Conv) bool { return c.Groups != 1 })
}

// splitBlock emits a block that reads x and makes the given cuts.
func (b *builder) splitBlock(x stream, blk *afblock.Block, cuts []span, frames int) stream {
	main, residual := x, x
	if blk.Shift != nil {
		main = b.splitShift(x, blk, frames)
		if blk.Shift.Residual {
			residual = main
		}
	}
	if p := blk.Residual.Pool; p != nil {
		if blk.Residual.Conv != nil {
			residual = streamOf(b.joined(residual, blk.Key+".residual"))
		}
		residual = b.poolPieces(residual, *p, blk.Key+".downsample.pool")
	}
	convs := blk.Convs()
	first, last := convs[0], convs[len(convs)-1]
	y := b.layers(b.convOver(main, convOf(first)), blk.Main[1:len(blk.Main)-1], first.Key)

	var out stream
	for i, cut := range cuts {
		var r feature
		if c := blk.Residual.Conv; c != nil {
			r = b.convOver(residual, convOf(c).outputs(cut))
		} else {
			r = b.cut(residual, cut, blk.Key+".residual")
		}
		z := b.join(b.conv(y, convOf(last).outputs(cut)), r, suffixed(blk, i))
		out = append(out, piece{z, cut, 0})
	}
	return out
}

// poolPieces averages each piece of a map in windows.
func (b *builder) poolPieces(x stream, p afblock.Window, hint string) stream {
	y := slices.Clone(x)
	for i := range y {
		y[i].feature = b.averagePool(x[i].feature, p, hint)
	}
	return y
}

// suffixed is blk under the key that its i-th piece bears.
func suffixed(blk *afblock.Block, i int) *afblock.Block {
	if i == 0 {
		return blk
	}
	c := *blk
	c.Key = fmt.Sprintf("%s.%d", blk.Key, i)
	return &c
}

// splitShift shifts the channels that move and passes the rest on. A map in
// one piece is cut only where the residual path reads the shifted map;
// otherwise the first convolution skips the moving channels of the whole map.
func (b *builder) splitShift(x stream, blk *afblock.Block, frames int) stream {
	hint, moving := blk.Key+".shift", span{0, 2 * blk.Shift.Fold}
	s := stream{{b.shiftMoving(b.cut(x, moving, hint+".moving"), blk.Shift, frames, hint), moving, 0}}
	for _, p := range x {
		if p.hi <= moving.hi {
			continue
		}
		if p.lo < moving.hi {
			p.at, p.lo = p.at+moving.hi-p.lo, moving.hi
			if blk.Shift.Residual {
				p = piece{b.own(p, hint+".rest"), p.span, 0}
			}
		}
		s = append(s, p)
	}
	return s
}

// shiftMoving shifts a map of just the 2·fold channels that move. Frame and
// half are viewed as axes. A Pad with negative amounts would spare the Slices: it
// saves no time (docs/BENCHMARKS.md), and of the runtimes tried four refuse it
// (docs/PORTABILITY.md).
func (b *builder) shiftMoving(x feature, s *afblock.Shift, frames int, hint string) feature {
	if x.columns == 0 && (frames == 1 || !x.sized()) {
		return b.shift(x, s, frames, hint)
	}
	half := int64(s.Fold * x.h * x.w)
	if x.columns > 0 {
		clips := b.reshape(x.v, hint+".clips", -1, 2, half, int64(x.columns))
		both := b.shiftHalves(clips, s, int64(x.columns), 3, 1, hint)
		return x.with(b.reshape(both, hint, -1, int64(x.c), int64(x.h), int64(x.w*x.columns)))
	}
	clips := b.reshape(x.v, hint+".clips", -1, int64(frames), 2, half)
	both := b.shiftHalves(clips, s, int64(frames), 1, 2, hint)
	return x.with(b.reshape(both, hint, -1, int64(x.c), int64(x.h), int64(x.w)))
}

// shiftHalves shifts both halves of clips along the axis of their t frames.
func (b *builder) shiftHalves(clips *graph.Value, s *afblock.Shift, t, frameAxis, halfAxis int64, hint string) *graph.Value {
	later, earlier := int64(0), int64(1) // the halves that come from there
	if s.PastFirst {
		later, earlier = 1, 0
	}
	axes := b.vec(frameAxis, halfAxis)
	before, after := make([]int64, 8), make([]int64, 8)
	before[frameAxis], after[4+frameAxis] = 1, 1
	next := b.node("Slice", hint+".later", in(clips, b.vec(1, later), b.vec(t, later+1), axes))
	next = b.node("Pad", hint+".next", in(next, b.vec(after...)))
	previous := b.node("Slice", hint+".earlier", in(clips, b.vec(0, earlier), b.vec(t-1, earlier+1), axes))
	previous = b.node("Pad", hint+".previous", in(previous, b.vec(before...)))
	halves := in(next, previous)
	if s.PastFirst {
		slices.Reverse(halves)
	}
	return b.node("Concat", hint+".both", halves, graph.Int("axis", halfAxis))
}

// cut returns the channels of span as a map of their own.
func (b *builder) cut(x stream, s span, hint string) feature {
	from := slices.IndexFunc(x, func(p piece) bool { return p.lo == s.lo })
	to := slices.IndexFunc(x, func(p piece) bool { return p.hi == s.hi })
	if from >= 0 && from <= to {
		return b.joined(x[from:to+1], hint)
	}
	return b.own(piece{b.joined(x, hint), s, s.lo}, hint)
}

// joined returns the stream as one map.
func (b *builder) joined(x stream, hint string) feature {
	if len(x) == 1 {
		return b.own(x[0], hint)
	}
	y := x[0].feature
	y.c = x[len(x)-1].hi - x[0].lo
	maps := make([]*graph.Value, len(x))
	for i, p := range x {
		maps[i] = b.own(p, hint+".part").v
	}
	return y.with(b.node("Concat", hint+".joined", maps, graph.Int("axis", 1)))
}

// poolOver averages a map in pieces: [batch, c, 1, 1].
func (b *builder) poolOver(x stream, hint string) feature {
	pooled := make(stream, len(x))
	for i, p := range x {
		pooled[i] = piece{b.globalPool(p.feature, hint), p.span, p.at}
	}
	return b.joined(pooled, hint)
}

// convOver emits a convolution of a map in pieces: the sum of convolutions of
// the pieces, in the order in which the runtime fuses each sum into the
// convolution before it. Channels of no piece are zero.
func (b *builder) convOver(x stream, c conv) feature {
	var sum feature
	for i, p := range x {
		part := c.inputs(p)
		if i < len(x)-1 {
			part = part.summand()
		}
		y := b.conv(p.feature, part)
		if i > 0 {
			y = b.add(y, sum, c.key+".sum")
		}
		sum = y
	}
	return sum
}

// slice returns the elements of span along axis 0 or 1 of a weight. Along axis
// 0 they are not copied.
func (p param) slice(s span, axis int) param {
	size := int64(p.tensor.DType.Size())
	rows, row := int64(1), size
	for i, d := range p.tensor.Dims {
		switch {
		case i < axis:
			rows *= d
		case i > axis:
			row *= d
		}
	}
	data := rawBytes(p.tensor)
	from, to, step := int64(s.lo)*row, int64(s.hi)*row, p.tensor.Dims[axis]*row
	part := data[from:to:to]
	if rows > 1 {
		part = make([]byte, 0, rows*(to-from))
		for r := range rows {
			part = append(part, data[r*step+from:r*step+to]...)
		}
	}
	dims := slices.Clone(p.tensor.Dims)
	dims[axis] = int64(s.hi - s.lo)
	return param{names.Slice(p.name, s.lo, s.hi, axis), newTensor(p.tensor.DType, dims, part)}
}

// behindZeros returns a slice of a kernel, cut along axis 1, with zeros for so
// many channels in front. The file grows by these, which are fewer than one in a
// hundred of a ResNet's weights; quantisers and converters want a kernel stored,
// not computed.
func (p param) behindZeros(channels int) param {
	d := p.tensor.Dims
	size := int64(p.tensor.DType.Size())
	row := d[1] * d[2] * d[3] * size
	zeros := make([]byte, int64(channels)*d[2]*d[3]*size)
	var padded []byte
	for r := range slices.Chunk(rawBytes(p.tensor), int(row)) {
		padded = append(append(padded, zeros...), r...)
	}
	return param{names.Padded(p.name, channels), newTensor(p.tensor.DType, []int64{d[0], d[1] + int64(channels), d[2], d[3]}, padded)}
}

// rawBytes returns the elements of a weight that a check has read.
func rawBytes(t *graph.Tensor) []byte {
	data, err := t.Bytes()
	if err != nil {
		panic("BUG: unchecked weight: " + err.Error())
	}
	return data
}

func newTensor(d graph.DataType, dims []int64, raw []byte) *graph.Tensor {
	t, err := graph.NewTensor(d, dims, raw)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return t
}
