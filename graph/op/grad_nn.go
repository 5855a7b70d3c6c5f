package op

import (
	"slices"

	"github.com/afc-project/afc/graph"
)

// Gradients of convolutions, pools and batch normalisation.

// gradConv is the rule of Conv over any number of axes. The gradient of the
// input is the transposed convolution by the same weight; that of the weight a
// product of the output's gradient with the input moved by each tap.
func gradConv(c *gradCall) {
	w, dy := c.n.Input(1), c.dy[0]
	d, wd := c.dims(c.n.Input(0)), c.dims(w)
	windows := c.taps(wd[min(2, len(wd)):])
	if c.err != nil {
		return
	}
	group := c.int("group", 1)
	if c.wants(0) {
		c.dx[0] = c.convInput(dy, w, d, group, windows)
	}
	if c.wants(1) {
		c.dx[1] = c.convWeight(windows, group, d, wd)
	}
	if c.wants(2) {
		c.dx[2] = c.sum(dy, false, append([]int64{0}, span(2, 1, int64(len(d)-2))...)...)
	}
}

// convInput is the gradient of a convolution's input. Without strides it is a
// convolution by the mirrored weight, which runtimes do faster than the
// transposed one that it equals.
func (c *gradCall) convInput(dy, w *graph.Value, dims []int64, group int64, windows []window) *graph.Value {
	var pads, dilations []int64
	for _, t := range windows {
		reach := t.dilation * (t.kernel - 1)
		if t.stride != 1 || t.before > reach || t.after > reach {
			return c.spread(dy, w, dims, group, windows)
		}
		pads, dilations = append(pads, reach-t.before), append(dilations, t.dilation)
	}
	for _, t := range windows {
		pads = append(pads, t.dilation*(t.kernel-1)-t.after)
	}
	return c.add("Conv", dims, []*graph.Value{dy, c.mirrored(w, group)}, graph.Ints("pads", pads...), graph.Ints("dilations", dilations...), graph.Int("group", group))
}

// mirrored exchanges a weight's inputs and outputs in each group, and turns its
// windows around.
func (c *gradCall) mirrored(w *graph.Value, group int64) *graph.Value {
	wd := c.dims(w)
	outs, ins := wd[0]/group, wd[1]
	spatial := span(2, 1, int64(len(wd)-2))
	if group > 1 {
		perm := append([]int64{0, 2, 1}, span(3, 1, int64(len(wd)-2))...)
		w = c.transpose(c.reshape(w, slices.Concat([]int64{group, outs, ins}, wd[2:])...), perm...)
		w = c.reshape(w, slices.Concat([]int64{group * ins, outs}, wd[2:])...)
	} else {
		w = c.transpose(w, append([]int64{1, 0}, spatial...)...)
	}
	if product(wd[2:]) == 1 {
		return w
	}
	n := len(spatial)
	ones := slices.Repeat([]int64{-1}, n)
	return c.add("Slice", c.dims(w), []*graph.Value{w, c.ints(ones...), c.ints(slices.Repeat([]int64{-1 << 40}, n)...), c.ints(spatial...), c.ints(ones...)})
}

// taps reads windows without automatic padding or rounding up.
func (c *gradCall) taps(kernel []int64) []window {
	windows, err := c.windows(kernel)
	if err != nil {
		c.fail("%v", err)
		return nil
	}
	for _, w := range windows {
		if w.auto != "NOTSET" && w.auto != "VALID" || w.ceil {
			c.fail("auto_pad %s or ceil_mode", w.auto)
		}
	}
	return windows
}

// spread is the transposed convolution that makes a map of the given sizes.
func (c *gradCall) spread(dy, w *graph.Value, dims []int64, group int64, windows []window) *graph.Value {
	var kernel, strides, dilations, before, after, more []int64
	for i, t := range windows {
		kernel, strides, dilations = append(kernel, t.kernel), append(strides, t.stride), append(dilations, t.dilation)
		before, after = append(before, t.before), append(after, t.after)
		more = append(more, (dims[2+i]+t.before+t.after-t.extent())%t.stride) // what the stride left over
	}
	return c.add("ConvTranspose", dims, []*graph.Value{dy, w}, graph.Ints("kernel_shape", kernel...), graph.Ints("strides", strides...),
		graph.Ints("dilations", dilations...), graph.Ints("pads", append(before, after...)...), graph.Ints("output_padding", more...), graph.Int("group", group))
}

