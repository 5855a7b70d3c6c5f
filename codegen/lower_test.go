package codegen_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// authors is the tolerance against PyTorch's logits: float noise of a deep,
// narrow net. F(0), its border, the shift or the order of shift and mask left
// out moves them by 0.17 at least.
var authors = verify.Tolerance{Name: "authors", Scale: 3e-4}

// alike is the tolerance among lowerings: the same sums in another order.
var alike = verify.Tolerance{Name: "alike", Scale: 5e-6}

// runner is a lowered network on ONNX Runtime.
type runner struct {
	session *ort.Session
}

// open lowers the network and loads it; a warning of the runtime is a failure.
func open(t *testing.T, net *afblock.Network, opt codegen.Options) runner {
	t.Helper()
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, w := range s.Warnings {
		t.Errorf("ONNX Runtime warns: %s", w)
	}
	return runner{s}
}

// run computes logits and masks.
func (r runner) run(t *testing.T, inputs map[string]*graph.Tensor) (logits, masks *graph.Tensor) {
	t.Helper()
	out, err := r.session.RunNamed(context.Background(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	return out[afblock.DefaultOutput], out[names.Masks]
}

func same(t *testing.T, output string, got, want *graph.Tensor, tol verify.Tolerance) {
	t.Helper()
	d, err := verify.Compare(output, got, want, tol)
	if err != nil {
		t.Fatal(err)
	}
	if !d.OK() {
		t.Errorf("%s differ by %s, tolerance %s; worst %s", output, d.Figure(), tol, d.Where())
	}
}

// firstRows cuts a batch to its first n rows.
func firstRows(t *testing.T, x *graph.Tensor, n int64) *graph.Tensor {
	t.Helper()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	dims := append([]int64{n}, x.Dims[1:]...)
	y, err := graph.NewTensor(x.DType, dims, raw[:int64(len(raw))/x.Dims[0]*n])
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// TestAuthorsNetwork holds every lowering to what the authors' PyTorch code
// computes with the same checkpoint and clip.
func TestAuthorsNetwork(t *testing.T) {
	for _, tc := range []struct {
		name     string
		shiftDiv int
		tol      verify.Tolerance
	}{{"afr50_tsn_t4", 0, authors}, {"afr50_tsm_t8", 8, authors}, {"afmbv3_tsm_t4", 0, verify.Tolerance{Name: "authors", Scale: 1e-5}}} {
		sd, err := checkpoint.Read(testutil.Shared(t, "fixtures", "afnet", tc.name+".pth.tar"))
		if err != nil {
			t.Fatal(err)
		}
		want := testutil.NPZ(t, testutil.Shared(t, "fixtures", "afnet", tc.name+".npz"))
		side := int(want["clip"].Dims[4])
		for _, size := range [][2]int{{side, side}, {0, 0}} {
			net, err := weights.FromStateDict(sd, weights.Options{ShiftDiv: tc.shiftDiv, Size: size})
			if err != nil {
				t.Fatal(err)
			}
			for _, lowering := range codegen.Lowerings {
				t.Run(fmt.Sprintf("%s/%d/%s", tc.name, size[0], lowering), func(t *testing.T) {
					if size[0] == 0 && !anySize(lowering) {
						t.Skip("needs to know the size")
					}
					r := open(t, net, codegen.Options{Lowering: lowering, MasksOutput: true, Budget: []int{net.Frames}})
					for batch := int64(1); batch <= 2; batch++ {
						logits, masks := r.run(t, map[string]*graph.Tensor{"video": firstRows(t, want["clip"], batch)})
						same(t, "masks", masks, firstRows(t, want["masks"], batch), verify.Exact)
						same(t, "logits", logits, firstRows(t, want["logits"], batch), tc.tol)
					}
				})
			}
		}
	}
}

// anySize reports whether the lowering takes networks of open height and width.
func anySize(l codegen.Lowering) bool { return l == codegen.Mask || l == codegen.Gather }

var networks = []spec{
	{name: "tsn", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{3, 4, 6}, plain: []int{3}},
	{name: "tsm", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{3, 3, 3}, plain: []int{1}, shift: true},
	{name: "tsm, past first", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{3, 3, 3}, plain: []int{1}, shift: true, pastFirst: true},
	{name: "tsm, past first, any size", frames: 4, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true, pastFirst: true},
	{name: "tsm, shift before the block", frames: 3, size: [2]int{32, 32}, width: 16, af: []int{3, 3}, plain: []int{1}, shift: true, residual: true},
	{name: "tsn, large maps", frames: 2, size: [2]int{144, 128}, width: 8, af: []int{3, 4, 6}, plain: []int{1}, dense: true},
	{name: "tsm, large maps", frames: 3, size: [2]int{128, 144}, width: 8, af: []int{3, 3, 3}, plain: []int{2}, shift: true},
	{name: "basic blocks", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{2, 2, 2}, plain: []int{2}, basic: true},
	{name: "basic blocks with shift", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{2, 3}, plain: []int{1}, basic: true, shift: true},
	{name: "two-block stages", frames: 5, size: [2]int{64, 64}, width: 8, af: []int{2, 2, 2}, plain: []int{2}},
	{name: "odd maps", frames: 4, size: [2]int{90, 118}, width: 8, af: []int{3, 3, 3}, plain: []int{1}, dense: true},
	{name: "odd maps with shift", frames: 4, size: [2]int{90, 118}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true},
	{name: "tiny maps", frames: 2, size: [2]int{12, 20}, width: 8, af: []int{3, 3, 3}, plain: []int{1}},
	{name: "one frame", frames: 1, size: [2]int{32, 32}, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true},
	{name: "any size", frames: 4, width: 8, af: []int{3, 3}, plain: []int{1}, dense: true},
	{name: "any size with shift", frames: 4, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true},
	{name: "zero", frames: 4, size: [2]int{64, 64}, width: 8, af: []int{3, 3}, plain: []int{1}, unselected: afblock.UnselectedZero},
	{name: "zero with shift, any size", frames: 4, width: 8, af: []int{3, 3}, plain: []int{1}, shift: true, unselected: afblock.UnselectedZero},
	{name: "dense focal", frames: 4, size: [2]int{64, 64}, width: 16, af: []int{3, 3}, plain: []int{1}, groups: 1},
	{name: "the source's strides", frames: 3, size: [2]int{96, 64}, width: 8, af: []int{4, 4, 3}, plain: []int{1}, ownStrides: true},
	{name: "the source's strides, shift", frames: 3, size: [2]int{96, 64}, width: 8, af: []int{4, 3}, plain: []int{1}, shift: true, ownStrides: true},
}

// TestLoweringsAgree compares the lowerings with mask on masks of every kind.
func TestLoweringsAgree(t *testing.T) {
	for _, s := range networks {
		net := newNetwork(s)
		blocks := 0
		for _, n := range s.af {
			blocks += n - 1
		}
		t.Run(s.name, func(t *testing.T) {
			reference := open(t, net, codegen.Options{Lowering: codegen.Mask, MasksOutput: true, MasksInput: true})
			for _, lowering := range codegen.Lowerings[1:] {
				t.Run(string(lowering), func(t *testing.T) {
					if s.size[0] == 0 && !anySize(lowering) {
						t.Skip("needs to know the size")
					}
					r := open(t, net, codegen.Options{Lowering: lowering, MasksOutput: true, MasksInput: true, Budget: []int{s.frames}})
					for _, batch := range []int64{1, 3} {
						for _, kind := range maskKinds {
							t.Run(fmt.Sprintf("batch %d %s", batch, kind.name), func(t *testing.T) {
								inputs := map[string]*graph.Tensor{
									"video":       clip(batch, s),
									names.MasksIn: kind.masks(batch, int64(blocks), int64(s.frames)),
								}
								want, wantMasks := reference.run(t, inputs)
								got, gotMasks := r.run(t, inputs)
								same(t, "masks", gotMasks, inputs[names.MasksIn], verify.Exact)
								same(t, "masks of mask", wantMasks, inputs[names.MasksIn], verify.Exact)
								same(t, "logits", got, want, alike)
							})
						}
					}
				})
			}
		})
	}
}

// maskKind is a way to select frames.
type maskKind struct {
	name string
	keep func(rng *rand.Rand, clip int64) bool
}

var maskKinds = []maskKind{
	{"none", func(*rand.Rand, int64) bool { return false }},
	{"all", func(*rand.Rand, int64) bool { return true }},
	{"mixed", func(rng *rand.Rand, _ int64) bool { return rng.Float32() < 0.4 }},
	{"none in the first clip", func(rng *rand.Rand, clip int64) bool { return clip > 0 && rng.Float32() < 0.5 }},
}

func (k maskKind) masks(batch, blocks, frames int64) *graph.Tensor {
	rng := rand.New(rand.NewPCG(5, uint64(batch)))
	v := make([]float32, 0, batch*blocks*frames)
	for n := range batch {
		for range blocks * frames {
			bit := float32(0)
			if k.keep(rng, n) {
				bit = 1
			}
			v = append(v, bit)
		}
	}
	return graph.Float32s([]int64{batch, blocks, frames}, v...)
}

func clip(batch int64, s spec) *graph.Tensor {
	h, w := int64(s.size[0]), int64(s.size[1])
	if h == 0 {
		h, w = 70, 54
	}
	rng := rand.New(rand.NewPCG(3, uint64(batch)))
	v := make([]float32, batch*int64(s.frames)*3*h*w)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return graph.Float32s([]int64{batch, int64(s.frames), 3, h, w}, v...)
}

// TestSameBytes: the same network gives the same file.
func TestSameBytes(t *testing.T) {
	for _, s := range networks[:2] {
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s %s", s.name, lowering), func(t *testing.T) {
				var files [2][]byte
				for i := range files {
					m, _, err := codegen.Lower(newNetwork(s), codegen.Options{Lowering: lowering, MasksOutput: true, Budget: []int{2}})
					if err != nil {
						t.Fatal(err)
					}
					if files[i], err = graph.EncodeBytes(m); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(files[0], files[1]) {
					t.Errorf("two files of one network differ: %d and %d bytes", len(files[0]), len(files[1]))
				}
			})
		}
	}
}

// TestClipsStayApart: a clip of NaNs changes nothing in the clips beside it.
func TestClipsStayApart(t *testing.T) {
	for _, s := range []spec{networks[0], networks[1]} {
		net := newNetwork(s)
		for _, lowering := range codegen.Lowerings {
			t.Run(fmt.Sprintf("%s/%s", s.name, lowering), func(t *testing.T) {
				r := open(t, net, codegen.Options{Lowering: lowering, Budget: budgetFor(lowering, s.frames)})
				x := clip(3, s)
				want, _ := r.run(t, map[string]*graph.Tensor{afblock.DefaultInput: x})
				values, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				values = slices.Clone(values)
				for i := range len(values) / 3 {
					values[len(values)/3+i] = float32(math.NaN())
				}
				got, _ := r.run(t, map[string]*graph.Tensor{afblock.DefaultInput: graph.Float32s(x.Dims, values...)})
				for _, row := range []int64{0, 2} {
					same(t, fmt.Sprintf("logits of clip %d", row), oneRow(t, got, row), oneRow(t, want, row), alike)
				}
			})
		}
	}
}

// oneRow cuts a row out of a batch.
func oneRow(t *testing.T, x *graph.Tensor, row int64) *graph.Tensor {
	t.Helper()
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(raw)) / x.Dims[0]
	y, err := graph.NewTensor(x.DType, append([]int64{1}, x.Dims[1:]...), raw[row*size:(row+1)*size])
	if err != nil {
		t.Fatal(err)
	}
	return y
}
