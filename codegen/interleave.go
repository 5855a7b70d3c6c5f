package codegen

import (
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// ONNX Runtime convolves a map row by row, several pixels at once, and reads the
// weights again for each row. Rows of 7 pixels leave registers empty and the
// processor waiting for weights. So where maps are that narrow the frames of a
// clip share one: pixel x of frame t stands in column x·T + t. A convolution
// dilated by T columns keeps each frame to itself and has the products it had
// before, on rows T times as long. Strided or pooled by frame such maps cannot be.
// A shift moves columns by one.

// minRow is the width of a map below which the frames of a clip share one.
const minRow = 14

// interleaves reports whether blocks, which read maps of that size, run on frames
// that share maps. Channels that a shift moves must be a tensor of their own.
func (l *lowerer) interleaves(size afblock.Size, blocks []*afblock.Block) bool {
	if !l.opt.takes(Interleave) || !size.Known() || l.net.Frames == 1 || len(blocks) == 0 {
		return false
	}
	for i, blk := range blocks {
		if excites(blk) || blk.Schedule != nil { // it would see the mean of all frames, or compute them all
			return false
		}
		if s := blk.Shift; s != nil && (s.Residual || !splits(blk) || !l.opt.takes(SplitStream)) {
			return false
		}
		switch {
		case i > 0 && strides(blk), i == 0 && blk.Shift != nil && strides(blk) && blk.Stride() == 1:
			return false
		}
	}
	return blocks[0].Through(size)[1] < minRow
}

// excites reports whether a block weighs channels by what it sees of the map.
func excites(b *afblock.Block) bool {
	return slices.ContainsFunc(b.Main, func(l afblock.Layer) bool {
		_, ok := l.(*afblock.SqueezeExcite)
		return ok
	})
}

// strides reports whether a block makes maps smaller, on either path: a file may
// say so of one alone, where a map of one pixel makes it harmless.
func strides(b *afblock.Block) bool {
	return b.Stride() > 1 || b.Residual.Pool != nil || b.Residual.Conv != nil && b.Residual.Conv.Stride > 1
}

// interleaved emits blocks on frames that share maps, the first up to its last
// stride on frames apart.
func (l *lowerer) interleaved(x stream, blocks []*afblock.Block) feature {
	split := l.splitsRun(blocks)
	for i, blk := range blocks {
		ends := cuts(blocks[i+1:], blk.Out())
		switch {
		case i > 0:
			x = l.blockOf(x, blk, ends, 1, split)
		case strides(blk):
			x = l.interleavedStride(x, blk, ends)
		default:
			whole := l.joined(x, blk.Key+".whole")
			x = l.blockOf(streamOf(l.interleave(whole, blk.Key+".interleave")), blk, ends, 1, split)
		}
	}
	return l.deinterleave(l.joined(x, blocks[0].Key+".whole"), blocks[0].Key+".deinterleave")
}

// interleavedStride emits a block that makes maps smaller: up to its last
// stride on frames apart.
func (l *lowerer) interleavedStride(x stream, blk *afblock.Block, ends []span) stream {
	n := len(blk.Main)
	for n > 0 && !stridedConv(blk.Main[n-1]) {
		n--
	}
	read := x
	if blk.Shift != nil {
		read = l.splitShift(x, blk, l.net.Frames)
	}
	main, rest, key := l.joined(x, blk.Key+".whole"), blk.Main[n:], blk.Key
	if n > 0 {
		first := blk.Main[0].(*afblock.Conv)
		main = l.layers(l.convOver(read, convOf(first)), blk.Main[1:n], first.Key)
		key = blk.Main[n-1].(*afblock.Conv).Key
		if len(rest) > 0 {
			main, rest = l.layers(main, rest[:1], key), rest[1:]
		}
	}
	residual, down := l.residualRead(l.joined(x, blk.Key+".whole"), blk)
	if len(rest) == 1 && pointwise(down) {
		if c, ok := rest[0].(*afblock.Conv); ok && pointwise(c) {
			return l.summed(main, residual, c, down, blk, ends)
		}
	}
	main = l.interleave(main, blk.Key+".interleave")
	mains := make([]feature, len(ends))
	if len(rest) > 0 {
		last := rest[len(rest)-1].(*afblock.Conv)
		main = l.layers(main, rest[:len(rest)-1], key)
		for i, end := range ends {
			mains[i] = l.conv(main, convOf(last).outputs(end))
		}
	} else {
		for i, end := range ends {
			mains[i] = l.cut(streamOf(main), end, blk.Key+".main")
		}
	}
	return l.interleavedEnd(mains, residual, down, blk, ends)
}

// interleavedEnd emits the sums that end a block, of main paths on frames that
// share maps and a residual path, still apart, with the convolution down left.
func (l *lowerer) interleavedEnd(mains []feature, residual feature, down *afblock.Conv, blk *afblock.Block, ends []span) stream {
	residual = l.interleave(residual, blk.Key+".downsample.interleave")
	var out stream
	for i, end := range ends {
		var r feature
		if down != nil {
			r = l.conv(residual, convOf(down).outputs(end))
		} else {
			r = l.cut(streamOf(residual), end, blk.Key+".residual")
		}
		out = append(out, piece{l.join(mains[i], r, suffixed(blk, i)), end, 0})
	}
	return out
}

// residualRead emits the residual path up to its stride, and returns what of
// its convolution is left.
func (l *lowerer) residualRead(x feature, blk *afblock.Block) (feature, *afblock.Conv) {
	hint := blk.Key + ".downsample"
	if p := blk.Residual.Pool; p != nil {
		x = l.averagePool(x, *p, hint+".pool")
	}
	c := blk.Residual.Conv
	switch {
	case c == nil || c.Stride == 1:
		return x, c
	case c.Kernel() > 1:
		return l.conv(x, convOf(c)), nil
	}
	// The pixels that a strided pointwise convolution reads.
	x = l.averagePool(x, afblock.Window{Kernel: 1, Stride: c.Stride}, hint+".read")
	dense := *c
	dense.Stride = 1
	return x, &dense
}

// stridedConv reports whether a layer is a convolution with a stride.
func stridedConv(l afblock.Layer) bool {
	c, ok := l.(*afblock.Conv)
	return ok && c.Stride > 1
}

// pointwise reports whether a convolution reads one pixel and all channels.
func pointwise(c *afblock.Conv) bool { return c != nil && c.Kernel() == 1 && c.Groups == 1 }

// summed emits the end of a block, of two pointwise convolutions, as one that
// reads the channels of both: where the number of clips is open, ONNX Runtime
// takes two interleaved maps for different in size, and fuses no sum of them.
func (l *lowerer) summed(main, residual feature, c, down *afblock.Conv, blk *afblock.Block, ends []span) stream {
	both := feature{v: l.node("Concat", blk.Key+".both", in(main.v, residual.v), graph.Int("axis", 1)), c: main.c + residual.c, h: main.h, w: main.w}
	both = l.interleave(both, blk.Key+".interleave")
	var out stream
	for i, end := range ends {
		kernel, bias := l.summedConv(convOf(c).outputs(end), convOf(down).outputs(end), names.Sum(blk.Key))
		y := feature{c: end.hi - end.lo, h: both.h, w: both.w, columns: both.columns}
		y.v = l.node("Conv", names.Sum(blk.Key), in(both.v, kernel, bias), windowAttrs(c.Window())...)
		out = append(out, piece{l.end(y, suffixed(blk, i)), end, 0})
	}
	return out
}

// summedConv emits kernel and bias of a convolution that reads what two
// pointwise ones do, one behind the other, and sums what they make. Of a plain
// network they are stored, joined, in the place of the two: quantisers want
// kernels that are initializers. An AFNet's file keeps each by its name, to be
// read back, and the runtime joins them.
func (l *lowerer) summedConv(c, down conv, hint string) (kernel, bias *graph.Value) {
	if l.opt.Lowering == Plain && c.bn == nil && down.bn == nil {
		part := strings.TrimPrefix(c.weight.name, c.key+".weight") // of the outputs
		return l.weight(param{hint + ".weight" + part, besideInputs(c.weight.tensor, down.weight.tensor)}),
			l.weight(param{hint + ".bias" + part, addedBias(c, down)})
	}
	kernel, bias = l.foldedConv(c)
	kernelDown, biasDown := l.foldedConv(down)
	return l.node("Concat", hint+".kernel", in(kernel, kernelDown), graph.Int("axis", 1)),
		l.node("Add", hint+".bias", in(bias, biasDown))
}

// besideInputs puts the input channels of one pointwise kernel behind another's,
// [out, a+b, 1, 1].
func besideInputs(a, b *graph.Tensor) *graph.Tensor {
	out := int(a.Dims[0])
	rowsA, rowsB := rawBytes(a), rawBytes(b)
	stepA, stepB := len(rowsA)/out, len(rowsB)/out
	joined := make([]byte, 0, len(rowsA)+len(rowsB))
	for r := range out {
		joined = append(joined, rowsA[r*stepA:(r+1)*stepA]...)
		joined = append(joined, rowsB[r*stepB:(r+1)*stepB]...)
	}
	return newTensor(a.DType, []int64{a.Dims[0], a.Dims[1] + b.Dims[1], 1, 1}, joined)
}

// addedBias sums the biases of two convolutions, those that have one.
func addedBias(a, b conv) *graph.Tensor {
	sum := make([]float32, a.out())
	for _, c := range []conv{a, b} {
		if c.bias == nil {
			continue
		}
		v, err := c.bias.tensor.Float32s()
		if err != nil {
			panic("BUG: unchecked weight: " + err.Error())
		}
		for i, x := range v {
			sum[i] += x
		}
	}
	return graph.Float32s([]int64{int64(len(sum))}, sum...)
}

// foldedConv emits kernel and bias of a convolution with its batch
// normalisation folded in; ONNX Runtime does the sums when it loads the model.
func (b *builder) foldedConv(c conv) (kernel, bias *graph.Value) {
	kernel = b.weight(c.weight)
	if c.bias != nil {
		bias = b.weight(*c.bias)
	} else {
		part := strings.TrimPrefix(c.weight.name, c.key+".weight") // of the outputs
		bias = b.weight(param{"afc." + c.key + ".no_bias" + part, graph.Float32s([]int64{int64(c.out())}, make([]float32, c.out())...)})
	}
	n := c.bn
	if n == nil {
		return kernel, bias
	}
	key := "afc." + n.key
	variance := b.node("Add", key+".variance", in(b.weight(n.variance), b.floats(n.eps)))
	scale := b.node("Div", key+".scale", in(b.weight(n.gamma), b.node("Sqrt", key+".deviation", in(variance))))
	shift := b.node("Mul", key+".shift", in(b.node("Sub", key+".centred", in(bias, b.weight(n.mean))), scale))
	kernel = b.node("Mul", key+".kernel", in(kernel, b.reshape(scale, key+".scales", -1, 1, 1, 1)))
	return kernel, b.node("Add", key+".bias", in(shift, b.weight(n.beta)))
}

// interleave lets the frames of each clip share a map:
// [N·T, c, h, w] → [N, c, h, w·T].
func (l *lowerer) interleave(x feature, hint string) feature {
	t, c, h, w := int64(l.net.Frames), int64(x.c), int64(x.h), int64(x.w)
	v := l.reshape(x.v, hint+".clips", -1, t, c, h, w)
	v = l.node("Transpose", hint+".columns", in(v), graph.Ints("perm", 0, 2, 3, 4, 1))
	x.v, x.columns = l.reshape(v, hint, -1, c, h, w*t), int(t)
	return x
}

// deinterleave undoes interleave.
func (l *lowerer) deinterleave(x feature, hint string) feature {
	t, c, h, w := int64(l.net.Frames), int64(x.c), int64(x.h), int64(x.w)
	v := l.reshape(x.v, hint+".columns", -1, c, h, w, t)
	v = l.node("Transpose", hint+".clips", in(v), graph.Ints("perm", 0, 4, 1, 2, 3))
	x.v, x.columns = l.reshape(v, hint, -1, c, h, w), 0
	return x
}
