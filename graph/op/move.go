package op

import (
	"github.com/afc-project/afc/graph"
)

// Piece says where some elements of a node's output come from.
type Piece struct {
	Which []int   // which of the elements asked for, ascending; nil: all of them
	Input int     // the input they are elements of, or Filled
	At    []int64 // which elements of it, row-major, one for each of Which
	Value float64 // what they are, where Input is Filled
}

// Filled stands for the input of elements that the operator itself fills in.
const Filled = -1

// Movement follows elements of a node's output, given by their row-major
// indices, to where the node takes them from. Every element asked for is in one
// piece. False: it does not move these, or not in a form that afc follows.
type Movement func(at []int64) ([]Piece, bool)

// Operands is what is known of the values around a node.
type Operands interface {
	// Dims returns a value's sizes, nil if not all are known.
	Dims(v *graph.Value) []int64
	// Constant returns what a value always holds, nil if it is not constant.
	Constant(v *graph.Value) *graph.Tensor
	// Elements returns elements of a value of numbers; false if one is not
	// constant. It serves values too large to be computed as a whole.
	Elements(v *graph.Value, at []int64) ([]float64, bool)
}

// Moves returns how a node makes one of its outputs by moving elements of its
// inputs unchanged, nil if it computes them. Casts between floating-point types
// count as movement: they change how finely numbers are written. Indices asked
// of the movement must be those of elements that the output has.
func Moves(n *graph.Node, output int, known Operands) Movement {
	op := operators[n.OpType]
	if op == nil || op.move == nil || op.move.follow == nil || !n.Is(n.OpType) || n.Output(output) == nil {
		return nil
	}
	c := &moveCall{opCall: opCall{n: n, opset: n.Opset()}, known: known, output: output}
	if _, err := c.check(len(n.Inputs())); err != nil {
		return nil
	}
	if c.out = known.Dims(n.Output(output)); c.out == nil {
		return nil
	}
	m := op.move.follow(c)
	if c.err != nil {
		return nil
	}
	return m
}

// movement is what the table knows of an operator that moves elements.
type movement struct {
	// data lists the inputs whose elements reach the outputs unchanged and whose
	// values decide nothing else; everyInput: all of them. Inference follows
	// symbolic elements through these by evaluating the node on numbers that
	// stand for them.
	data []int
	// follow finds how elements move, nil where afc does not follow them one by
	// one.
	follow func(*moveCall) Movement
}

var everyInput = []int{-1}

// moved reports whether input i is data that the operator only moves.
func (op *operator) moved(i int) bool {
	if op.move == nil {
		return false
	}
	for _, m := range op.move.data {
		if m == i || m == -1 {
			return true
		}
	}
	return false
}

// moveCall is the following of one output of a node.
type moveCall struct {
	opCall
	known  Operands
	output int
	out    []int64 // the output's sizes
}

// dims returns the sizes of input i, nil if they are not known.
func (c *moveCall) dims(i int) []int64 {
	if v := c.n.Input(i); v != nil {
		return c.known.Dims(v)
	}
	return nil
}

// list returns the integers of a constant input that was an attribute in
// earlier opsets; given is false where the node has neither.
func (c *moveCall) list(i int, name string) (x []int64, given, ok bool) {
	v := c.n.Input(i)
	if v == nil {
		x = c.ints(name)
		return x, x != nil, true
	}
	t := c.known.Constant(v)
	if t == nil {
		return nil, true, false
	}
	x, err := t.Int64s()
	return x, true, err == nil
}

// axis resolves attribute axis.
func (c *moveCall) axis(rank int) (int, bool) {
	k, err := axis(c.int("axis", 0), rank)
	return k, err == nil
}

// strided follows the element at coordinates x to the input's element
// base + Σ step[k]·x[k].
func (c *moveCall) strided(input int, base int64, step []int64) Movement {
	return c.each(input, func(x []int64) int64 {
		from := base
		for k, i := range x {
			from += i * step[k]
		}
		return from
	})
}

// each follows every element to the element of an input that from gives for
// its coordinates.
func (c *moveCall) each(input int, from func(x []int64) int64) Movement {
	st := graph.Strides(c.out)
	return func(at []int64) ([]Piece, bool) {
		to, x := make([]int64, len(at)), make([]int64, len(st))
		for i, a := range at {
			coordinates(a, st, x)
			to[i] = from(x)
		}
		return []Piece{{Input: input, At: to}}, true
	}
}

// coordinates takes a row-major index apart.
func coordinates(at int64, strides, x []int64) {
	for k, s := range strides {
		x[k] = at / s
		at -= x[k] * s
	}
}

// split sorts elements into those that an input has and those filled in, told
// by from, which is negative for the latter.
func (c *moveCall) split(input int, fill Piece, from func(x []int64) int64) Movement {
	st := graph.Strides(c.out)
	return func(at []int64) ([]Piece, bool) {
		x, taken := make([]int64, len(st)), Piece{Input: input}
		filled := fill
		for i, a := range at {
			coordinates(a, st, x)
			if f := from(x); f >= 0 {
				taken.Which, taken.At = append(taken.Which, i), append(taken.At, f)
			} else {
				filled.Which = append(filled.Which, i)
				if fill.Input != Filled {
					filled.At = append(filled.At, 0)
				}
			}
		}
		return pieces(taken, filled), true
	}
}

// pieces drops those without elements.
func pieces(all ...Piece) []Piece {
	out := all[:0]
	for _, p := range all {
		if len(p.Which) > 0 {
			out = append(out, p)
		}
	}
	return out
}
