package dataflow_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
	"github.com/afc-project/afc/graph/op"
)

var numNodes = flag.Int("nodes", 2000, "random nodes of each operator that TestTraceAgreesWithEval follows")

// leastFollowed is the share of an operator's random nodes that Trace must
// follow: refusing all of them is no agreement.
const leastFollowed = 0.35

// TestTraceAgreesWithEval holds Trace to the evaluator, which the ONNX backend
// tests hold to ONNX: for random nodes of every operator that moves data, on
// inputs whose elements all differ, what Trace says an element comes from is
// what the evaluator puts there.
func TestTraceAgreesWithEval(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(samples)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, uint64(len(kind))))
			valid, followed := 0, 0
			for try := 0; valid < *numNodes; try++ {
				if try > 20**numNodes {
					t.Fatalf("of %d nodes only %d are valid", try, valid)
				}
				s := newSample(rng)
				n := samples[kind](s)
				out, err := evaluate(s, n)
				if err != nil {
					continue
				}
				valid++
				moved, err := compare(s, n, out)
				if err != nil {
					t.Fatalf("node %d: %v\n%s", try, err, graph.Text(s.m))
				}
				if moved {
					followed++
				}
			}
			t.Logf("followed %d of %d", followed, valid)
			if float64(followed) < leastFollowed*float64(valid) {
				t.Errorf("follows %d of %d nodes only", followed, valid)
			}
		})
	}
}

// evaluate runs the sample's nodes.
func evaluate(s *sample, last *graph.Node) ([]*graph.Tensor, error) {
	known := maps.Clone(s.feeds)
	for n := range s.m.Graph.Nodes() {
		in := make([]*graph.Tensor, len(n.Inputs()))
		for i, v := range n.Inputs() {
			if in[i] = known[v]; in[i] == nil {
				in[i] = v.Const()
			}
		}
		out, err := op.Eval(n, in)
		if err != nil || n == last {
			return out, err
		}
		for i, v := range n.Outputs() {
			known[v] = out[i]
		}
	}
	panic("BUG: the last node is not there")
}

// compare follows some elements of the node's outputs, in any order, to an
// input or constant, and tests that it holds what the evaluator found. moved is
// false if an output is its own origin.
func compare(s *sample, n *graph.Node, out []*graph.Tensor) (moved bool, err error) {
	for _, v := range n.Outputs() {
		s.m.Graph.AddOutput(v)
	}
	a := dataflow.Analyze(s.m, nil)
	for i, v := range n.Outputs() {
		want := values(out[i])
		at := make([]int64, min(len(want), 60))
		for k := range at {
			at[k] = int64(s.IntN(len(want)))
		}
		copied := a.Model.Graph.Value(v.Name())
		cells := a.Trace(copied, at)
		for k, c := range cells {
			got := c.Val
			switch {
			case c.Base == copied:
				return false, nil
			case c.Base != nil:
				feed := s.feeds[s.m.Graph.Value(c.Base.Name())]
				if feed == nil {
					return false, fmt.Errorf("element %d of %q comes from %q", at[k], v, c.Base)
				}
				x := values(feed)
				if c.At < 0 || c.At >= int64(len(x)) {
					return false, fmt.Errorf("element %d of %q is element %d of %q, which has %d", at[k], v, c.At, c.Base, len(x))
				}
				got = x[c.At]
			}
			if got != want[at[k]] {
				return false, fmt.Errorf("element %d of %q is %v, evaluated %v", at[k], v, got, want[at[k]])
			}
		}
	}
	return true, nil
}

// values returns a tensor's elements, which the samples choose so that float64
// holds them.
func values(t *graph.Tensor) []float64 {
	wide, err := op.Cast(t, graph.Float64)
	if err != nil {
		panic(err)
	}
	b, err := wide.Bytes()
	if err != nil {
		panic(err)
	}
	x := make([]float64, len(b)/8)
	for i := range x {
		x[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return x
}
