package passes

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestCorpus optimises every model of the ONNX backend corpus that is there,
// of any operator and of opset 9 or later, and runs those that take random
// float32 input before and after on ONNX Runtime.
func TestCorpus(t *testing.T) {
	compared := 0
	for _, path := range testutil.Corpus(t) {
		m, err := graph.ReadFile(path)
		if err != nil || graph.Check(m) != nil || m.Opset("") < oldestOpset {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			r, err := Optimize(m.Clone(), Options{Check: true, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if randomResults(m) {
				return
			}
			want, ok := tryRun(t, m, m)
			if !ok {
				return // of types, operators or sizes that random input does not fit
			}
			got, ok := tryRun(t, r.Model, m)
			if !ok {
				t.Fatal("it ran before optimising, not after")
			}
			compared++
			for i, v := range m.Graph.Outputs() {
				d, err := verify.Compare(v.Name(), got[i], want[i], verify.Reordered)
				if err != nil {
					t.Fatal(err)
				}
				if !d.OK() {
					t.Errorf("%s: %s %s", v.Name(), d.Figure(), d.Where())
				}
			}
		})
	}
	t.Logf("%d models compared on ONNX Runtime", compared)
	if _, err := ort.Version(); err == nil && compared == 0 {
		t.Error("no model was compared")
	}
}

// randomResults reports whether two runs of a model may differ.
func randomResults(m *graph.Model) bool {
	for n := range nodes(m) {
		if strings.HasPrefix(n.OpType, "Random") || n.Is("Bernoulli", "Multinomial") || n.Is("Dropout") && n.Input(2) != nil {
			return true
		}
	}
	return false
}

// tryRun runs m on random input for the inputs of like.
func tryRun(t *testing.T, m, like *graph.Model) ([]*graph.Tensor, bool) {
	t.Helper()
	for _, v := range like.Graph.Inputs() {
		if v.Type.Elem != graph.Float32 || !v.Type.IsTensor() || !v.Type.Shape.Ranked() {
			return nil, false
		}
	}
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1, OptLevel: ort.OptNone})
	if unavailable := (*ort.UnavailableError)(nil); errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Log(err)
		return nil, false
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var in []*graph.Tensor
	for _, v := range like.Graph.Inputs() {
		x := random(t, r, v.Type)
		if slices.ContainsFunc(s.Inputs(), func(io ort.IO) bool { return io.Name == v.Name() }) {
			in = append(in, x)
		}
	}
	out, err := s.Run(context.Background(), in...)
	if err != nil {
		t.Log(err)
		return nil, false
	}
	return out, true
}
