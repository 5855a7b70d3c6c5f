package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// Rules of the operators of neural networks. Shapes are [N, C, spatial…].

// window is the sliding window of a convolution or pool in one spatial axis.
type window struct {
	kernel, stride, dilation int64
	before, after            int64 // padding
	auto                     string
	ceil                     bool
}

// windows reads the attributes of a convolution or pool whose kernel has the
// given spatial sizes.
func (c *opCall) windows(kernel []int64) ([]window, error) {
	n := len(kernel)
	attr := func(name string, size int) ([]int64, error) {
		v := c.ints(name)
		if v == nil {
			v = slices.Repeat([]int64{1}, size)
			if name == "pads" {
				v = make([]int64, size)
			}
		}
		if len(v) != size {
			return nil, fmt.Errorf("attribute %s has %d entries, expected %d", name, len(v), size)
		}
		return v, nil
	}
	stride, err := attr("strides", n)
	if err != nil {
		return nil, err
	}
	dilation, err := attr("dilations", n)
	if err != nil {
		return nil, err
	}
	pads, err := attr("pads", 2*n)
	if err != nil {
		return nil, err
	}
	out := make([]window, n)
	const limit = 1 << 31
	for i := range out {
		w := window{kernel[i], stride[i], dilation[i], pads[i], pads[i+n], c.str("auto_pad", "NOTSET"), c.int("ceil_mode", 0) != 0}
		for _, v := range []int64{w.kernel, w.stride, w.dilation} {
			if v < 1 || v > limit {
				return nil, fmt.Errorf("kernel %v, strides %v and dilations %v must be positive", kernel, stride, dilation)
			}
		}
		if w.before < 0 || w.after < 0 || w.before > limit || w.after > limit {
			return nil, fmt.Errorf("pads %v must not be negative", pads)
		}
		out[i] = w
	}
	return out, nil
}

// extent is how many positions the dilated kernel covers.
func (w window) extent() int64 { return (w.kernel-1)*w.dilation + 1 }

// size is how many positions the window takes on a padded axis.
func (w window) size(in graph.Dim) (graph.Dim, error) {
	e := sym.Of(in)
	switch w.auto {
	case "SAME_UPPER", "SAME_LOWER":
		return e.Plus(w.stride - 1).FloorDiv(w.stride).Dim(), nil
	case "VALID":
		w.before, w.after = 0, 0
	case "NOTSET", "":
	default:
		return graph.Dim{}, fmt.Errorf("auto_pad %q is not known", w.auto)
	}
	if !in.Known() {
		if w.ceil && w.stride > 1 {
			return graph.Sym(""), nil
		}
		return e.Plus(w.before + w.after - w.extent()).FloorDiv(w.stride).Plus(1).Dim(), nil
	}
	room := in.Size + w.before + w.after - w.extent()
	if room < 0 {
		return graph.Dim{}, fmt.Errorf("a window of %d does not fit an axis of %d", w.extent(), in.Size+w.before+w.after)
	}
	n := room/w.stride + 1
	if w.ceil && room%w.stride != 0 && n*w.stride < in.Size+w.before {
		n++ // a last window that starts inside the input or the padding before it
	}
	return graph.D(n), nil
}

// slide sets output i to [lead, windows over the spatial axes of s].
func (c *inferCall) slide(i int, elem graph.DataType, lead graph.Shape, s graph.Shape, ws []window) error {
	out := slices.Clone(lead)
	for k, w := range ws {
		d, err := w.size(s[2+k])
		if err != nil {
			return err
		}
		out = append(out, d)
	}
	c.set(i, elem, out)
	return nil
}

func inferConv(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	x, w := c.shape(0), c.shape(1)
	if c.err != nil {
		return c.err
	}
	if len(x) < 3 || len(x) != len(w) {
		return fmt.Errorf("input has shape %s, weight %s, expected one rank of 3 or more", x, w)
	}
	group := c.int("group", 1)
	if group < 1 || w[1].Known() && x[1].Known() && w[1].Size*group != x[1].Size {
		return fmt.Errorf("weight %s in %d groups does not fit %s", w, group, x)
	}
	kernel := c.kernel(w[2:])
	if c.err != nil {
		return c.err
	}
	ws, err := c.windows(kernel)
	if err != nil {
		return err
	}
	return c.slide(0, c.elem(0), graph.Shape{x[0], w[0]}, x, ws)
}

// kernel is the kernel_shape attribute or else the weight's spatial sizes.
func (c *inferCall) kernel(w graph.Shape) []int64 {
	if k := c.ints("kernel_shape"); k != nil {
		fits := len(k) == len(w)
		for i, d := range w {
			fits = fits && (!d.Known() || d.Size == k[i])
		}
		if !fits {
			c.fail(fmt.Errorf("kernel_shape %v does not fit weight sizes %s", k, w))
		}
		return k
	}
	if !w.Static() {
		c.fail(fmt.Errorf("weight sizes %s are not known", w))
		return nil
	}
	return w.Dims()
}