// smallPlane is the number of pixels under which products of single maps are
// too small for the runtime: all maps are multiplied at once.
const smallPlane = 100

// outer multiplies maps [n, group, k, plane] by [n, group, j, plane], summed over
// pixels and n: [group, k, j].
func (c *gradCall) outer(a, b *graph.Value) *graph.Value {
	d, e := c.dims(a), c.dims(b)
	n, group, k, j, plane := d[0], d[1], d[2], e[2], d[3]
	switch {
	case n == 1:
		return c.reshape(c.matmul(a, c.swapped(b)), group, k, j)
	case plane >= smallPlane:
		return c.sum(c.matmul(a, c.swapped(b)), false, 0)
	}
	rows := c.reshape(c.transpose(a, 1, 2, 0, 3), group, k, n*plane)
	columns := c.reshape(c.transpose(b, 1, 2, 0, 3), group, j, n*plane) // whole maps move, and the product reads them across
	return c.matmul(rows, c.swapped(columns))
}

// convWeight is the gradient of a convolution's weight.
func (c *gradCall) convWeight(windows []window, group int64, d, wd []int64) *graph.Value {
	w := &weightGradient{gradCall: c, windows: windows, group: group, d: d, wd: wd, out: c.dims(c.dy[0]), taps: product(wd[2:])}
	if len(windows) == 2 && w.taps > 1 {
		return w.runs()
	}
	return w.windowed()
}

// weightGradient is the gradient of one convolution's weight.
type weightGradient struct {
	*gradCall
	windows    []window
	group      int64
	d, wd, out []int64 // dimensions of input, weight and output
	taps       int64
}

// maxGathered is the number of input channels up to which the taps' inputs are
// put side by side, for one large product instead of one a tap.
const maxGathered = 32

// product makes the weight's gradient of that of the output, [n, group, outputs,
// pixels], and of the input as each tap sees it, likewise.
func (w *weightGradient) product(grads *graph.Value, moved []*graph.Value) *graph.Value {
	outs, ins := w.wd[0]/w.group, w.wd[1]
	plane := w.dims(grads)[3]
	if w.taps > 1 && (ins <= maxGathered || plane < smallPlane) {
		all := w.add("Concat", []int64{w.d[0], w.group, w.taps * ins, plane}, moved, graph.Int("axis", 2))
		byTap := w.reshape(w.outer(grads, all), w.group*outs, w.taps, ins)
		return w.reshape(w.transpose(byTap, 0, 2, 1), w.wd...)
	}
	parts := make([]*graph.Value, len(moved))
	for i, m := range moved {
		parts[i] = w.reshape(w.outer(grads, m), w.wd[0], ins, 1)
	}
	dw := parts[0]
	if len(parts) > 1 {
		dw = w.add("Concat", []int64{w.wd[0], ins, w.taps}, parts, graph.Int("axis", 2))
	}
	return w.reshape(dw, w.wd...)
}

// windowed cuts what each tap sees out of the padded input.
func (w *weightGradient) windowed() *graph.Value {
	rank := len(w.d)
	before, after := make([]int64, rank), make([]int64, rank)
	for i, t := range w.windows {
		before[2+i], after[2+i] = t.before, t.after
	}
	x := w.pad(w.n.Input(0), before, after)
	plane := product(w.out[2:])
	spatial := span(2, 1, int64(rank-2))
	kernel := graph.Strides(w.wd[2:])
	offset := make([]int64, rank-2)
	moved := make([]*graph.Value, w.taps)
	for k := range w.taps {
		coordinates(k, kernel, offset)
		var starts, ends, steps []int64
		whole := true
		for i, t := range w.windows {
			from := offset[i] * t.dilation
			starts, steps = append(starts, from), append(steps, t.stride)
			ends = append(ends, from+(w.out[2+i]-1)*t.stride+1)
			whole = whole && t.stride == 1 && w.out[2+i] == w.dims(x)[2+i]
		}
		seen := x
		if !whole {
			seen = w.add("Slice", slices.Concat(w.d[:2], w.out[2:]), []*graph.Value{x, w.ints(starts...), w.ints(ends...), w.ints(spatial...), w.ints(steps...)})
		}
		moved[k] = w.reshape(seen, w.d[0], w.group, w.wd[1], plane)
	}
	return w.product(w.reshape(w.dy[0], w.d[0], w.group, w.wd[0]/w.group, plane), moved)
}

