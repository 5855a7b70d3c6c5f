package recognize

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// wrongBiasHint explains a bias that belongs to another convolution.
const wrongBiasHint = "some exporters give a folded convolution the bias of another that reads the same tensor (pytorch#166797); export again with a newer onnxscript, or with dynamo=False"

// conv reads a 2-D convolution of in channels, over all of them.
func (r *recognizer) conv(n *graph.Node, key string, in int64) (*afblock.Conv, error) {
	if groups := n.AttrInt("group", 1); n.Is("Conv") && groups > 1 && in%groups == 0 {
		if w := r.Constant(n.Input(1)); w != nil && len(w.Dims) == 4 && w.Dims[1] > 0 {
			return nil, r.refuse(n, "a convolution over all channels", fmt.Sprintf("one in %d groups", groups),
				"afc rewrites ResNets; ResNeXt and other networks of grouped or depthwise convolutions are others")
		}
	}
	return r.groupedConv(n, key, in)
}

// groupedConv reads a 2-D convolution of in channels, in groups or not.
func (r *recognizer) groupedConv(n *graph.Node, key string, in int64) (*afblock.Conv, error) {
	no := func(expected, format string, args ...any) (*afblock.Conv, error) {
		return nil, r.refuse(n, expected, fmt.Sprintf(format, args...), "")
	}
	if !n.Is("Conv") {
		return no("a convolution", "%s", n.OpType)
	}
	w := r.Constant(n.Input(1))
	if w == nil {
		return no("constant weights", "weights computed at run time")
	}
	if len(w.Dims) != 4 || w.Dims[2] != w.Dims[3] {
		return no("a square 2-D kernel", "weights of shape %v", w.Dims)
	}
	if !w.DType.IsFloat() {
		return no("floating-point weights", "%s", w.DType)
	}
	groups := n.AttrInt("group", 1)
	if groups < 1 || w.Dims[1] < 1 || w.Dims[1] > in || w.Dims[1]*groups != in || w.Dims[0]%groups != 0 {
		return no(fmt.Sprintf("weights for %d input channels", in), "weights of shape %v", w.Dims)
	}
	for _, d := range n.AttrInts("dilations") {
		if d != 1 {
			return no("no dilation", "dilations %v", n.AttrInts("dilations"))
		}
	}
	stride, ok := square(n.AttrInts("strides"), 2)
	if !ok {
		return no("equal strides", "strides %v", n.AttrInts("strides"))
	}
	pad, ok := r.padding(n, w.Dims[2], stride)
	if !ok || pad != w.Dims[2]/2 {
		return no(fmt.Sprintf("padding of %d on every side", w.Dims[2]/2), "pads %v, auto_pad %s", n.AttrInts("pads"), n.AttrString("auto_pad", "NOTSET"))
	}
	c := &afblock.Conv{Key: key, Weight: w, Stride: int(stride), Pad: int(pad), Groups: int(groups)}
	if n.Input(2) != nil {
		if c.Bias = r.Constant(n.Input(2)); c.Bias == nil {
			return no("a constant bias", "a bias computed at run time")
		}
		if len(c.Bias.Dims) != 1 || c.Bias.Dims[0] != w.Dims[0] {
			return nil, r.refuse(n, fmt.Sprintf("a bias of %d elements, one an output channel", w.Dims[0]),
				fmt.Sprintf("bias %q of shape %v", n.Input(2), c.Bias.Dims), wrongBiasHint)
		}
	}
	r.progress++
	return c, nil
}

// square returns the one value of an attribute of n equal entries, 1 if absent.
func square(x []int64, n int) (int64, bool) {
	if x == nil {
		return 1, true
	}
	if len(x) != n || x[0] < 1 || x[0] > math.MaxInt16 {
		return 0, false
	}
	for _, v := range x {
		if v != x[0] {
			return 0, false
		}
	}
	return x[0], true
}

// padding returns the padding of a 2-D convolution or pool if it is the same
// on every side. Under auto_pad it is what the shapes show.
func (r *recognizer) padding(n *graph.Node, kernel, stride int64) (int64, bool) {
	switch n.AttrString("auto_pad", "NOTSET") {
	case "NOTSET", "":
		pads := n.AttrInts("pads")
		if pads == nil {
			return 0, true
		}
		for _, p := range pads {
			if p != pads[0] || p < 0 || p > math.MaxInt16 {
				return 0, false
			}
		}
		return pads[0], len(pads) == 4
	case "VALID":
		return 0, true
	}
	in, out := r.Dims(n.Input(0)), r.Dims(n.Output(0))
	if len(in) != 4 || len(out) != 4 {
		return 0, false
	}
	h, w := (out[2]-1)*stride+kernel-in[2], (out[3]-1)*stride+kernel-in[3]
	return h / 2, h == w && h >= 0 && h%2 == 0
}

// batchNorm reads an inference batch normalisation of n channels. Nodes that
// an export left in training mode are read as what they are at inference.
func (r *recognizer) batchNorm(n *graph.Node, key string, channels int) (*afblock.BatchNorm, error) {
	bn := &afblock.BatchNorm{Key: key, Eps: n.AttrFloat("epsilon", 1e-5)}
	for i, t := range []**graph.Tensor{&bn.Gamma, &bn.Beta, &bn.Mean, &bn.Var} {
		*t = r.Constant(n.Input(i + 1))
		if *t == nil {
			return nil, r.refuse(n, "constant statistics", fmt.Sprintf("input %d computed at run time", i+1), "")
		}
		if len((*t).Dims) != 1 || (*t).Dims[0] != int64(channels) {
			return nil, r.refuse(n, fmt.Sprintf("statistics of %d channels", channels), fmt.Sprintf("input %d of shape %v", i+1, (*t).Dims), "")
		}
	}
	r.progress++
	return bn, nil
}

// pool reads a square, symmetric 2-D pool. ceil_mode passes where the sizes at
// hand come out the same without it.
func (r *recognizer) pool(n *graph.Node) (afblock.Window, error) {
	bad := func(found string) (afblock.Window, error) {
		return afblock.Window{}, r.refuse(n, "a square, evenly padded 2-D pool", found, "")
	}
	kernel := n.AttrInts("kernel_shape")
	k, ok := square(kernel, 2)
	if !ok || kernel == nil {
		return bad(fmt.Sprintf("kernel %v", kernel))
	}
	stride, ok := square(n.AttrInts("strides"), 2)
	if !ok {
		return bad(fmt.Sprintf("strides %v", n.AttrInts("strides")))
	}
	for _, d := range n.AttrInts("dilations") {
		if d != 1 {
			return bad(fmt.Sprintf("dilations %v", n.AttrInts("dilations")))
		}
	}
	pad, ok := r.padding(n, k, stride)
	in, out := r.Dims(n.Input(0)), r.Dims(n.Output(0))
	if !ok || len(in) != 4 || len(out) != 4 {
		return bad(fmt.Sprintf("pads %v", n.AttrInts("pads")))
	}
	for i := 2; i < 4; i++ {
		if out[i] != (in[i]+2*pad-k)/stride+1 {
			return bad(fmt.Sprintf("size %d from %d (ceil_mode)", out[i], in[i]))
		}
	}
	r.progress++
	return afblock.Window{Kernel: int(k), Stride: int(stride), Pad: int(pad)}, nil
}
