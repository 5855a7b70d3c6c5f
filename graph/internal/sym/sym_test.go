package sym

import (
	"testing"

	"pgregory.net/rapid"
)

// genExpr draws an expression together with its value for the sizes.
func genExpr(sizes map[string]int64) *rapid.Generator[*Expr] {
	var gen func(depth int) *rapid.Generator[*Expr]
	gen = func(depth int) *rapid.Generator[*Expr] {
		return rapid.Custom(func(t *rapid.T) *Expr {
			if depth == 0 || rapid.Bool().Draw(t, "leaf") {
				if rapid.Bool().Draw(t, "number") {
					return Const(rapid.Int64Range(-9, 9).Draw(t, "n"))
				}
				return Symbol(rapid.SampledFrom([]string{"batch", "T", "num_crops * num_segs", "x-1 (old)"}).Draw(t, "symbol"))
			}
			a, b := gen(depth-1).Draw(t, "a"), gen(depth-1).Draw(t, "b")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				return a.Add(b)
			case 1:
				return a.Sub(b)
			case 2:
				return a.Mul(b)
			}
			return a.FloorDiv(rapid.Int64Range(1, 5).Draw(t, "q"))
		})
	}
	return gen(3)
}

// TestExprLaws: text reads back as the same expression, and arithmetic on
// expressions is arithmetic on their values.
func TestExprLaws(t *testing.T) {
	sizes := map[string]int64{"batch": 3, "T": 8, "num_crops * num_segs": 30, "x-1 (old)": 7}
	rapid.Check(t, func(t *rapid.T) {
		g := genExpr(sizes)
		a, b := g.Draw(t, "a"), g.Draw(t, "b")
		if a == nil || b == nil {
			t.Skip("forgotten: too long")
		}
		value := func(e *Expr) int64 {
			v, err := e.Value(sizes)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		x, y := value(a), value(b)
		if len(a.terms) > 0 {
			if back := Of(a.Dim()); !back.Equal(a) {
				t.Fatalf("%q reads back as %q", a, back)
			}
		}
		q := rapid.Int64Range(1, 6).Draw(t, "q")
		for _, c := range []struct {
			op   string
			got  *Expr
			want int64
		}{
			{"+", a.Add(b), x + y}, {"-", a.Sub(b), x - y}, {"*", a.Mul(b), x * y}, {"floor/", a.FloorDiv(q), floorQuo(x, q)},
		} {
			if c.got != nil && value(c.got) != c.want {
				t.Fatalf("(%s) %s (%s or %d) = %s, which is %d, want %d", a, c.op, b, q, c.got, value(c.got), c.want)
			}
		}
		if p := a.Mul(b); p != nil && y != 0 {
			if back := p.Over(b); back != nil && value(back) != x {
				t.Fatalf("(%s)/(%s) = %s, which is %d, want %d", p, b, back, value(back), x)
			}
		}
		if a.Equal(b) && x != y {
			t.Fatalf("%s and %s are said to be equal", a, b)
		}
		least := rapid.Int64Range(-20, 20).Draw(t, "least")
		if a.AtLeast(least) && x < least {
			t.Fatalf("%s is said to be at least %d, but is %d", a, least, x)
		}
	})
}

// TestExprText pins the text that lands in files as dimension names.
func TestExprText(t *testing.T) {
	n, h := Symbol("batch"), Symbol("H")
	crops := Symbol("num_crops * num_segs")
	for _, c := range []struct {
		e    *Expr
		want string
	}{
		{n.Mul(Const(8)), "8*batch"},
		{n.Mul(Const(8)).Over(Const(8)), "batch"},
		{n.Mul(h).Mul(h).Plus(-3), "H*H*batch-3"},
		{crops, "num_crops * num_segs"},
		{crops.Mul(Const(2)), "2*(num_crops * num_segs)"},
		{h.Plus(-1).FloorDiv(2).Plus(1), "floor((H+1)/2)"},
		{h.Mul(Const(4)).Plus(6).FloorDiv(4), "H+1"},
		{h.Plus(1).FloorDiv(2).Plus(1).FloorDiv(2), "floor((H+3)/4)"},
		{h.Sub(h), "0"},
		{n.Sub(h), "-H+batch"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	// Names that are no size, or have no text of their own as part of another.
	for _, s := range []string{"", "?", "-1", "7", "a)(b"} {
		if e := Symbol(s); e != nil {
			t.Errorf("symbol %q is taken for %s", s, e)
		}
	}
}
