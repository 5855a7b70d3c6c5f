package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// mix emits relu(g·a + (1−g)·f), g = sigmoid(W2·relu(W1·GAP(a+f))), as the
// authors' network spells it: everything at f's resolution.
func (b *builder) mix(a, f feature, gate *afblock.Gate, stage string) feature {
	hint := func(s string) string { return stage + ".att_gen." + s }
	a = b.upsample(a, f, stage+".upsample")
	pooled := b.globalPool(b.add(a, f, hint("sum")), hint("pool"))
	g := b.node("Sigmoid", hint("gate"), in(b.gateLogits(pooled, gate)))
	g = b.reshape(g, hint("gate_map"), -1, int64(f.c), 1, 1)
	rest := b.node("Sub", hint("rest"), in(b.floats(1), g))
	y := b.node("Add", hint("mix"), in(
		b.node("Mul", hint("ample"), in(g, a.v)),
		b.node("Mul", hint("focal"), in(rest, f.v))))
	return b.relu(f.with(y), hint("relu"))
}

// gateLogits are W2·relu(W1·pooled), [N·T, out].
func (b *builder) gateLogits(pooled feature, gate *afblock.Gate) *graph.Value {
	x := b.reshape(pooled.v, gate.Key1+".in", -1, int64(pooled.c))
	x = b.linear(x, gate.Key1, gate.W1, gate.B1)
	x = b.node("Relu", gate.Key1+".relu", in(x))
	return b.linear(x, gate.Key2, gate.W2, gate.B2)
}

// linear multiplies rows by a weight [out, in].
func (b *builder) linear(x *graph.Value, key string, w, bias *graph.Tensor) *graph.Value {
	ins := in(x, b.weight(param{key + ".weight", w}))
	if bias != nil {
		ins = append(ins, b.weight(param{key + ".bias", bias}))
	}
	return b.node("Gemm", key, ins, graph.Int("transB", 1))
}

// mixLow is mix without its passes over the full map: averages and the gate's
// multiplication of a are made before a is enlarged. The average of an
// enlarged map is the map's own only where every pixel is repeated equally
// often.
func (b *builder) mixLow(a, f feature, gate *afblock.Gate, stage string) feature {
	if !a.sized() || f.h%a.h != 0 || f.w%a.w != 0 {
		return b.mix(a, f, gate, stage)
	}
	hint := func(s string) string { return stage + ".att_gen." + s }
	pooled := b.add(b.globalPool(a, hint("ample_pool")), b.globalPool(f, hint("focal_pool")), hint("pool"))
	g := b.node("Sigmoid", hint("gate"), in(b.gateLogits(pooled, gate)))
	g = b.reshape(g, hint("gate_map"), -1, int64(f.c), 1, 1)
	rest := b.node("Sub", hint("rest"), in(b.floats(1), g))
	a = b.layoutCast(a.with(b.node("Mul", hint("ample"), in(a.v, g))), hint("ample_cast"))
	a = b.upsample(a, f, stage+".upsample")
	f = f.with(b.node("Mul", hint("focal"), in(f.v, rest)))
	f = b.layoutCast(f, hint("focal_cast"))
	return b.relu(b.add(a, f, hint("mix")), hint("relu"))
}

// layoutCast is a depthwise convolution with ones: the identity, but ONNX
// Runtime takes it into its blocked layout and fuses a following Add and Relu.
func (b *builder) layoutCast(x feature, hint string) feature {
	ones := make([]float32, x.c)
	for i := range ones {
		ones[i] = 1
	}
	w := b.weight(param{"afc.ones_" + hint, graph.Float32s([]int64{int64(x.c), 1, 1, 1}, ones...)})
	return x.with(b.node("Conv", hint, in(x.v, w), graph.Ints("kernel_shape", 1, 1), graph.Int("group", int64(x.c))))
}
