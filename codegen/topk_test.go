package codegen_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// TestTopKWithinBudget: topk equals mask while no block selects more frames
// than its budget, and reports none dropped.
func TestTopKWithinBudget(t *testing.T) {
	for _, name := range []string{"tsn", "tsm", "zero"} {
		s := networks[slices.IndexFunc(networks, func(s spec) bool { return s.name == name })]
		s.frames = 6
		net := newNetwork(s)
		blocks := int64(0)
		for _, n := range s.af {
			blocks += int64(n - 1)
		}
		t.Run(s.name, func(t *testing.T) {
			reference := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true})
			r := open(t, net, codegen.Options{Lowering: codegen.TopK, MasksInput: true, Budget: []int{2}})
			for batch := int64(1); batch <= 3; batch += 2 {
				inputs := map[string]*graph.Tensor{
					"video":       clip(batch, s),
					names.MasksIn: masksOf(batch, blocks, int64(s.frames), 2),
				}
				want, _ := reference.run(t, inputs)
				out, err := r.session.RunNamed(context.Background(), inputs)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "logits", out[afblock.DefaultOutput], want, alike)
				none := graph.Float32s([]int64{batch, blocks}, make([]float32, batch*blocks)...)
				same(t, "dropped", out[names.Dropped], none, verify.Exact)
			}
		})
	}
}

// TestTopKDrops: beyond the budget topk computes the most certain frames, here
// with a difference of one frame to a mask that keeps only those.
func TestTopKDrops(t *testing.T) {
	s := networks[0]
	s.af, s.frames = []int{2}, 3
	net := newNetwork(s)
	masks := func(v ...float32) *graph.Tensor { return graph.Float32s([]int64{1, 1, 3}, v...) }
	reference := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksInput: true})
	r := open(t, net, codegen.Options{Lowering: codegen.TopK, MasksInput: true, Budget: []int{2}})
	// A mask input above 0.5 selects; how far above says how certain.
	want, _ := reference.run(t, map[string]*graph.Tensor{"video": clip(1, s), names.MasksIn: masks(1, 0, 1)})
	out, err := r.session.RunNamed(context.Background(), map[string]*graph.Tensor{
		"video": clip(1, s), names.MasksIn: masks(0.9, 0.6, 0.8),
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "logits", out[afblock.DefaultOutput], want, alike)
	same(t, "dropped", out[names.Dropped], graph.Float32s([]int64{1, 1}, 1), verify.Exact)
}

func TestBudgetRefused(t *testing.T) {
	net := newNetwork(networks[0])
	for _, budget := range [][]int{nil, {1, 2}, {0}, {5}} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			if _, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.TopK, Budget: budget}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// masksOf selects up to most frames of each block.
func masksOf(batch, blocks, frames int64, most int) *graph.Tensor {
	rng := rand.New(rand.NewPCG(9, uint64(batch)))
	v := make([]float32, batch*blocks*frames)
	for row := range batch * blocks {
		for _, i := range rng.Perm(int(frames))[:rng.IntN(most+1)] {
			v[row*frames+int64(i)] = 1
		}
	}
	return graph.Float32s([]int64{batch, blocks, frames}, v...)
}
