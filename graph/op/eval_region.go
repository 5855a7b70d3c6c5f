package op

import (
	"errors"
	"fmt"

	"github.com/afc-project/afc/graph"
)

// EvalRegion computes the values to from known tensors for the values from,
// evaluating every node between them, and the constants that these read, once.
// An If whose condition comes out constant is followed into its branch. Values
// of from stand for themselves whatever makes them, so a region can be cut out
// of the middle of a network and run on any tensor of fitting shape: on a
// tensor of indices, a region that only moves data shows where it moves them.
//
// opt.MaxBytes bounds the bytes alive at one time. The error names the node
// that could not be evaluated, or the value that nothing computes.
func EvalRegion(from map[*graph.Value]*graph.Tensor, to []*graph.Value, opt EvalOptions) ([]*graph.Tensor, error) {
	if opt.MaxBytes == 0 {
		opt.MaxBytes = DefaultEvalBytes
	}
	r := &region{from: from, opt: opt, left: opt.MaxBytes, values: map[*graph.Value]*graph.Tensor{}, reads: map[*graph.Value]int{}, state: map[*graph.Node]visit{}}
	for _, v := range to {
		r.count(v)
	}
	out := make([]*graph.Tensor, len(to))
	for i, v := range to {
		if err := r.compute(v); err != nil {
			return nil, err
		}
		out[i] = r.known(v)
	}
	return out, nil
}

type visit int

const (
	unseen visit = iota
	counted
	open // waits for what it reads
	done
)

// region is one run of EvalRegion.
type region struct {
	from   map[*graph.Value]*graph.Tensor
	opt    EvalOptions
	left   int64 // bytes that may still be alive
	values map[*graph.Value]*graph.Tensor
	reads  map[*graph.Value]int // reads still to come of computed values
	state  map[*graph.Node]visit
}

// count notes how often the values that v is made from are read, so that they
// can be dropped after their last use.
func (r *region) count(v *graph.Value) {
	for stack := []*graph.Value{v}; len(stack) > 0; {
		v, stack = stack[len(stack)-1], stack[:len(stack)-1]
		r.reads[v]++
		n := v.Producer()
		if r.fixed(v) != nil || n == nil || r.state[n] != unseen {
			continue
		}
		r.state[n] = counted
		for _, in := range n.Inputs() {
			if in != nil {
				stack = append(stack, in)
			}
		}
		for _, g := range n.Subgraphs() {
			stack = append(stack, g.Outputs()...)
		}
	}
}

// fixed returns the tensor of a value that need not be computed.
func (r *region) fixed(v *graph.Value) *graph.Tensor {
	if t := r.from[v]; t != nil {
		return t
	}
	return v.Const()
}

func (r *region) known(v *graph.Value) *graph.Tensor {
	if t := r.fixed(v); t != nil {
		return t
	}
	return r.values[v]
}

// compute evaluates what v needs, depth first with a stack of its own: chains
// of nodes may be longer than recursion should go.
func (r *region) compute(v *graph.Value) error {
	if r.known(v) != nil {
		return nil
	}
	if v.Producer() == nil {
		return fmt.Errorf("value %q has no tensor and no node that makes it", v)
	}
	for stack := []*graph.Node{v.Producer()}; len(stack) > 0; {
		n := stack[len(stack)-1]
		if r.state[n] == done {
			stack = stack[:len(stack)-1]
			continue
		}
		needs, err := r.needs(n)
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		ready := true
		for _, in := range needs {
			if in == nil || r.known(in) != nil {
				continue
			}
			p := in.Producer()
			switch {
			case p == nil:
				return fmt.Errorf("%s: input %q has no tensor and no node that makes it", n, in)
			case r.state[p] == open:
				return fmt.Errorf("%s: stands in a cycle", p)
			case r.state[p] == done:
				return fmt.Errorf("%s: made no output %q", p, in)
			}
			stack, ready = append(stack, p), false
		}
		r.state[n] = open
		if !ready {
			continue
		}
		if err := r.node(n); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		r.state[n] = done
		stack = stack[:len(stack)-1]
	}
	return nil
}

// needs lists the values that must be known before n: its inputs, and for an
// If whose condition is known the outputs of the branch it takes.
func (r *region) needs(n *graph.Node) ([]*graph.Value, error) {
	if !n.Is("If") || len(n.Inputs()) != 1 || n.Inputs()[0] == nil || r.known(n.Inputs()[0]) == nil {
		return n.Inputs(), nil
	}
	g, err := r.branch(n)
	if err != nil {
		return nil, err
	}
	return g.Outputs(), nil
}

func (r *region) branch(n *graph.Node) (*graph.Graph, error) {
	cond, err := newArr(r.known(n.Inputs()[0]))
	if err != nil {
		return nil, err
	}
	if cond.dtype != graph.Bool || cond.n() != 1 {
		return nil, fmt.Errorf("condition is %s%v, expected one bool", cond.dtype, cond.dims)
	}
	name := "else_branch"
	if cond.b[0] != 0 {
		name = "then_branch"
	}
	a := n.Attr(name)
	if a == nil || a.Graph == nil || len(a.Graph.Outputs()) != len(n.Outputs()) {
		return nil, fmt.Errorf("has no %s with %d outputs", name, len(n.Outputs()))
	}
	return a.Graph, nil
}

func (r *region) node(n *graph.Node) error {
	var out []*graph.Tensor
	if n.Is("If") {
		g, err := r.branch(n)
		if err != nil {
			return err
		}
		for _, v := range g.Outputs() {
			out = append(out, r.known(v))
			r.read(v)
		}
	} else {
		in := make([]*graph.Tensor, len(n.Inputs()))
		for i, v := range n.Inputs() {
			if v != nil {
				in[i] = r.known(v)
			}
		}
		opt := r.opt
		if opt.MaxBytes = r.left; r.left <= 0 {
			return ErrTooLarge
		}
		var err error
		if out, err = evalNode(n, in, nil, opt); err != nil {
			return err
		}
	}
	for i, v := range n.Outputs() {
		if v == nil {
			continue
		}
		if out[i] == nil {
			return errors.New("has an output that is not computed")
		}
		r.values[v] = out[i]
		r.left -= size(out[i])
		if r.reads[v] == 0 {
			r.drop(v)
		}
	}
	for _, v := range n.Inputs() {
		if v != nil {
			r.read(v)
		}
	}
	return nil
}

// read notes that one of v's reads has happened.
func (r *region) read(v *graph.Value) {
	if r.reads[v]--; r.reads[v] == 0 {
		r.drop(v)
	}
}

func (r *region) drop(v *graph.Value) {
	if t := r.values[v]; t != nil {
		r.left += size(t)
		delete(r.values, v)
	}
}

// size is what a computed tensor takes.
func size(t *graph.Tensor) int64 {
	b, _ := t.Bytes() // in memory: reading cannot fail
	return int64(len(b))
}
