package afblock

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// shapes builds networks whose tensors have dimensions and no elements: all
// that counting looks at.
type shapes struct{ frames int }

func (shapes) conv(key string, out, in, k, stride, groups int) *Conv {
	return &Conv{
		Key: key, Stride: stride, Pad: k / 2, Groups: groups, BN: &BatchNorm{Gamma: vector(out), Beta: vector(out)},
		Weight: &graph.Tensor{DType: graph.Float32, Dims: []int64{int64(out), int64(in / groups), int64(k), int64(k)}},
	}
}

func vector(n int) *graph.Tensor { return &graph.Tensor{Dims: []int64{int64(n)}} }

func (s shapes) block(basic bool, in, out, stride, groups int, pool bool) *Block {
	b := &Block{Act: ReLU}
	if inner := out / 4; basic {
		b.Main = Chain(ReLU, s.conv("", out, in, 3, stride, groups), s.conv("", out, out, 3, 1, groups))
	} else {
		b.Main = Chain(ReLU, s.conv("", inner, in, 1, 1, groups), s.conv("", inner, inner, 3, stride, groups), s.conv("", out, inner, 1, 1, groups))
	}
	if pool && stride > 1 {
		b.Residual.Pool = ResidualPool(stride)
		stride = 1
	}
	if in != out || stride > 1 {
		b.Residual.Conv = s.conv("", out, in, 1, stride, 1)
	}
	return b
}

func (s shapes) network() *Network {
	return &Network{Shell: StandardShell{}, Frames: s.frames, Size: Size{224, 224}, Stem: Stem{Conv: *s.conv("conv1", 64, 3, 7, 2, 1), Act: ReLU, Pool: &Window{3, 2, 1}}}
}

func (s shapes) head(channels int) Head {
	return Head{FC: Linear{Key: "fc", Weight: &graph.Tensor{Dims: []int64{1000, int64(channels)}}, Bias: vector(1000)}}
}

// resnet is torchvision's ResNet.
func (s shapes) resnet(blocks []int, basic bool) *Network {
	net := s.network()
	in := 64
	for i, n := range blocks {
		out := 256 << i
		if basic {
			out = 64 << i
		}
		stage := &Stage{Name: fmt.Sprintf("layer%d", i+1)}
		for k := range n {
			stride := 1
			if k == 0 && i > 0 {
				stride = 2
			}
			stage.Blocks = append(stage.Blocks, s.block(basic, in, out, stride, 1, false))
			in = out
		}
		net.Stages = append(net.Stages, stage)
	}
	net.Head = s.head(in)
	return net
}

// afnet is the authors' AF-ResNet, α = G = 2.
func (s shapes) afnet(blocks []int) *Network {
	net := s.network()
	in := 64
	for i, n := range blocks {
		out := 256 << i
		stage := &Stage{Name: fmt.Sprintf("layer%d", i+1)}
		if i == 3 {
			for k := range n {
				stage.Blocks = append(stage.Blocks, s.block(false, in, out, max(1, 2-k), 1, true))
				in = out
			}
			net.Stages = append(net.Stages, stage)
			break
		}
		m := &AFModule{Alpha: 2, Groups: 2, Act: ReLU, Transform: s.conv("", out, out/2, 1, 1, 1), Fusion: s.block(false, out, out, []int{2, 2, 1}[i], 1, true)}
		m.Gate = Gate{
			Squeeze: Linear{Weight: &graph.Tensor{Dims: []int64{int64(out / 16), int64(out)}}},
			Excite:  Linear{Weight: &graph.Tensor{Dims: []int64{int64(out), int64(out / 16)}}},
		}
		a, f := in, in
		for k := range n - 1 {
			stride := 1
			if k == 0 {
				stride = 2
			}
			m.Navigation = append(m.Navigation, &Navigation{
				Look:   *s.conv("", 2, a, 1, 1, 1),
				Choice: Conv{Weight: &graph.Tensor{Dims: []int64{int64(2 * s.frames), 2, 1, 1}}, Bias: vector(2 * s.frames), Stride: 1, Groups: s.frames},
			})
			m.Ample = append(m.Ample, s.block(false, a, out/2, stride, 1, true))
			m.Focal = append(m.Focal, s.block(false, f, out, 1, 2, true))
			a, f = out/2, out
		}
		stage.AF = m
		net.Stages = append(net.Stages, stage)
		in = out
	}
	net.Head = s.head(in)
	return net
}