// runs is windowed for two axes: of maps padded to whole rows, laid out as one row,
// each tap sees one run. What lies between the rows of the output has gradient zero.
// With strides each tap sees one phase of the input, every so many pixels of it.
func (w *weightGradient) runs() *graph.Value {
	n, t, u := w.d[0], w.windows[0], w.windows[1]
	height, width := (w.d[2]+t.before+t.after+t.stride-1)/t.stride, (w.d[3]+u.before+u.after+u.stride-1)/u.stride // of a phase
	x := w.pad(w.n.Input(0), []int64{0, 0, t.before, u.before}, []int64{0, 0, height*t.stride - w.d[2] - t.before, width*u.stride - w.d[3] - u.before})
	phases := w.phases(x, height, width)
	length := (w.out[2]-1)*width + w.out[3]
	grads := w.pad(w.dy[0], make([]int64, 4), []int64{0, 0, 0, width - w.out[3]})
	grads = w.cut(w.reshape(grads, n, w.group, w.wd[0]/w.group, w.out[2]*width), 0, length)
	var moved []*graph.Value
	for i := range t.kernel {
		for j := range u.kernel {
			row, column := i*t.dilation, j*u.dilation
			phase := phases[row%t.stride*u.stride+column%u.stride]
			moved = append(moved, w.cut(phase, row/t.stride*width+column/u.stride, length))
		}
	}
	return w.product(grads, moved)
}

// phases takes maps apart into those of every stride-th pixel, [n, group, inputs,
// height·width] each.
func (w *weightGradient) phases(x *graph.Value, height, width int64) []*graph.Value {
	a, b := w.windows[0].stride, w.windows[1].stride
	if a*b == 1 {
		return []*graph.Value{w.reshape(x, w.d[0], w.group, w.wd[1], height*width)}
	}
	apart := w.transpose(w.reshape(x, w.d[0]*w.d[1], height, a, width, b), 2, 4, 0, 1, 3)
	apart = w.reshape(apart, a*b, w.d[0]*w.d[1]*height*width)
	list := make([]*graph.Value, a*b)
	for i := range list {
		one := w.add("Slice", []int64{1, w.dims(apart)[1]}, []*graph.Value{apart, w.ints(int64(i)), w.ints(int64(i) + 1), w.ints(0)})
		list[i] = w.reshape(one, w.d[0], w.group, w.wd[1], height*width)
	}
	return list
}

// cut takes a run out of the last axis of four.
func (w *weightGradient) cut(x *graph.Value, from, length int64) *graph.Value {
	d := slices.Clone(w.dims(x))
	if from == 0 && length == d[3] {
		return x
	}
	d[3] = length
	return w.add("Slice", d, []*graph.Value{x, w.ints(from), w.ints(from + length), w.ints(3)})
}

// gradAveragePool spreads each mean's gradient over its window: zeros come
// between the means, and each element gets the mean, times the window's size, of
// the windows around it, which is what a pool without strides computes.
func gradAveragePool(c *gradCall) {
	d, out := c.dims(c.n.Input(0)), c.dims(c.dy[0])
	kernel := c.opCall.ints("kernel_shape")
	windows := c.taps(kernel)
	if c.err != nil || len(windows) != len(d)-2 {
		c.fail("kernel_shape %v", kernel)
		return
	}
	dy := c.dy[0]
	if c.int("count_include_pad", 0) == 0 {
		dy = c.mul(dy, c.numbers(append([]int64{1, 1}, out[2:]...), unpadded(windows, d[2:], out[2:])...))
	}
	before, after := make([]int64, len(d)), make([]int64, len(d))
	for i, t := range windows {
		if t.dilation != 1 {
			c.fail("a dilation of %d", t.dilation)
			return
		}
		dy = c.stuffed(dy, 2+i, t.stride)
		before[2+i] = t.kernel - 1 - t.before
		after[2+i] = d[2+i] + t.kernel - 1 - before[2+i] - c.dims(dy)[2+i]
	}
	c.dx[0] = c.add("AveragePool", d, []*graph.Value{c.pad(dy, before, after)}, graph.Ints("kernel_shape", kernel...))
}

