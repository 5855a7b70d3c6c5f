package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
)

// mixed emits a module's mix of the ends of its ample and its focal branch.
// blocked says that f is in ONNX Runtime's blocked layout.
func (b *builder) mixed(a, f feature, s *afblock.Stage, blocked bool) feature {
	if t := s.AF.Transform; t != nil {
		a = b.conv(a, convOf(t))
	}
	if !b.opt.takes(LowGate) || !a.sized() || f.h%a.h != 0 || f.w%a.w != 0 {
		return b.mix(a, f, s)
	}
	return b.mixLow(a, f, s, blocked)
}

// mix emits act(g·a + (1−g)·f), g the gate of GAP(a+f), as the
// authors' network spells it: everything at f's resolution.
func (b *builder) mix(a, f feature, s *afblock.Stage) feature {
	hint := gateHint(s.Name)
	a = b.upsample(a, f, s.Name+".upsample")
	g, rest := b.gates(b.globalPool(b.add(a, f, hint("sum")), hint("pool")), &s.AF.Gate, s.Name)
	y := b.node("Add", hint("mix"), in(
		b.node("Mul", hint("ample"), in(g, a.v)),
		b.node("Mul", hint("focal"), in(rest, f.v))))
	return b.act(f.with(y), s.AF.Act, names.Gate(s.Name))
}

// gateHint names the values of a stage's gate.
func gateHint(stage string) func(string) string {
	return func(s string) string { return names.Gate(stage) + "." + s }
}

// gates emits g and 1−g, [batch, c, 1, 1], of the average of both branches.
func (b *builder) gates(pooled feature, gate *afblock.Gate, stage string) (g, rest *graph.Value) {
	hint := gateHint(stage)
	g = b.node("Sigmoid", hint("gate"), in(b.gateLogits(pooled, gate)))
	g = b.reshape(g, hint("gate_map"), -1, int64(pooled.c), 1, 1)
	return g, b.node("Sub", hint("rest"), in(b.floats(1), g))
}

// gateLogits are excite(relu(squeeze(pooled))), [N·T, out].
func (b *builder) gateLogits(pooled feature, gate *afblock.Gate) *graph.Value {
	x := b.reshape(pooled.v, gate.Squeeze.Key+".in", -1, int64(pooled.c))
	x = b.linear(x, &gate.Squeeze)
	x = b.node("Relu", names.Relu(gate.Squeeze.Key), in(x))
	return b.linear(x, &gate.Excite)
}

// linear multiplies rows by the layer's weight.
func (b *builder) linear(x *graph.Value, l *afblock.Linear) *graph.Value {
	ins := in(x, b.weight(param{l.Key + ".weight", l.Weight}))
	if l.Bias != nil {
		ins = append(ins, b.weight(param{l.Key + ".bias", l.Bias}))
	}
	return b.node("Gemm", l.Key, ins, graph.Int("transB", 1))
}
