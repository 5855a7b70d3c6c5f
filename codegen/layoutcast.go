package codegen

import (
	"github.com/afc-project/afc/graph"
)

// layoutCast emits a depthwise convolution with ones: the identity, but ONNX
// Runtime takes it into its blocked layout and fuses a following Add and Relu,
// which it does with no product that broadcasts.
func (b *builder) layoutCast(x feature, hint string) feature {
	if !b.opt.takes(LayoutCast) {
		return x
	}
	ones := make([]float32, x.c)
	for i := range ones {
		ones[i] = 1
	}
	w := b.weight(param{"afc.ones_" + hint, graph.Float32s([]int64{int64(x.c), 1, 1, 1}, ones...)})
	return x.with(b.node("Conv", hint, in(x.v, w), graph.Ints("kernel_shape", 1, 1), graph.Int("group", int64(x.c))))
}
