package train

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify/ort"
)

// How far weights may be from PyTorch's behind five updates, in L2 relative to the
// way that they went: in float64, where constants of the graph alone are float32,
// and in float32, whose weights are rounded.
const (
	updateTolerance        = 1e-6
	roundedUpdateTolerance = 3e-5
)

// TestUpdates holds both optimisers, with and without cutting the gradient's
// norm, to five updates of PyTorch's in float64 (testdata/update/make.py).
func TestUpdates(t *testing.T) {
	for _, kind := range []Optimizer{SGD, AdamW} {
		arrays := testutil.NPZ(t, filepath.Join("testdata", "update", string(kind)+".npz"))
		read := func(name string) []float64 { return wide(t, arrays[name]) }
		u := Update{Optimizer: kind, Decay: read("weight_decay")[0], ClipGradient: read("clip")[0]}
		if kind == SGD {
			u.Momentum = read("momentum")[0]
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Run("float64", func(t *testing.T) { followed(t, inFloat64(t, updates(t, u)), u, read, updateTolerance) })
			t.Run("ONNX Runtime", func(t *testing.T) {
				if _, err := ort.Version(); err != nil {
					t.Skip(err)
				}
				followed(t, onRuntime(t, updates(t, u)), u, read, roundedUpdateTolerance)
			})
		})
	}
}

// updates is an update alone, of the two tensors that were recorded, whose gradient
// is an input.
func updates(t *testing.T, u Update) *Step {
	t.Helper()
	m := graph.NewModel("update", graph.IRVersionOf(opset), opset)
	s := &stepWriter{
		forward: &forward{builder: &builder{m.Graph, map[string]*graph.Value{}}}, model: m,
		layout: &Layout{Weights: []Tensor{{Key: "a", Dims: []int64{3, 4}, Times: 1}, {Key: "b", Dims: []int64{5}, At: 12, Times: 10}}},
	}
	n := size(s.layout.Weights)
	weights, gradient := s.input(WeightsIn, n), s.input(GradientOut, n)
	norm := s.unary("Sqrt", "norm", s.squares(gradient))
	s.update(u, weights, gradient, norm)
	s.output(norm, FactsOut)
	if r := op.Infer(m); !r.OK() {
		t.Fatal(r)
	}
	return &Step{Model: m, Layout: s.layout}
}

func followed(t *testing.T, step runner, u Update, read func(string) []float64, tolerance float64) {
	t.Helper()
	start, norms, rates := read("start"), read("norms"), read("rates")
	n := len(start)
	now := stand{weights: start, moments: make([]float64, int(u.Moments())*n)}
	for i, rate := range rates {
		got := step(map[string][]float64{
			WeightsIn: now.weights, MomentsIn: now.moments, GradientOut: read("gradients")[i*n : (i+1)*n], RateIn: {rate},
			CorrectIn: wide(t, corrections(i+1)),
		})
		if e := math.Abs(got[FactsOut][0]/norms[i] - 1); !(e <= 1e-6) {
			t.Errorf("update %d: norm %g, recorded %g", i+1, got[FactsOut][0], norms[i])
		}
		now = after(got)
	}
	moved := func(x []float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = x[i] - start[i]
		}
		return v
	}
	last := read("after")[(len(rates)-1)*n:]
	d := apart(moved(now.weights), moved(last))
	t.Logf("off by %.2g of the way", d)
	if !(d <= tolerance) {
		t.Errorf("behind %d updates the weights are off by %.2g of the way they went", len(rates), d)
	}
}
