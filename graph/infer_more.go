package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rules of quantised operators and of others that video networks seldom have,
// so that their cost can be counted.

func inferDepthToSpace(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	b := c.int("blocksize", 0)
	if len(s) != 4 || b < 1 || b > 1<<15 {
		return fmt.Errorf("input has shape %s in blocks of %d, expected rank 4", s, b)
	}
	side, area := constExpr(b), constExpr(b*b)
	out := slices.Clone(s)
	if c.n.OpType == "DepthToSpace" {
		out[1], out[2], out[3] = dimExpr(s[1]).over(area).dim(), dimExpr(s[2]).mul(side).dim(), dimExpr(s[3]).mul(side).dim()
	} else {
		out[1], out[2], out[3] = dimExpr(s[1]).mul(area).dim(), dimExpr(s[2]).over(side).dim(), dimExpr(s[3]).over(side).dim()
	}
	for i, d := range out {
		if s[i].Known() && !d.Known() {
			return fmt.Errorf("input %s does not divide into blocks of %d", s, b)
		}
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferQuantize(c *inferCall) error {
	s, err := c.shape(0)
	elem := DataType(c.int("output_dtype", int64(Undefined)))
	switch {
	case c.has(2):
		elem = c.elem(2)
	case elem == Undefined:
		elem = Uint8
	}
	c.set(0, elem, s)
	return err
}

func inferDequantize(c *inferCall) error {
	s, err := c.shape(0)
	elem := DataType(c.int("output_dtype", int64(Undefined)))
	if elem == Undefined {
		elem = c.elem(1)
	}
	c.set(0, elem, s)
	return err
}

func inferDynamicQuantize(c *inferCall) error {
	s, err := c.shape(0)
	c.set(0, Uint8, s)
	c.set(1, Float32, ShapeOf())
	c.set(2, Uint8, ShapeOf())
	return err
}

// quantized says which inputs of a quantised product are its operands, and
// whether input 7 or 3 gives the output's type (otherwise it is int32).
var quantized = map[string]struct {
	weight int
	like   int // input of the output's type, -1 for int32
	plain  string
}{
	"ConvInteger":   {1, -1, "Conv"},
	"MatMulInteger": {1, -1, "MatMul"},
	"QLinearConv":   {3, 7, "Conv"},
	"QLinearMatMul": {3, 7, "MatMul"},
}

// inferQuantizedProduct is the rule of the unquantised operator on the
// operands.
func inferQuantizedProduct(c *inferCall) error {
	q := quantized[c.n.OpType]
	if !c.has(q.weight) {
		return fmt.Errorf("input %d is missing", q.weight)
	}
	inner := *c
	inner.in = []*fact{c.in[0], c.in[q.weight]}
	rule := inferMatMul
	if q.plain == "Conv" {
		rule = inferConv
	}
	err := rule(&inner)
	elem := Int32
	if q.like >= 0 {
		elem = c.elem(q.like)
	}
	c.set(0, elem, c.out[0].shape)
	return err
}

func inferCompress(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	a := c.attr("axis", AttrInt)
	if a == nil {
		c.set(0, c.elem(0), Shape{c.symbol()})
		return nil
	}
	s, err := c.shape(0)
	if err != nil {
		return err
	}
	k, err := axis(a.I, len(s))
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	out[k] = c.symbol()
	if keep := c.in[1].exprs(); keep != nil {
		n := constExpr(0)
		for _, e := range keep {
			n = n.add(e)
		}
		out[k] = n.dim()
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferRandom(c *inferCall) error {
	elem := DataType(c.int("dtype", int64(Undefined)))
	if len(c.in) == 0 {
		if elem == Undefined {
			elem = Float32
		}
		dims := c.ints("shape")
		if dims == nil {
			return errors.New("has no shape")
		}
		if _, err := numElements(dims); err != nil {
			return err
		}
		c.set(0, elem, ShapeOf(dims...))
		return nil
	}
	if elem == Undefined {
		elem = c.elem(0)
	}
	s, err := c.shape(0)
	c.set(0, elem, s)
	return err
}

// einsum is an Einsum equation with the dimension of every letter. An ellipsis
// stands for letters of its own.
type einsum struct {
	out   []string
	sizes map[string]Dim
	order []string // letters in order of their first use
}

// parseEinsum reads an equation for operands of the given shapes.
func parseEinsum(equation string, shapes []Shape) (*einsum, error) {
	equation = strings.ReplaceAll(equation, " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(shapes) {
		return nil, fmt.Errorf("equation %q has %d operands, the node %d", equation, len(terms), len(shapes))
	}
	e := &einsum{sizes: map[string]Dim{}}
	uses, dots := map[string]int{}, 0
	split := func(term string, rank int) ([]string, error) {
		before, after, ellipsis := strings.Cut(term, "...")
		letters := strings.Split(before, "")
		if before == "" {
			letters = nil
		}
		if ellipsis {
			n := rank - len(before) - len(after)
			if n < 0 {
				return nil, fmt.Errorf("equation %q does not fit the operands' ranks", equation)
			}
			for i := range n { // aligned at the end, as broadcasting is
				letters = append(letters, fmt.Sprintf("...%d", n-i))
			}
			dots = max(dots, n)
			if after != "" {
				letters = append(letters, strings.Split(after, "")...)
			}
		}
		return letters, nil
	}
	for i, term := range terms {
		letters, err := split(term, len(shapes[i]))
		if err != nil {
			return nil, err
		}
		if len(letters) != len(shapes[i]) {
			return nil, fmt.Errorf("term %q does not fit shape %s", term, shapes[i])
		}
		for k, l := range letters {
			d := shapes[i][k]
			if old, seen := e.sizes[l]; seen {
				if d, err = broadcastDim(old, d); err != nil {
					return nil, fmt.Errorf("letter %q: %w", l, err)
				}
			} else {
				e.order = append(e.order, l)
			}
			e.sizes[l] = d
			uses[l]++
		}
	}
	if explicit {
		var err error
		e.out, err = split(right, len(strings.ReplaceAll(right, "...", ""))+dots)
		if err != nil {
			return nil, err
		}
	} else {
		for i := dots; i > 0; i-- {
			e.out = append(e.out, fmt.Sprintf("...%d", i))
		}
		for _, l := range slices.Sorted(slices.Values(e.order)) {
			if uses[l] == 1 && !strings.HasPrefix(l, "...") {
				e.out = append(e.out, l)
			}
		}
	}
	for _, l := range e.out {
		if _, seen := e.sizes[l]; !seen {
			return nil, fmt.Errorf("equation %q makes %q of nothing", equation, l)
		}
	}
	return e, nil
}

func inferEinsum(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	var shapes []Shape
	for i := range c.in {
		s, err := c.shape(i)
		if err != nil {
			return err
		}
		shapes = append(shapes, s)
	}
	e, err := parseEinsum(c.str("equation", ""), shapes)
	if err != nil {
		return err
	}
	out := Shape{}
	for _, l := range e.out {
		out = append(out, e.sizes[l])
	}
	c.set(0, c.elem(0), out)
	return nil
}
