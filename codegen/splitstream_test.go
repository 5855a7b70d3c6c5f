package codegen_test

import (
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

func TestSplitStreamAgrees(t *testing.T) {
	base := spec{frames: 4, size: [2]int{32, 48}, width: 8, plain: []int{2, 3}, shift: true}
	with := func(name string, change func(*spec)) spec {
		s := base
		change(&s)
		s.name = name
		return s
	}
	everySecond := func(net *afblock.Network) {
		for _, st := range net.Stages {
			for i, blk := range st.Blocks {
				if i%2 == 1 {
					blk.Shift = nil
				}
			}
		}
	}
	for _, tc := range []struct {
		spec
		change func(*afblock.Network)
	}{
		{spec: with("bottleneck", func(*spec) {})},
		{spec: with("biased", func(*spec) {}), change: biased},
		{spec: with("basic", func(s *spec) { s.basic = true })},
		{spec: with("shifted residual", func(s *spec) { s.residual = true })},
		{spec: with("past first", func(s *spec) { s.pastFirst = true })},
		{spec: with("no shift", func(s *spec) { s.shift = false })},
		{spec: with("one frame", func(s *spec) { s.frames = 1 })},
		{spec: with("any size", func(s *spec) { s.size = [2]int{} })},
		{spec: with("every second block", func(s *spec) { s.plain = []int{4, 5} }), change: everySecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			net := newNetwork(tc.spec)
			if tc.change != nil {
				tc.change(net)
			}
			whole := open(t, net, codegen.Options{Lowering: codegen.Mask})
			m, err := codegen.LowerPlain(net)
			if err != nil {
				t.Fatal(err)
			}
			if err := graph.Check(m); err != nil {
				t.Fatal(err)
			}
			s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, w := range s.Warnings {
				t.Errorf("ONNX Runtime warns: %s", w)
			}
			for _, batch := range []int64{1, 2} {
				in := map[string]*graph.Tensor{afblock.DefaultInput: clip(batch, tc.spec)}
				want, _ := whole.run(t, in)
				got, _ := runner{s}.run(t, in)
				same(t, fmt.Sprintf("logits of batch %d", batch), got, want, alike)
			}
		})
	}
}

// TestSplitStreamRefuses: what cannot be split is refused before anything is
// built.
func TestSplitStreamRefuses(t *testing.T) {
	plain := spec{name: "plain", frames: 4, size: [2]int{32, 32}, width: 8, plain: []int{2}, shift: true}
	af := plain
	af.af = []int{3}
	for name, net := range map[string]*afblock.Network{
		"AF module": newNetwork(af),
	} {
		if m, err := codegen.LowerPlain(net); err == nil {
			t.Errorf("%s: lowered to %d nodes", name, m.Graph.NumNodes())
		}
	}
}
