package codegen_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify"
)

// spatial is the tolerance against PyTorch's logits of the network with cells.
// Without the cells logits move by 3.3 of their largest, with cells one pixel
// off by 0.07.
var spatial = verify.Tolerance{Name: "spatial", Scale: 1e-5}

// spatialFixture is a network with trained cells, and what PyTorch computes with it.
func spatialFixture(t *testing.T) (*afblock.Network, map[string]*graph.Tensor) {
	t.Helper()
	sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "spatial", "afr50_tsm_spatial_t4.pth.tar"))
	if err != nil {
		t.Fatal(err)
	}
	net, err := weights.FromStateDict(sd, weights.Options{ShiftDiv: 8, Size: [2]int{112, 112}, Grid: []int{4, 2, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return net, testutil.NPZ(t, testutil.Shared(t, "fixtures", "spatial", "afr50_tsm_spatial_t4.npz"))
}

// TestSpatialNetwork holds the lowerings of a network with trained cells to what
// PyTorch computes.
func TestSpatialNetwork(t *testing.T) {
	net, want := spatialFixture(t)
	for _, lowering := range []codegen.Lowering{codegen.Mask, codegen.Gather, codegen.Branch} {
		t.Run(string(lowering), func(t *testing.T) {
			r := open(t, net, codegen.Options{Lowering: lowering, MasksOutput: true})
			for batch := int64(1); batch <= 2; batch++ {
				out, err := r.session.RunNamed(context.Background(), map[string]*graph.Tensor{"video": firstRows(t, want["clip"], batch)})
				if err != nil {
					t.Fatal(err)
				}
				same(t, "masks", out[names.Masks], firstRows(t, want["masks"], batch), verify.Exact)
				same(t, "logits", out[afblock.DefaultOutput], firstRows(t, want["logits"], batch), spatial)
				for i := range net.Navigation() {
					cells := firstRows(t, want[fmt.Sprintf("spatial_%d", i)], batch)
					same(t, names.Cells(i), out[names.Cells(i)], ofSelected(t, cells, want["masks"], i), verify.Exact)
				}
			}
		})
	}
}

// ofSelected leaves of the cells [N, T, g, g] those of frames that masks
// [N, blocks, T] select for a block.
func ofSelected(t *testing.T, cells, masks *graph.Tensor, block int) *graph.Tensor {
	t.Helper()
	v, m := floats(t, cells), floats(t, masks)
	frames, each := int(cells.Dims[1]), int(cells.Dims[2]*cells.Dims[3])
	out := make([]float32, len(v))
	for i := range v {
		frame := i / each
		out[i] = v[i] * m[(frame/frames*int(masks.Dims[1])+block)*frames+frame%frames]
	}
	return graph.Float32s(cells.Dims, out...)
}

func floats(t *testing.T, x *graph.Tensor) []float32 {
	t.Helper()
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSpatialInterpreted holds the interpreter to the same: cells of every frame,
// selected or not.
func TestSpatialInterpreted(t *testing.T) {
	net, want := spatialFixture(t)
	n, err := interpret.New(net)
	if err != nil {
		t.Fatal(err)
	}
	clips := floats(t, want["clip"])
	var logits []float32
	for clip := range 2 {
		a, err := n.Clip(clips[clip*len(clips)/2:(clip+1)*len(clips)/2], 112, 112, interpret.Given{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range a.Scores[0] {
			logits = append(logits, float32(x))
		}
		for block, frames := range a.Cells {
			recorded := floats(t, want[fmt.Sprintf("spatial_%d", block)])
			recorded = recorded[clip*len(recorded)/2:]
			for f, cells := range frames {
				for i, on := range cells {
					if (recorded[f*len(cells)+i] == 1) != on {
						t.Errorf("clip %d, block %d, frame %d, cell %d: chosen %v", clip, block, f, i, on)
					}
				}
			}
		}
	}
	same(t, "logits", graph.Float32s(want["logits"].Dims, logits...), want["logits"], spatial)
}