func inferConvTranspose(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	x, w := c.shape(0), c.shape(1)
	if c.err != nil {
		return c.err
	}
	if len(x) < 3 || len(x) != len(w) {
		return fmt.Errorf("input has shape %s, weight %s, expected one rank of 3 or more", x, w)
	}
	kernel := c.kernel(w[2:])
	if c.err != nil {
		return c.err
	}
	ws, err := c.windows(kernel)
	if err != nil {
		return err
	}
	extra, fixed := c.ints("output_padding"), c.ints("output_shape")
	out := graph.Shape{x[0], sym.Of(w[1]).Mul(sym.Const(c.int("group", 1))).Dim()}
	for k, w := range ws {
		e := sym.Of(x[2+k])
		grown := e.Plus(-1).Mul(sym.Const(w.stride)).Plus(w.extent())
		if extra != nil {
			if len(extra) != len(ws) {
				return fmt.Errorf("output_padding has %d entries, expected %d", len(extra), len(ws))
			}
			grown = grown.Plus(extra[k])
		}
		switch {
		case fixed != nil:
			if len(fixed) < len(ws) {
				return fmt.Errorf("output_shape has %d entries, expected %d", len(fixed), len(ws))
			}
			grown = sym.Const(fixed[len(fixed)-len(ws)+k])
		case w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER":
			grown = e.Mul(sym.Const(w.stride))
		case w.auto == "VALID":
		default:
			grown = grown.Plus(-w.before - w.after)
		}
		out = append(out, grown.Dim())
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferPool(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	c.set(1, graph.Int64, nil)
	x := c.shape(0)
	if c.err != nil {
		return c.err
	}
	kernel := c.ints("kernel_shape")
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return fmt.Errorf("kernel_shape %v does not fit input %s", kernel, x)
	}
	ws, err := c.windows(kernel)
	if err != nil {
		return err
	}
	if err := c.slide(0, c.elem(0), x[:2], x, ws); err != nil {
		return err
	}
	return c.slide(1, graph.Int64, x[:2], x, ws)
}

func inferGlobalPool(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	x := c.shape(0)
	if c.err != nil {
		return c.err
	}
	if len(x) < 2 {
		return fmt.Errorf("input has shape %s, expected rank 2 or more", x)
	}
	out := slices.Clone(x)
	for i := 2; i < len(out); i++ {
		out[i] = graph.D(1)
	}
	c.set(0, c.elem(0), out)
	return nil
}

// inferBatchNorm: in training the further outputs are statistics of the
// channels, as are their inputs.
func inferBatchNorm(c *inferCall) error {
	for i := range c.out {
		k := 0
		if i > 0 {
			k = 1 + (i-1)%2 + 2*btoi(c.opset >= 14)
			if c.opset < 14 {
				k = 3 + (i-1)%2
			}
		}
		if !c.has(k) {
			return fmt.Errorf("input %d is missing", k)
		}
		c.set(i, c.elem(k), c.in[k].shape)
	}
	c.shape(0)
	return c.err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func inferLayerNorm(c *inferCall) error {
	for i := range c.out {
		c.set(i, c.elem(0), nil)
	}
	s := c.shape(0)
	k := c.axis(c.int("axis", -1), len(s))
	if c.err != nil {
		return c.err
	}
	stat := slices.Clone(s)
	for i := k; i < len(stat); i++ {
		stat[i] = graph.D(1)
	}
	c.set(0, c.elem(0), s)
	for i := 1; i < len(c.out); i++ {
		c.set(i, graph.DataType(c.int("stash_type", 1)), stat)
	}
	return nil
}

func inferDropout(c *inferCall) error {
	s := c.shape(0)
	c.set(0, c.elem(0), s)
	mask := graph.Bool
	if c.opset < 10 {
		mask = c.elem(0)
	}
	c.set(1, mask, s)
	return c.err
}

func inferGemm(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	a, b := c.shape(0), c.shape(1)
	if c.err != nil {
		return c.err
	}
	if len(a) != 2 || len(b) != 2 {
		return fmt.Errorf("operands have shapes %s and %s, expected matrices", a, b)
	}
	a, b = slices.Clone(a), slices.Clone(b)
	if c.int("transA", 0) != 0 {
		slices.Reverse(a)
	}
	if c.int("transB", 0) != 0 {
		slices.Reverse(b)
	}
	if a[1].Known() && b[0].Known() && a[1].Size != b[0].Size {
		return fmt.Errorf("matrices %s and %s do not multiply", a, b)
	}
	c.set(0, c.elem(0), graph.Shape{a[0], b[1]})
	return nil
}

func inferMatMul(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	a, b := c.shape(0), c.shape(1)
	if c.err != nil {
		return c.err
	}
	out, err := matMulShape(a, b)
	c.set(0, c.elem(0), out)
	return err
}

// matMulShape is NumPy's: vectors gain an axis that is dropped from the result.
func matMulShape(a, b graph.Shape) (graph.Shape, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, errors.New("multiplies a scalar")
	}
	vecA, vecB := len(a) == 1, len(b) == 1
	if vecA {
		a = graph.Shape{graph.D(1), a[0]}
	}
	if vecB {
		b = graph.Shape{b[0], graph.D(1)}
	}
	m, k := a[len(a)-2], a[len(a)-1]
	l, n := b[len(b)-2], b[len(b)-1]
	if k.Known() && l.Known() && k.Size != l.Size {
		return nil, fmt.Errorf("matrices %s and %s do not multiply", a, b)
	}
	out, err := broadcastShapes(a[:len(a)-2], b[:len(b)-2])
	if err != nil {
		return nil, err
	}
	if !vecA {
		out = append(out, m)
	}
	if !vecB {
		out = append(out, n)
	}
	return out, nil
}

// inferResize is the rule of Resize and Upsample.
func inferResize(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	out := slices.Clone(s)
	axes := c.ints("axes")
	if axes == nil {
		axes = span(0, 1, int64(len(s)))
	}
	if _, err := axisSet(axes, len(s)); err != nil {
		return err
	}
	for _, a := range axes {
		k, _ := axis(a, len(s))
		out[k] = graph.Sym("")
	}
	c.set(0, c.elem(0), out)
	scaleIn, sizesIn := 1, -1
	if c.n.OpType == "Resize" && c.opset >= 11 {
		scaleIn, sizesIn = 2, 3
	}
	if sizesIn > 0 && c.has(sizesIn) && !emptyFact(c.in[sizesIn]) {
		sizes := c.list(sizesIn, "")
		if c.err != nil {
			return c.err
		}
		if len(sizes) != len(axes) {
			return fmt.Errorf("has %d sizes for %d axes", len(sizes), len(axes))
		}
		if c.str("keep_aspect_ratio_policy", "stretch") != "stretch" {
			return c.keepAspect(s, out, axes, sizes)
		}
		for i, a := range axes {
			k, _ := axis(a, len(s))
			out[k] = sizes[i].Dim()
		}
		return nil
	}
	var scales []float32
	switch t := c.constant(scaleIn); {
	case t != nil:
		v, err := t.Float32s()
		if err != nil {
			return err
		}
		scales = v
	case c.has(scaleIn):
		return nil // the rank is all that is known
	case c.attr("scales", graph.AttrFloats) != nil:
		scales = c.attr("scales", graph.AttrFloats).Floats
	default:
		return errors.New("has neither sizes nor scales")
	}
	if len(scales) != len(axes) {
		return fmt.Errorf("has %d scales for %d axes", len(scales), len(axes))
	}
	for i, a := range axes {
		k, _ := axis(a, len(s))
		f := scales[i]
		switch d := s[k]; {
		case !(f > 0) || f > 1<<31:
			return fmt.Errorf("scale %v is not positive", f)
		case d.Known() && d.Size < 1<<31:
			// Implementations multiply in float32.
			out[k] = graph.D(int64(float32(d.Size) * f))
		case f == float32(int64(f)):
			out[k] = sym.Of(d).Mul(sym.Const(int64(f))).Dim()
		}
	}
	return nil
}

func emptyFact(x *fact) bool {
	return len(x.shape) == 1 && x.shape[0].Size == 0
}

// keepAspect sets the sizes of a Resize that scales all axes by one factor:
// the largest or smallest of those asked for, rounded half up.
func (c *inferCall) keepAspect(s, out graph.Shape, axes []int64, sizes []*sym.Expr) error {
	var num, den int64
	for i, a := range axes {
		k, _ := axis(a, len(s))
		want, ok := sizes[i].Const()
		if !ok || s[k].Size < 1 || s[k].Size > 1<<20 || want < 0 || want > 1<<20 {
			return nil
		}
		smaller := want*den < num*s[k].Size
		if den == 0 || smaller == (c.str("keep_aspect_ratio_policy", "") == "not_larger") {
			num, den = want, s[k].Size
		}
	}
	for _, a := range axes {
		k, _ := axis(a, len(s))
		out[k] = graph.D((2*s[k].Size*num + den) / (2 * den))
	}
	return nil
}