// unpadded is, for each window of a pool, its size over that of the part that
// lies on the map.
func unpadded(windows []window, in, out []int64) []float64 {
	share := make([]float64, product(out))
	st, x := graph.Strides(out), make([]int64, len(windows))
	for i := range share {
		coordinates(int64(i), st, x)
		share[i] = 1
		for k, t := range windows {
			from, n := x[k]*t.stride-t.before, int64(0)
			for j := range t.kernel {
				if at := from + j*t.dilation; at >= 0 && at < in[k] {
					n++
				}
			}
			share[i] *= float64(t.kernel) / float64(n)
		}
	}
	return share
}

func gradGlobalAveragePool(c *gradCall) {
	d := c.dims(c.n.Input(0))
	c.dx[0] = c.expand(c.mul(c.dy[0], c.number(1/float64(product(d[2:])))), d)
}

// gradMaxPool adds each gradient to the element that was the largest, the first
// of equal ones.
func gradMaxPool(c *gradCall) {
	if c.opset < 16 {
		c.fail("opset %d: afc differentiates MaxPool from opset 16 on", c.opset)
		return
	}
	d := c.dims(c.n.Input(0))
	again := c.g.NewNode("MaxPool", "grad/"+c.n.Name+"/MaxPool", []*graph.Value{c.n.Input(0)}, 2, c.n.Attrs()...)
	again.SetAttr(graph.Int("storage_order", 0))
	shape := graph.ShapeOf(c.dims(c.dy[0])...)
	again.Output(0).Type, again.Output(1).Type = graph.TensorType(c.elem(), shape), graph.TensorType(graph.Int64, shape)
	n, m := product(d), product(c.dims(c.dy[0]))
	at := c.reshape(again.Output(1), m)
	at.Type.Elem = graph.Int64
	zeros := c.expand(c.numbers([]int64{1}, 0), []int64{n})
	sums := c.add("ScatterElements", []int64{n}, []*graph.Value{zeros, at, c.reshape(c.dy[0], m)}, graph.Str("reduction", "add"))
	c.dx[0] = c.reshape(sums, d...)
}

// Moments appends to a graph the nodes that compute the mean and the variance,
// [channels], of a map [n, channels, …] over all but its channels: what
// BatchNormalization in training mode normalises by. The map's shape must be
// known.
func Moments(x *graph.Value) (mean, variance *graph.Value, err error) {
	n := &graph.Node{OpType: "BatchNormalization", Name: x.Name() + "/moments"}
	c := &gradCall{opCall: opCall{n: n}, g: x.Graph(), of: x.Type.Elem}
	mean, variance = c.moments(x)
	return mean, variance, c.err
}

// moments are computed from sums over large maps; over rows, where the mean may
// be far larger than the deviation, of what is left without the mean.
func (c *gradCall) moments(x *graph.Value) (mean, variance *graph.Value) {
	d := c.dims(x)
	if len(d) < 2 {
		c.fail("an input of shape %v", d)
		return nil, nil
	}
	axes, share := besideChannels(d), c.number(float64(d[1])/float64(product(d)))
	mean = c.mul(c.sum(x, false, axes...), share)
	if product(d[2:]) == 1 {
		centred := c.binary("Sub", x, c.reshape(mean, perChannel(d)...))
		return mean, c.mul(c.sum(c.mul(centred, centred), false, axes...), share)
	}
	return mean, c.binary("Sub", c.mul(c.channelDots(x, x), share), c.mul(mean, mean))
}

func besideChannels(d []int64) []int64 { return append([]int64{0}, span(2, 1, int64(len(d)-2))...) }

// perChannel is the shape of one number a channel that broadcasts over a map.
func perChannel(d []int64) []int64 {
	s := slices.Repeat([]int64{1}, len(d)-1)
	s[0] = d[1]
	return s
}

// channelDots sums the products of two maps' elements, channel by channel.
func (c *gradCall) channelDots(a, b *graph.Value) *graph.Value {
	d := c.dims(a)
	if plane := product(d[2:]); plane >= smallPlane {
		return c.sum(c.reshape(c.dots(a, b, d[0]*d[1], plane), d[0], d[1]), false, 0)
	}
	return c.sum(c.mul(a, b), false, besideChannels(d)...)
}

// dots multiplies rows of two values with each other: [rows, 1, 1].
func (c *gradCall) dots(a, b *graph.Value, rows, length int64) *graph.Value {
	return c.matmul(c.reshape(a, rows, 1, length), c.swapped(c.reshape(b, rows, 1, length)))
}

