package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// mixLow is mix without its passes over the full map: averages and the gate's
// multiplication of a are made before a is enlarged. The average of an enlarged
// map is the map's own only where every pixel is repeated equally often.
func (b *builder) mixLow(a, f feature, gate *afblock.Gate, stage string) feature {
	if !b.opt.takes(LowGate) || !a.sized() || f.h%a.h != 0 || f.w%a.w != 0 {
		return b.mix(a, f, gate, stage)
	}
	hint := gateHint(stage)
	g, rest := b.gates(b.add(b.globalPool(a, hint("ample_pool")), b.globalPool(f, hint("focal_pool")), hint("pool")), gate, stage)
	a = b.layoutCast(a.with(b.node("Mul", hint("ample"), in(a.v, g))), hint("ample_cast"))
	a = b.upsample(a, f, stage+".upsample")
	f = b.layoutCast(f.with(b.node("Mul", hint("focal"), in(f.v, rest))), hint("focal_cast"))
	return b.relu(b.add(a, f, hint("mix")), hint("relu"))
}