var (
	depth50  = []int{3, 4, 6, 3}
	depth101 = []int{4, 8, 18, 3} // as the authors have it
)

func costOf(t *testing.T, net *Network, opt CostOptions) *CostTable {
	t.Helper()
	c, err := net.Cost(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestResNetCost: published MACs a frame, and parameters, of the ImageNet
// ResNets (torchvision's model pages).
func TestResNetCost(t *testing.T) {
	for _, tc := range []struct {
		depth   int
		blocks  []int
		basic   bool
		gmacs   float64
		mparams float64 // 10⁶
	}{
		{18, []int{2, 2, 2, 2}, true, 1.814, 11.690}, {34, []int{3, 4, 6, 3}, true, 3.664, 21.798},
		{50, []int{3, 4, 6, 3}, false, 4.089, 25.557}, {101, []int{3, 4, 23, 3}, false, 7.801, 44.549}, {152, []int{3, 8, 36, 3}, false, 11.514, 60.193},
	} {
		c := costOf(t, shapes{1}.resnet(tc.blocks, tc.basic), CostOptions{})
		if got := c.Total().Count(CountMACs) / 1e9; math.Abs(got/tc.gmacs-1) > 0.005 {
			t.Errorf("ResNet-%d: %.3f G, published %.3f", tc.depth, got, tc.gmacs)
		}
		if got := float64(c.Params()) / 1e6; math.Abs(got-tc.mparams) > 0.0005 {
			t.Errorf("ResNet-%d: %.4f million parameters, published %.3f", tc.depth, got, tc.mparams)
		}
		if tc.depth == 50 {
			eight := costOf(t, shapes{1}.resnet(tc.blocks, tc.basic), CostOptions{Frames: 8}).Total()
			if got := eight.Count(CountMACs) / 1e9; math.Abs(got/32.7-1) > 0.005 {
				t.Errorf("8 frames of ResNet-50: %.2f G, published 32.7", got)
			}
		}
	}
}

// TestAuthorsImage: the authors report 2.9 G and 5.0 G a 224² image.
func TestAuthorsImage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		blocks []int
		gmacs  float64
	}{{"AF-ResNet50", depth50, 2.9}, {"AF-ResNet101", depth101, 5.0}} {
		got := costOf(t, shapes{1}.afnet(tc.blocks), CostOptions{}).Total().Count(CountAuthors) / 1e9
		if math.Abs(got-tc.gmacs) > 0.05 {
			t.Errorf("%s: %.3f G an image, reported %.1f", tc.name, got, tc.gmacs)
		}
	}
}

// TestPaperTable derives from each reported cost of AF-ResNet50 the share of
// frames it implies: a plausible one, and for each number of frames the larger
// the larger the target R_T was.
func TestPaperTable(t *testing.T) {
	for _, tc := range []struct {
		frames int
		gmacs  [2]float64 // at the smaller and the larger target
	}{{8, [2]float64{18.3, 19.5}}, {12, [2]float64{27.9, 31.7}}} {
		net := shapes{tc.frames}.afnet(depth50)
		none := costOf(t, net, CostOptions{Ratios: []float64{0}}).Total().Count(CountAuthors) / 1e9
		all := costOf(t, net, CostOptions{}).Total().Count(CountAuthors) / 1e9
		var implied [2]float64
		for i, g := range tc.gmacs {
			implied[i] = (g - none) / (all - none)
		}
		t.Logf("%d frames: %.1f G at none, %.1f G at all; %v G imply %.3f", tc.frames, none, all, tc.gmacs, implied)
		if !(0 < implied[0] && implied[0] < implied[1] && implied[1] < 1) {
			t.Errorf("%d frames: %v G imply the ratios %.3f", tc.frames, tc.gmacs, implied)
		}
	}
}

func TestCostRefuses(t *testing.T) {
	net := shapes{8}.afnet(depth50)
	for _, tc := range []struct {
		opt  CostOptions
		want string
	}{
		{CostOptions{Ratios: []float64{1, 0.5}}, "ratios for 2 blocks; the network has 10"},
		{CostOptions{Ratios: []float64{1.5}}, "ratio 1.5"},
		{CostOptions{Ratios: []float64{math.NaN()}}, "expected 0 to 1"},
		{CostOptions{Size: [2]int{0, 224}}, "give --frames and --size"},
	} {
		if _, err := net.Cost(tc.opt); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %q", tc.opt, err, tc.want)
		}
	}
}
