package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/sym"
)

// Rules of sequences, as torch.export writes them around a split. A sequence
// whose length is known is followed element by element.

// maxSequence bounds the sequences followed.
const maxSequence = 4096

func inferSplitToSequence(c *inferCall) error {
	c.out[0] = fact{other: true}
	s := c.shape(0)
	k := c.axis(c.int("axis", 0), len(s))
	sizes := c.list(1, "")
	if c.err != nil {
		return c.err
	}
	dropped := !c.has(1) && c.int("keepdims", 1) == 0 // runs of one lose their axis
	if !c.has(1) || len(c.in[1].shape) == 0 {
		each := sym.Const(1)
		if c.has(1) {
			each = sizes[0]
		}
		run, known := each.Const()
		if !known || run < 1 || !s[k].Known() || s[k].Size/run > maxSequence {
			return errors.New("how many pieces it makes is not known")
		}
		sizes = nil
		for left := s[k].Size; left > 0; left -= run {
			sizes = append(sizes, sym.Const(min(run, left)))
		}
	}
	c.out[0].seq = []*fact{}
	for _, e := range sizes {
		piece := slices.Clone(s)
		piece[k] = e.Dim()
		if dropped {
			piece = slices.Delete(piece, k, k+1)
		}
		c.out[0].seq = append(c.out[0].seq, &fact{elem: c.elem(0), shape: piece})
	}
	return nil
}

func inferSequenceConstruct(c *inferCall) error {
	c.out[0] = fact{other: true}
	for i, x := range c.in {
		if x == nil {
			return fmt.Errorf("input %d is missing", i)
		}
		c.out[0].seq = append(c.out[0].seq, x)
	}
	return nil
}

// sequence returns the elements of a sequence input.
func (c *inferCall) sequence(i int) []*fact {
	if c.in[i].seq == nil {
		c.fail(fmt.Errorf("the length of sequence %q is not known", c.n.Inputs()[i]))
	}
	return c.in[i].seq
}

func inferSequenceAt(c *inferCall) error {
	seq := c.sequence(0)
	at := c.numbers(1, "")
	if c.err != nil {
		return c.err
	}
	if len(at) != 1 {
		return errors.New("takes more than one position")
	}
	i, err := wrapIndex(at[0], int64(len(seq)))
	if err != nil {
		return err
	}
	c.out[0] = *seq[i]
	return nil
}

func inferSequenceLength(c *inferCall) error {
	c.set(0, graph.Int64, graph.ShapeOf())
	if seq := c.in[0].seq; seq != nil {
		c.out[0].elems = []*sym.Expr{sym.Const(int64(len(seq)))}
	}
	return nil
}

func inferConcatFromSequence(c *inferCall) error {
	seq := c.sequence(0)
	if c.err != nil {
		return c.err
	}
	if len(seq) == 0 {
		return errors.New("concatenates nothing")
	}
	k := c.int("axis", 0)
	for _, x := range seq {
		if x.shape == nil {
			return errors.New("the shape of a sequence's element is not known")
		}
	}
	sum := sym.Const(0)
	rank, fresh := len(seq[0].shape), c.int("new_axis", 0) != 0
	if fresh {
		rank++
	}
	a := c.axis(k, rank)
	if c.err != nil {
		return c.err
	}
	out := slices.Clone(seq[0].shape)
	for _, x := range seq {
		if len(x.shape) != len(out) {
			return fmt.Errorf("concatenates shapes %s and %s", out, x.shape)
		}
		if !fresh {
			sum = sum.Add(sym.Of(x.shape[a]))
		}
	}
	if fresh {
		out = slices.Insert(out, a, graph.D(int64(len(seq))))
	} else {
		out[a] = sum.Dim()
	}
	c.set(0, seq[0].elem, out)
	return nil
}
