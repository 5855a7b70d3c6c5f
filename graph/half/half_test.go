package half

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestFloatToHalf holds rounding to its definition: of all halves the nearest,
// of two as near the even one; and every half is its own.
func TestFloatToHalf(t *testing.T) {
	for h := range 1 << 16 {
		x := graph.HalfToFloat(uint16(h))
		if got := graph.FloatToHalf(x); got != uint16(h) && x == x {
			t.Fatalf("%04x is %g and becomes %04x", h, x, got)
		}
		if x != x && !math.IsNaN(float64(graph.HalfToFloat(graph.FloatToHalf(x)))) {
			t.Fatalf("%04x is NaN and becomes %04x", h, graph.FloatToHalf(x))
		}
	}
	near := func(x float64, h uint16) float64 {
		y := float64(graph.HalfToFloat(h))
		if math.IsInf(y, 0) {
			y = math.Copysign(65536, y) // the next half, were there one
		}
		return math.Abs(y - x)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		bits := r.Uint32()
		if r.IntN(2) == 0 { // of half's own range, and often a tie
			bits = bits&^0x7f800000 | uint32(100+r.IntN(45))<<23
			bits &^= 1<<(10+r.IntN(13)) - 1
		}
		x := math.Float32frombits(bits)
		h := graph.FloatToHalf(x)
		if x != x {
			continue
		}
		if math.Abs(float64(x)) >= 65536 {
			if !math.IsInf(float64(graph.HalfToFloat(h)), 0) {
				t.Fatalf("%g becomes %04x", x, h)
			}
			continue
		}
		d := near(float64(x), h)
		for _, other := range []uint16{h - 1, h + 1} {
			if other&0x7fff > 0x7c00 || (other^h)&0x8000 != 0 {
				continue
			}
			if e := near(float64(x), other); e < d || e == d && h&1 == 1 {
				t.Fatalf("%g becomes %04x (off by %g); %04x is off by %g", x, h, d, other, e)
			}
		}
	}
}

// TestTensorTellsLoss: what rounding costs is counted.
func TestTensorTellsLoss(t *testing.T) {
	inf := float32(math.Inf(1))
	_, got, err := Tensor(graph.Float32s([]int64{9}, 0, 1, 0.1, 65504, 65519, 65520, inf, 1e-5, 1e-9))
	want := Loss{Elements: 9, Beyond: 1, Blurred: 2, Zeroed: 1}
	if err != nil || got != want {
		t.Errorf("got %+v, want %+v (%v)", got, want, err)
	}
}

func TestHoldsVariance(t *testing.T) {
	for _, tc := range []struct {
		v    float32
		eps  float32
		want bool
	}{{1, 1e-5, true}, {0, 1e-5, true}, {1e-3, 1e-5, true}, {3e-8, 1e-5, false}, {3e-8, 1e-3, true}, {1e6, 1e-5, false}, {float32(math.NaN()), 1e-5, false}} {
		if got, err := HoldsVariance(graph.Float32s([]int64{1}, tc.v), tc.eps); err != nil || got != tc.want {
			t.Errorf("variance %g beside %g: %v (%v)", tc.v, tc.eps, got, err)
		}
	}
}

// TestDrift counts roundings on the longest path, in bodies too.
func TestDrift(t *testing.T) {
	m := graph.NewModel("m", 8, 13)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float16, graph.ShapeOf(1)))
	cond := g.AddInput("c", graph.TensorType(graph.Bool, graph.ShapeOf()))
	y := g.NewNode("Sqrt", "s", []*graph.Value{g.NewNode("Relu", "r", []*graph.Value{x}, 1).Output(0)}, 1).Output(0)
	body := func(ops ...string) *graph.Graph {
		b := graph.NewGraph("b")
		v := y
		for _, op := range ops {
			v = b.NewNode(op, op, []*graph.Value{v}, 1).Output(0)
		}
		b.AddOutput(v)
		return b
	}
	n := g.NewNode("If", "if", []*graph.Value{cond}, 1, graph.Subgraph("then_branch", body("Exp", "Sqrt")), graph.Subgraph("else_branch", body("Identity")))
	g.AddOutput(n.Output(0))
	if got, want := Drift(g), 4*Unit*math.Sqrt(3); got != want {
		t.Errorf("drift %g, want %g", got, want)
	}
}
