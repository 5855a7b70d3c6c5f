package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// Rules of operators that cut tensors, join them, and repeat or pad them.

func inferConcat(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	first := c.shape(0)
	k := c.axis(c.int("axis", 1), len(first))
	if c.err != nil {
		return c.err
	}
	out, sum := slices.Clone(first), sym.Const(0)
	for i := range c.in {
		s := c.shape(i)
		c.sameElem(0, i)
		if c.err != nil {
			return c.err
		}
		if len(s) != len(out) {
			return fmt.Errorf("input %d has shape %s, expected rank %d", i, s, len(out))
		}
		for a, d := range s {
			switch {
			case a == k:
				sum = sum.Add(sym.Of(d))
			case out[a].Known() && d.Known() && out[a].Size != d.Size:
				return fmt.Errorf("input %d has shape %s, which does not fit %s along axis %d", i, s, first, k)
			case d.Known(), out[a].Param == "" && !out[a].Known():
				out[a] = d
			}
		}
	}
	out[k] = sum.Dim()
	c.set(0, c.elem(0), out)
	return nil
}

func inferSplit(c *inferCall) error {
	for i := range c.out {
		c.set(i, c.elem(0), nil)
	}
	s := c.shape(0)
	k := c.axis(c.int("axis", 0), len(s))
	parts := c.list(1, "split")
	if c.err != nil {
		return c.err
	}
	if parts == nil {
		count := int64(len(c.n.Outputs()))
		switch {
		case s[k].Known():
			sizes, err := splitSizes(&c.opCall, s[k].Size, nil)
			if err != nil {
				return err
			}
			for _, n := range sizes {
				parts = append(parts, sym.Const(n))
			}
		default:
			parts = slices.Repeat([]*sym.Expr{sym.Of(s[k]).Over(sym.Const(count))}, int(count))
		}
	}
	for i := range c.out {
		if i >= len(parts) {
			return fmt.Errorf("has %d outputs for %d parts", len(c.out), len(parts))
		}
		out := slices.Clone(s)
		out[k] = parts[i].Dim()
		c.set(i, c.elem(0), out)
	}
	return nil
}

func inferSlice(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	starts, ends := c.list(1, "starts"), c.list(2, "ends")
	axes := c.numbers(3, "axes")
	steps := c.list(4, "steps")
	if c.err != nil {
		return c.err
	}
	zeros := make([]int64, len(starts))
	if starts == nil {
		zeros = nil
	}
	at, _, err := sliceAxes(zeros, make([]int64, len(ends)), axes, nil, len(s))
	if err == nil && steps != nil && len(steps) != len(starts) {
		err = fmt.Errorf("has %d starts and %d steps", len(starts), len(steps))
	}
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	for i, k := range at {
		step := sym.Const(1)
		if steps != nil {
			step = steps[i]
		}
		out[k] = slicedDim(s[k], starts[i], ends[i], step)
	}
	c.set(0, c.elem(0), out)
	return nil
}

// slicedDim is the size that a slice leaves of a dimension.
func slicedDim(d graph.Dim, start, end, step *sym.Expr) graph.Dim {
	by, ok := step.Const()
	if !ok || by == 0 || start == nil || end == nil {
		return graph.Sym("")
	}
	from, okF := start.Const()
	to, okT := end.Const()
	if d.Known() && okF && okT {
		_, n := sliceSpan(d.Size, from, to, by)
		return graph.D(n)
	}
	size := sym.Of(d)
	if size == nil {
		return graph.Sym("")
	}
	if by == -1 && okF && okT && from == -1 && to < -int64(maxOpenEnd) {
		return d // reversed
	}
	if by < 1 {
		return graph.Sym("")
	}
	// Bring both ends to [0, size], as far as that can be decided.
	clamp := func(e *sym.Expr) *sym.Expr {
		if v, ok := e.Const(); ok {
			switch {
			case v >= maxOpenEnd:
				return size
			case v <= -maxOpenEnd:
				return sym.Const(0)
			case v < 0:
				e = size.Add(e)
			}
		}
		switch {
		case !e.AtLeast(0):
			return nil
		case size.Sub(e).AtLeast(0):
			return e
		case e.Sub(size).AtLeast(0):
			return size
		}
		return nil
	}
	length := clamp(end).Sub(clamp(start))
	if !length.AtLeast(0) {
		return graph.Sym("")
	}
	return length.Plus(by - 1).FloorDiv(by).Dim()
}

