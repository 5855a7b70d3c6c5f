package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
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
func (b *builder) mixLow(a, f feature, s *afblock.Stage, blocked bool) feature {
	gate, hint := &s.AF.Gate, gateHint(s.Name)
	pooled := b.add(b.globalPool(a, hint("ample_pool")), b.globalPool(f, hint("focal_pool")), hint("pool"))
	z := b.gateHidden(pooled, gate)
	last := gateConv(&gate.Excite)
	kernel := b.weight(last.weight)
	g := b.sigmoid(b.convWith(z, last, kernel), hint("gate"))
	var rest *graph.Value
	if blocked && gate.Excite.Bias == nil {
		negative := b.node("Neg", "afc."+gate.Excite.Key+".negative", in(kernel))
		r := b.sigmoid(b.convWith(z, last, negative), hint("rest"))
		rest = b.upsample(r, f, hint("rest_map")).v
	} else {
		rest = b.node("Sub", hint("rest"), in(b.floats(1), g.v))
	}
	return b.weighted(a, f, g, rest, s, hint("focal_cast"))
}

// weighted emits act(g·a + rest·f), where a is smaller than f.
func (b *builder) weighted(a, f, g feature, rest *graph.Value, s *afblock.Stage, cast string) feature {
	hint := gateHint(s.Name)
	a = a.with(b.node("Mul", hint("ample"), in(a.v, b.upsample(g, a, hint("gate_map")).v)))
	a = b.upsample(a, f, s.Name+".upsample")
	f = b.layoutCast(f.with(b.node("Mul", hint("focal"), in(f.v, rest))), cast)
	return b.act(b.add(a, f, hint("mix")), s.AF.Act, names.Gate(s.Name))
}

// gateHidden emits the gate's first layer, of maps of one pixel.
func (b *builder) gateHidden(pooled feature, gate *afblock.Gate) feature {
	return b.relu(b.conv(pooled, gateConv(&gate.Squeeze)), names.Relu(gate.Squeeze.Key))
}

// gateConv is a linear layer as a convolution of a map of one pixel; its matrix
// stands in the file as a kernel.
func gateConv(l *afblock.Linear) conv {
	c := conv{key: l.Key, weight: param{l.Key + ".weight", l.Weight.Reshaped(l.Weight.Dims[0], l.Weight.Dims[1], 1, 1)}, stride: 1, groups: 1}
	if l.Bias != nil {
		c.bias = &param{l.Key + ".bias", l.Bias}
	}
	return c
}

func (b *builder) sigmoid(x feature, hint string) feature {
	return x.with(b.node("Sigmoid", hint, in(x.v)))
}
