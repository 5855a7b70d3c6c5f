package afblock

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/afc-project/afc/graph"
)

// TestZeroResponse compares the border classes with F(0) computed at full
// size, on every map size up to 11: small maps have classes of their own, and
// with a stride the last window depends on the size's parity.
func TestZeroResponse(t *testing.T) {
	const tolerance = 1e-6 // float64 sums stored as float32
	for _, tc := range []struct {
		name    string
		kernels []int
		strides []int
		groups  int
	}{
		{"bottleneck", []int{1, 3, 1}, []int{1, 1, 1}, 2},
		{"bottleneck, stride in the 3×3", []int{1, 3, 1}, []int{1, 2, 1}, 1},
		{"bottleneck, caffe stride", []int{1, 3, 1}, []int{2, 1, 1}, 1},
		{"basic", []int{3, 3}, []int{1, 1}, 2},
		{"basic, stride 2", []int{3, 3}, []int{2, 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			var convs []*Conv
			for i, k := range tc.kernels {
				convs = append(convs, randomConv(rng, fmt.Sprint("conv", i), k, tc.strides[i], tc.groups))
			}
			blk := &Block{Key: "block", Main: Chain(ReLU, convs...)}
			for h := 1; h <= 11; h++ {
				for w := 1; w <= 11; w++ {
					z, err := blk.ZeroResponse(Size{h, w})
					if err != nil {
						t.Fatal(err)
					}
					full := fullZeroResponse(t, blk, h, w)
					if len(z.Rows) != full.h || len(z.Cols) != full.w {
						t.Fatalf("%d×%d: map is %d×%d, want %d×%d", h, w, len(z.Rows), len(z.Cols), full.h, full.w)
					}
					for c := range full.c {
						for y := range full.h {
							for x := range full.w {
								want := full.v[(c*full.h+y)*full.w+x]
								if got := float64(z.At(c, y, x)); math.Abs(got-want) > tolerance {
									t.Fatalf("%d×%d, channel %d, row %d, column %d: %g, want %g", h, w, c, y, x, got, want)
								}
							}
						}
					}
				}
			}
			z, err := blk.ZeroResponse(Size{56, 56})
			if err != nil {
				t.Fatal(err)
			}
			limit := int64(3)
			if len(tc.kernels) == 2 {
				limit = 5
			}
			if z.Values.Dims[2] > limit || z.Values.Dims[3] > limit {
				t.Errorf("56×56 keeps %v values; want at most %d rows and columns", z.Values.Dims, limit)
			}
		})
	}
}

// TestZeroResponseExcited: squeeze-and-excitation sees the whole map, so F(0)
// depends on its size: on odd ones too, and where the border's classes stand for
// very different numbers of pixels. What it sees is told by a full map.
func TestZeroResponseExcited(t *testing.T) {
	const tolerance = 1e-6 // float64 sums stored as float32
	rng := rand.New(rand.NewPCG(5, 6))
	for _, kernel := range []int{3, 5} {
		for _, stride := range []int{1, 2} {
			wide := randomConv(rng, "conv1", 1, 1, 2)
			deep := randomConv(rng, "conv2", kernel, stride, 4)
			narrow := randomConv(rng, "conv3", 1, 1, 2)
			excite := &SqueezeExcite{Linear{Weight: randomConv(rng, "", 1, 1, 1).Weight.Reshaped(4, 4)}, Linear{Weight: randomConv(rng, "", 1, 1, 1).Weight.Reshaped(4, 4)}}
			blk := &Block{Key: "block", Main: []Layer{wide, HSwish, deep, excite, HSwish, narrow}}
			for _, size := range []Size{{1, 1}, {2, 9}, {5, 5}, {6, 7}, {11, 4}, {13, 29}, {28, 28}, {57, 31}} {
				z, err := blk.ZeroResponse(size)
				if err != nil {
					t.Fatal(err)
				}
				full := fullZeroResponse(t, blk, size[0], size[1])
				for i, want := range full.v {
					c, y, x := i/(full.h*full.w), i/full.w%full.h, i%full.w
					if got := float64(z.At(c, y, x)); math.Abs(got-want) > tolerance {
						t.Fatalf("kernel %d, stride %d, %s, channel %d, row %d, column %d: %g, want %g", kernel, stride, size, c, y, x, got, want)
					}
				}
				if limit := int64(kernel + 1); z.Values.Dims[2] > limit && int64(full.h) > limit {
					t.Errorf("kernel %d, stride %d, %s keeps %v values", kernel, stride, size, z.Values.Dims)
				}
			}
		}
	}
}

func fullZeroResponse(t *testing.T, blk *Block, h, w int) *image {
	t.Helper()
	x := zeros(blk.In(), h, w)
	x.full = Size{h, w}
	m, err := blk.respond(x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func randomConv(rng *rand.Rand, key string, kernel, stride, groups int) *Conv {
	const channels = 4
	vector := func(n int, lo float64) *graph.Tensor {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(lo + rng.NormFloat64()*0.3)
		}
		return graph.Float32s([]int64{int64(n)}, v...)
	}
	w := vector(channels*channels/groups*kernel*kernel, 0)
	return &Conv{
		Key: key, Weight: w.Reshaped(channels, int64(channels/groups), int64(kernel), int64(kernel)), Bias: vector(channels, 0),
		Stride: stride, Pad: kernel / 2, Groups: groups,
		BN: &BatchNorm{Gamma: vector(channels, 1), Beta: vector(channels, 0), Mean: vector(channels, 0), Var: vector(channels, 3), Eps: 1e-5},
	}
}