// maxOpenEnd is how far a slice's end must lie to mean "to the end" of a
// dimension whose size is not known: exporters write 2³¹−1 or 2⁶³−1.
const maxOpenEnd = 1<<31 - 1

func inferExpand(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	list := c.list(1, "")
	if c.err != nil {
		return c.err
	}
	for _, e := range list {
		if v, ok := e.Const(); ok && v < 0 {
			return fmt.Errorf("expands to the negative dimension %d", v)
		}
	}
	out, err := broadcastShapes(s, shapeFrom(list))
	c.set(0, c.elem(0), out)
	return err
}

func inferTile(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	times := c.list(1, "")
	if c.err != nil {
		return c.err
	}
	if len(times) != len(s) {
		return fmt.Errorf("has %d repeats for rank %d", len(times), len(s))
	}
	out := make(graph.Shape, len(s))
	for i, d := range s {
		out[i] = sym.Of(d).Mul(times[i]).Dim()
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferPad(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s := c.shape(0)
	if c.err != nil {
		return c.err
	}
	out := make(graph.Shape, len(s))
	for i := range out {
		out[i] = graph.Sym("")
	}
	pads, err := padAmounts(&c.opCall, func(i int, name string) ([]int64, error) { return c.numbers(i, name), c.err }, len(s))
	if err != nil {
		if c.opset >= 11 && c.constant(1) == nil {
			c.set(0, c.elem(0), out)
			c.err = nil
			return nil // pads of a run keep the rank
		}
		return err
	}
	for i, d := range s {
		out[i] = sym.Of(d).Plus(pads[i] + pads[i+len(s)]).Dim()
		if pads[i]+pads[i+len(s)] == 0 {
			out[i] = d
		}
		if d.Known() && !out[i].Known() {
			return fmt.Errorf("pads %v leave a negative size of %s", pads, s)
		}
	}
	c.set(0, c.elem(0), out)
	return nil
}

func inferGather(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, idx := c.shape(0), c.shape(1)
	k := c.axis(c.int("axis", 0), len(s))
	if c.err != nil {
		return c.err
	}
	c.set(0, c.elem(0), joinShape(s[:k], idx, s[k+1:]))
	return nil
}

func inferGatherElements(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	c.set(0, c.elem(0), c.shape(1))
	return c.err
}

func inferGatherND(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	s, idx := c.shape(0), c.shape(1)
	if c.err != nil {
		return c.err
	}
	batch, last := c.int("batch_dims", 0), len(idx)-1
	if last < 0 || !idx[last].Known() {
		return errors.New("the length of the index tuples is not known")
	}
	if batch < 0 || batch > int64(last) || batch+min(idx[last].Size, maxRank) > int64(len(s)) {
		return fmt.Errorf("indices %s do not index %s", idx, s)
	}
	c.set(0, c.elem(0), joinShape(idx[:last], s[batch+idx[last].Size:]))
	return nil
}

func inferCompress(c *inferCall) error {
	c.set(0, c.elem(0), nil)
	a := c.attr("axis", graph.AttrInt)
	if a == nil {
		c.set(0, c.elem(0), graph.Shape{c.symbol()})
		return nil
	}
	s := c.shape(0)
	k := c.axis(a.I, len(s))
	if c.err != nil {
		return c.err
	}
	out := slices.Clone(s)
	out[k] = c.symbol()
	if keep := c.in[1].exprs(); keep != nil {
		n := sym.Const(0)
		for _, e := range keep {
			n = n.Add(e)
		}
		out[k] = n.Dim()
	}
	c.set(0, c.elem(0), out)
	return nil
}
