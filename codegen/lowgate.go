package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// mixLow is mix without its passes over the full map: averages and the gate's
// multiplication of a are made before a is enlarged. The average of an enlarged
// map is the map's own only where every pixel is repeated equally often.
//
// The gate is made of convolutions, and spread over a map as large as a: that
// way it and its product with a keep ONNX Runtime's blocked layout, in which no
// product broadcasts. So is 1−g = sigmoid(−logits) for f, if f is in that layout;
// if not, a product that broadcasts is the cheaper one.
func (b *builder) mixLow(a, f feature, gate *afblock.Gate, stage string, blocked bool) feature {
	hint := gateHint(stage)
	pooled := b.add(b.globalPool(a, hint("ample_pool")), b.globalPool(f, hint("focal_pool")), hint("pool"))
	z := b.relu(b.linearMap(pooled, gate.Key1, b.onePixel(gate.Key1, gate.W1), int(gate.W1.Dims[0]), gate.B1), gate.Key1+".relu")
	w2 := b.onePixel(gate.Key2, gate.W2)
	g := b.sigmoid(b.linearMap(z, gate.Key2, w2, a.c, gate.B2), hint("gate"))
	var rest *graph.Value
	if blocked && gate.B2 == nil {
		negative := b.node("Neg", "afc."+gate.Key2+".negative", in(w2))
		r := b.sigmoid(b.linearMap(z, gate.Key2+".rest", negative, a.c, nil), hint("rest"))
		rest = b.upsample(r, f, hint("rest_map")).v
	} else {
		rest = b.node("Sub", hint("rest"), in(b.floats(1), g.v))
	}
	a = a.with(b.node("Mul", hint("ample"), in(a.v, b.upsample(g, a, hint("gate_map")).v)))
	a = b.upsample(a, f, stage+".upsample")
	f = b.layoutCast(f.with(b.node("Mul", hint("focal"), in(f.v, rest))), hint("focal_cast"))
	return b.relu(b.add(a, f, hint("mix")), hint("relu"))
}

// onePixel views the matrix of a linear layer as the kernel of a convolution.
func (b *builder) onePixel(key string, w *graph.Tensor) *graph.Value {
	return b.view(param{key + ".weight", w}, w.Dims[0], w.Dims[1], 1, 1)
}

// linearMap is linear on a map of one pixel: a convolution with a kernel that
// makes out channels.
func (b *builder) linearMap(x feature, key string, kernel *graph.Value, out int, bias *graph.Tensor) feature {
	ins := in(x.v, kernel)
	if bias != nil {
		ins = append(ins, b.weight(param{key + ".bias", bias}))
	}
	return feature{v: b.node("Conv", key, ins, windowAttrs(1, 1, 0)...), c: out, h: 1, w: 1}
}

func (b *builder) sigmoid(x feature, hint string) feature {
	return x.with(b.node("Sigmoid", hint, in(x.v)))
}
