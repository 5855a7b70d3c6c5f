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

// lead emits the whole network: a stream's cuts go on from stage to stage.
func (l plain) lead(x feature) (feature, int, error) {
	var blocks []*afblock.Block
	for _, s := range l.net.Stages {
		blocks = append(blocks, s.Blocks...)
	}
	return l.blocks(l.stem(x, &l.net.Stem), blocks, l.net.Frames, nil), len(l.net.Stages), nil
}

func (l plain) module(_ feature, s *afblock.Stage) (feature, error) {
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
// may have channels in front of them, which are not part of the piece.
type piece struct {
	feature
	span
}

// ahead is how many channels of the map stand in front of the piece's.
func (p piece) ahead() int { return p.c - (p.hi - p.lo) }

// stream is a feature map in pieces that follow each other along the channels.
type stream []piece

func streamOf(x feature) stream { return stream{{x, span{0, x.c}}} }

// cuts is how the stream in front of a block is cut: behind the channels that
// the next shift of maps of that width moves. Blocks in between carry the cut
// on, for joining the pieces costs more.
func cuts(blocks []*afblock.Block, channels int) []span {
	for _, blk := range blocks {
		if blk.In() != channels {
			break
		}
		if s := blk.Shift; s != nil && 2*s.Fold < channels {
			return []span{{0, 2 * s.Fold}, {2 * s.Fold, channels}}
		}
	}
	return []span{{0, channels}}
}

// splits reports whether a block can be written on a split stream: a grouped
// convolution does not split by channels.
func splits(blk *afblock.Block) bool {
	return !slices.ContainsFunc(blk.Convs(), func(c *afblock.Conv) bool { return c.Groups != 1 })
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
		residual = streamOf(b.averagePool(b.joined(residual, blk.Key+".residual"), *p, blk.Key+".downsample.pool"))
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
		out = append(out, piece{z, cut})
	}
	return out
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
	hint, channels := blk.Key+".shift", blk.In()
	moving, rest := span{0, 2 * blk.Shift.Fold}, span{2 * blk.Shift.Fold, channels}
	s := stream{{b.shiftMoving(b.cut(x, moving, hint+".moving"), blk.Shift, frames, hint), moving}}
	switch {
	case rest.lo == rest.hi:
		return s
	case len(x) == 1 && !blk.Shift.Residual:
		return append(s, piece{x[0].feature, rest})
	}
	return append(s, piece{b.cut(x, rest, hint+".rest"), rest})
}

// shiftMoving shifts a map of just the 2·fold channels that move. Frame and
// half are viewed as axes. A Pad with negative amounts would spare the Slices: it
// saves no time (docs/BENCHMARKS.md), and of the runtimes tried four refuse it
// (docs/PORTABILITY.md).
func (b *builder) shiftMoving(x feature, s *afblock.Shift, frames int, hint string) feature {
	if frames == 1 || !x.sized() {
		return b.shift(x, s, frames, hint)
	}
	t := int64(frames)
	later, earlier := int64(0), int64(1) // the halves that come from there
	if s.PastFirst {
		later, earlier = 1, 0
	}
	clips := b.reshape(x.v, hint+".clips", -1, t, 2, int64(s.Fold*x.h*x.w))
	next := b.node("Slice", hint+".later", in(clips, b.vec(1, later), b.vec(t, later+1), b.vec(1, 2)))
	next = b.node("Pad", hint+".next", in(next, b.vec(0, 0, 0, 0, 0, 1, 0, 0)))
	previous := b.node("Slice", hint+".earlier", in(clips, b.vec(0, earlier), b.vec(t-1, earlier+1), b.vec(1, 2)))
	previous = b.node("Pad", hint+".previous", in(previous, b.vec(0, 1, 0, 0, 0, 0, 0, 0)))
	halves := in(next, previous)
	if s.PastFirst {
		slices.Reverse(halves)
	}
	both := b.node("Concat", hint+".both", halves, graph.Int("axis", 2))
	return x.with(b.reshape(both, hint, -1, int64(x.c), int64(x.h), int64(x.w)))
}

// cut returns the channels of span as a map of their own.
func (b *builder) cut(x stream, s span, hint string) feature {
	for _, p := range x {
		if p.span == s && p.ahead() == 0 {
			return p.feature
		}
	}
	whole := b.joined(x, hint)
	if s == (span{0, whole.c}) {
		return whole
	}
	v := b.node("Slice", hint, in(whole.v, b.vec(int64(s.lo)), b.vec(int64(s.hi)), b.vec(1)))
	return feature{v: v, c: s.hi - s.lo, h: whole.h, w: whole.w}
}

// joined returns the stream as one map.
func (b *builder) joined(x stream, hint string) feature {
	if len(x) == 1 {
		return x[0].feature
	}
	y := x[0].feature
	y.c = x[len(x)-1].hi
	maps := make([]*graph.Value, len(x))
	for i, p := range x {
		maps[i] = b.cut(stream{p}, span{p.ahead(), p.c}, hint+".part").v
	}
	return y.with(b.node("Concat", hint+".joined", maps, graph.Int("axis", 1)))
}

// poolOver averages a map in pieces: [batch, c, 1, 1].
func (b *builder) poolOver(x stream, hint string) feature {
	pooled := make(stream, len(x))
	for i, p := range x {
		pooled[i] = piece{b.globalPool(p.feature, hint), p.span}
	}
	return b.joined(pooled, hint)
}

// convOver emits a convolution of a map in pieces: the sum of convolutions of
// the pieces, in the order in which the runtime fuses each sum into the
// convolution before it.
func (b *builder) convOver(x stream, c conv) feature {
	if len(x) == 1 {
		return b.conv(x[0].feature, c)
	}
	var sum feature
	for i, p := range x {
		part := c.inputs(p.span, p.ahead())
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