// gradBatchNorm is the rule of BatchNormalization, by the running statistics or,
// in training mode, by those of the batch. The running statistics that training
// mode updates have no gradient. With s = γ/σ and means over the batch,
//
//	dγ = Σ dy·(x−μ)/σ, dβ = Σ dy, dx = s·dy, and in training mode
//	dx = s·(dy − dβ/n − (x−μ)/σ·dγ/n)
func gradBatchNorm(c *gradCall) {
	x, scale, dy := c.n.Input(0), c.n.Input(1), c.dy[0]
	d := c.dims(x)
	training := c.opset >= 14 && c.int("training_mode", 0) != 0
	mean, variance := c.n.Input(3), c.n.Input(4)
	if training {
		mean, variance = c.moments(x)
	}
	if c.err != nil || len(d) < 2 {
		c.fail("an input of shape %v", d)
		return
	}
	deviation := c.unary("Sqrt", c.binary("Add", variance, c.number(float64(c.float("epsilon", 1e-5)))))
	factor := c.binary("Div", scale, deviation)
	if !training && (c.wants(3) || c.wants(4)) {
		c.fail("the running statistics are not learned")
		return
	}
	var dScale, dBias *graph.Value
	if training || c.wants(1) || c.wants(2) {
		dBias = c.sum(dy, false, besideChannels(d)...)
		dScale = c.normalDots(dy, x, mean, deviation, dBias)
	}
	if c.wants(0) {
		zero, one := c.numbers([]int64{d[1]}, make([]float64, d[1])...), c.numbers([]int64{d[1]}, slices.Repeat([]float64{1}, int(d[1]))...)
		offset := zero
		if training {
			share := c.number(float64(d[1]) / float64(product(d)))
			slope := c.unary("Neg", c.binary("Div", c.mul(factor, c.mul(dScale, share)), deviation))
			offset = c.unary("Neg", c.binary("Add", c.mul(factor, c.mul(dBias, share)), c.mul(slope, mean)))
			c.dx[0] = c.mul(x, c.reshape(slope, perChannel(d)...))
		}
		scaled := c.add("BatchNormalization", d, []*graph.Value{dy, factor, offset, zero, one}, graph.Float("epsilon", 0))
		if c.dx[0] == nil {
			c.dx[0] = scaled
		} else {
			c.dx[0] = c.binary("Add", scaled, c.dx[0])
		}
	}
	if c.wants(1) {
		c.dx[1] = dScale
	}
	if c.wants(2) {
		c.dx[2] = dBias
	}
}

// normalDots is Σ dy·(x−μ)/σ, channel by channel; dBias is Σ dy.
func (c *gradCall) normalDots(dy, x, mean, deviation, dBias *graph.Value) *graph.Value {
	d := c.dims(x)
	if product(d[2:]) == 1 {
		centred := c.binary("Sub", x, c.reshape(mean, perChannel(d)...))
		return c.binary("Div", c.channelDots(dy, centred), deviation)
	}
	return c.binary("Div", c.binary("Sub", c.channelDots(dy, x), c.mul(mean, dBias)), deviation)
}

// gradResize is the rule of growing by whole factors to the nearest element.
func gradResize(c *gradCall) {
	d, out := c.dims(c.n.Input(0)), c.dims(c.dy[0])
	mode, turn := c.str("mode", "nearest"), c.str("coordinate_transformation_mode", "half_pixel")
	near := c.str("nearest_mode", "round_prefer_floor")
	rounds := near == "round_prefer_floor" || near == "round_prefer_ceil"
	if mode != "nearest" || !(turn == "half_pixel" && rounds) && !(turn == "asymmetric" && near == "floor") {
		c.fail("mode %s, %s, %s", mode, turn, near)
		return
	}
	var apart, axes []int64
	for i := range d {
		if d[i] == 0 || out[i]%d[i] != 0 {
			c.fail("from %v to %v, not by whole factors", d, out)
			return
		}
		apart = append(apart, d[i], out[i]/d[i])
		if out[i] != d[i] {
			axes = append(axes, int64(2*i+1))
		}
	}
	if len(axes) == 0 {
		c.dx[0] = c.dy[0]
		return
	}
	c.dx[0] = c.reshape(c.sum(c.reshape(c.dy[0], apart...), true, axes...), d...)
}
