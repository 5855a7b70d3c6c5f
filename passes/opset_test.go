package passes

import (
	"errors"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestSetOpsetRefuses: what an older opset cannot say is refused with operator and
// reason.
func TestSetOpsetRefuses(t *testing.T) {
	unary := func(op string, attrs ...*graph.Attribute) func(*builder) {
		return func(b *builder) { b.output(b.node(op, "y", values(b.input("x", 1, 5)), attrs...), 1, 5) }
	}
	for _, tc := range []struct {
		name     string
		from, to int64
		build    func(*builder)
		want     string
	}{
		{"operator", 20, 19, unary("Gelu"), "operator Gelu came with opset 20"},
		{"attribute", 15, 14, unary("Shape", graph.Int("start", 1)), `attribute "start"`},
		{"input", 18, 17, func(b *builder) {
			x := b.input("x", 1, 5)
			b.output(b.node("Pad", "y", values(x, b.vec("pads", 1, 1), nil, b.vec("axes", 1))), 1, 7)
		}, "Pad"},
		{"axes of a run", 18, 13, func(b *builder) {
			axes := b.g.AddInput("axes", graph.TensorType(graph.Int64, graph.ShapeOf(1)))
			b.output(b.node("ReduceMean", "y", values(b.input("x", 1, 5), axes)), 1, 1)
		}, "ReduceMean has axes that are computed at run time"},
		{"unequal parts", 18, 13, func(b *builder) {
			n := b.g.AddNode("Split", "", "parts", values(b.input("x", 1, 5)), []string{"a", "b"}, graph.Int("axis", 1), graph.Int("num_outputs", 2))
			b.output(n.Output(0), 1, 3)
			b.output(n.Output(1), 1, 2)
		}, "Split into 2 parts"},
		{"meaning", 21, 20, func(b *builder) {
			x := b.input("x", 1, 4, 2, 2)
			b.output(b.node("GroupNormalization", "y", values(x, b.weight("scale", 4), b.weight("bias", 4)), graph.Int("num_groups", 2)), 1, 4, 2, 2)
		}, "GroupNormalization changed its meaning"},
	} {
		b := newBuilder(tc.from)
		tc.build(b)
		if err := graph.Check(b.m); err != nil {
			t.Fatalf("%s: the test's own graph: %v", tc.name, err)
		}
		err := setOpset(&State{Model: b.m, opt: &Options{Opset: tc.to}})
		if refused := (*OpsetError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want a refusal about %q", tc.name, err, tc.want)
		}
	}
}
