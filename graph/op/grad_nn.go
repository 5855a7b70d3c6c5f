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
	x, w, dy := c.n.Input(0), c.n.Input(1), c.dy[0]
	d, wd, out := c.dims(x), c.dims(w), c.dims(dy)
	windows := c.taps(wd[min(2, len(wd)):])
	if c.err != nil {
		return
	}
	group := c.int("group", 1)
	if c.wants(0) {
		c.dx[0] = c.spread(dy, w, d, group, windows)
	}
	if c.wants(1) {
		c.dx[1] = c.convWeight(windows, group, d, wd, out)
	}
	if c.wants(2) {
		c.dx[2] = c.sum(dy, false, append([]int64{0}, span(2, 1, int64(len(d)-2))...)...)
	}
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

// convWeight is the gradient of a convolution's weight.
func (c *gradCall) convWeight(windows []window, group int64, d, wd, out []int64) *graph.Value {
	rank := len(d)
	before, after := make([]int64, rank), make([]int64, rank)
	taps := int64(1)
	for i, t := range windows {
		before[2+i], after[2+i] = t.before, t.after
		taps *= t.kernel
	}
	x := c.pad(c.n.Input(0), before, after)
	plane := product(out[2:])
	grads := c.reshape(c.dy[0], d[0], group, wd[0]/group, plane)
	spatial := span(2, 1, int64(rank-2))
	kernel := graph.Strides(wd[2:])
	offset := make([]int64, rank-2)
	parts := make([]*graph.Value, taps)
	for k := range taps {
		coordinates(k, kernel, offset)
		var starts, ends, steps []int64
		for i, t := range windows {
			from := offset[i] * t.dilation
			starts, steps = append(starts, from), append(steps, t.stride)
			ends = append(ends, from+(out[2+i]-1)*t.stride+1)
		}
		moved := c.add("Slice", slices.Concat(d[:2], out[2:]), []*graph.Value{x, c.ints(starts...), c.ints(ends...), c.ints(spatial...), c.ints(steps...)})
		rows := c.reshape(moved, d[0], group, wd[1], plane)
		parts[k] = c.reshape(c.sum(c.matmul(grads, c.swapped(rows)), false, 0), wd[0], wd[1], 1)
	}
	dw := parts[0]
	if taps > 1 {
		dw = c.add("Concat", []int64{wd[0], wd[1], taps}, parts, graph.Int("axis", 2))
	}
	return c.reshape(dw, wd...)
}

// gradAveragePool spreads each mean's gradient over its window.
func gradAveragePool(c *gradCall) {
	d, out := c.dims(c.n.Input(0)), c.dims(c.dy[0])
	kernel := c.opCall.ints("kernel_shape")
	windows := c.taps(kernel)
	if c.err != nil || len(windows) != len(d)-2 {
		c.fail("kernel_shape %v", kernel)
		return
	}
	share := make([]float64, product(out[2:])) // one over the elements that each mean is of
	st, x := graph.Strides(out[2:]), make([]int64, len(windows))
	padded := c.int("count_include_pad", 0) != 0
	for i := range share {
		coordinates(int64(i), st, x)
		share[i] = 1
		for k, t := range windows {
			n := t.kernel
			if !padded {
				n = 0
				for j := range t.kernel {
					if at := x[k]*t.stride - t.before + j*t.dilation; at >= 0 && at < d[2+k] {
						n++
					}
				}
			}
			share[i] /= float64(n)
		}
	}
	dy := c.mul(c.dy[0], c.numbers(append([]int64{1, 1}, out[2:]...), share...))
	taps := product(kernel)
	ones := c.numbers(append([]int64{d[1], 1}, kernel...), slices.Repeat([]float64{1}, int(d[1]*taps))...)
	c.dx[0] = c.spread(dy, ones, d, d[1], windows)
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

// gradBatchNorm is the rule of BatchNormalization, by the running statistics or,
// in training mode, by those of the batch. The running statistics that training
// mode updates have no gradient.
func gradBatchNorm(c *gradCall) {
	x, scale, dy := c.n.Input(0), c.n.Input(1), c.dy[0]
	d := c.dims(x)
	training := c.opset >= 14 && c.int("training_mode", 0) != 0
	if len(d) < 2 {
		c.fail("an input of shape %v", d)
		return
	}
	axes := append([]int64{0}, span(2, 1, int64(len(d)-2))...)
	channel := slices.Repeat([]int64{1}, len(d)-1)
	channel[0] = d[1]
	each := func(v *graph.Value) *graph.Value { return c.reshape(v, channel...) }
	share := c.number(float64(d[1]) / float64(product(d)))
	mean, variance := each(c.n.Input(3)), each(c.n.Input(4))
	if training {
		mean = c.reshape(c.mul(c.sum(x, false, axes...), share), channel...)
	}
	centred := c.binary("Sub", x, mean)
	if training {
		variance = c.reshape(c.mul(c.sum(c.mul(centred, centred), false, axes...), share), channel...)
	}
	epsilon := c.number(float64(c.float("epsilon", 1e-5)))
	std := c.unary("Sqrt", c.binary("Add", variance, epsilon))
	normal := c.binary("Div", centred, std)
	dScale, dBias := c.sum(c.mul(dy, normal), false, axes...), c.sum(dy, false, axes...)
	if c.wants(0) {
		inner := dy
		if training { // what moves mean and deviation does not come through
			inner = c.binary("Sub", dy, each(c.mul(dBias, share)))
			inner = c.binary("Sub", inner, c.mul(normal, each(c.mul(dScale, share))))
		}
		c.dx[0] = c.mul(inner, c.binary("Div", each(scale), std))
	}
	if c.wants(1) {
		c.dx[1] = dScale
	}
	if c.wants(2) {
		c.dx[2] = dBias
	}
	if !training && (c.wants(3) || c.wants(4)) {
		c.fail("the running statistics are not learned")
	}
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
