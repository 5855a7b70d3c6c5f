package graph

import (
	"testing"

	"pgregory.net/rapid"
)

// genExpr draws an expression together with its value for the sizes.
func genExpr(sizes map[string]int64) *rapid.Generator[*expr] {
	var gen func(depth int) *rapid.Generator[*expr]
	gen = func(depth int) *rapid.Generator[*expr] {
		return rapid.Custom(func(t *rapid.T) *expr {
			if depth == 0 || rapid.Bool().Draw(t, "leaf") {
				if rapid.Bool().Draw(t, "number") {
					return constExpr(rapid.Int64Range(-9, 9).Draw(t, "n"))
				}
				return symbolExpr(rapid.SampledFrom([]string{"batch", "T", "num_crops * num_segs", "x-1 (old)"}).Draw(t, "symbol"))
			}
			a, b := gen(depth-1).Draw(t, "a"), gen(depth-1).Draw(t, "b")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				return a.add(b)
			case 1:
				return a.sub(b)
			case 2:
				return a.mul(b)
			}
			return a.floorDiv(rapid.Int64Range(1, 5).Draw(t, "q"))
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
		value := func(e *expr) int64 {
			v, err := e.value(sizes)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		x, y := value(a), value(b)
		if len(a.terms) > 0 {
			if back := dimExpr(a.dim()); !back.equal(a) {
				t.Fatalf("%q reads back as %q", a, back)
			}
		}
		q := rapid.Int64Range(1, 6).Draw(t, "q")
		for _, c := range []struct {
			op   string
			got  *expr
			want int64
		}{
			{"+", a.add(b), x + y}, {"-", a.sub(b), x - y}, {"*", a.mul(b), x * y}, {"floor/", a.floorDiv(q), floorQuo(x, q)},
		} {
			if c.got != nil && value(c.got) != c.want {
				t.Fatalf("(%s) %s (%s or %d) = %s, which is %d, want %d", a, c.op, b, q, c.got, value(c.got), c.want)
			}
		}
		if p := a.mul(b); p != nil && y != 0 {
			if back := p.over(b); back != nil && value(back) != x {
				t.Fatalf("(%s)/(%s) = %s, which is %d, want %d", p, b, back, value(back), x)
			}
		}
		if a.equal(b) && x != y {
			t.Fatalf("%s and %s are said to be equal", a, b)
		}
		least := rapid.Int64Range(-20, 20).Draw(t, "least")
		if a.atLeast(least) && x < least {
			t.Fatalf("%s is said to be at least %d, but is %d", a, least, x)
		}
	})
}

// TestExprText pins the text that lands in files as dimension names.
func TestExprText(t *testing.T) {
	n, h := symbolExpr("batch"), symbolExpr("H")
	crops := symbolExpr("num_crops * num_segs")
	for _, c := range []struct {
		e    *expr
		want string
	}{
		{n.mul(constExpr(8)), "8*batch"},
		{n.mul(constExpr(8)).over(constExpr(8)), "batch"},
		{n.mul(h).mul(h).plus(-3), "H*H*batch-3"},
		{crops, "num_crops * num_segs"},
		{crops.mul(constExpr(2)), "2*(num_crops * num_segs)"},
		{h.plus(-1).floorDiv(2).plus(1), "floor((H+1)/2)"},
		{h.mul(constExpr(4)).plus(6).floorDiv(4), "H+1"},
		{h.plus(1).floorDiv(2).plus(1).floorDiv(2), "floor((H+3)/4)"},
		{h.sub(h), "0"},
		{n.sub(h), "-H+batch"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	// Names that are no size, or have no text of their own as part of another.
	for _, s := range []string{"", "?", "-1", "7", "a)(b"} {
		if e := symbolExpr(s); e != nil {
			t.Errorf("symbol %q is taken for %s", s, e)
		}
	}
}
