package aftest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Plain is a plain network for tests.
type Plain struct {
	Name      string
	Blocks    []int
	Basic     bool
	Folded    bool // batch norm folded into biases
	Caffe     bool // stride in the first 1×1 convolution
	Shift     bool
	PastFirst bool // the first channels come from the frame before
	Residual  bool // the shift feeds the residual path, too
	Frames    int
}

// Network makes it with seeded weights that keep activations near 1.
func (s Plain) Network() *afblock.Network {
	rng := rand.New(rand.NewPCG(1, uint64(len(s.Name))))
	const width = 16
	conv := func(key string, out, in, k, stride int) *afblock.Conv {
		w := make([]float32, out*in*k*k)
		for i := range w {
			w[i] = float32(rng.NormFloat64() / math.Sqrt(float64(in*k*k)))
		}
		around := func(centre, spread float64) *graph.Tensor {
			v := make([]float32, out)
			for i := range v {
				v[i] = float32(centre + spread*(rng.Float64()-0.5))
			}
			return graph.Float32s([]int64{int64(out)}, v...)
		}
		c := &afblock.Conv{Key: key, Weight: graph.Float32s([]int64{int64(out), int64(in), int64(k), int64(k)}, w...), Stride: stride, Pad: k / 2, Groups: 1}
		if c.Bias = around(0, 0.2); !s.Folded {
			c.Bias = nil
			c.BN = &afblock.BatchNorm{Key: key + "_bn", Eps: 1e-5, Gamma: around(1, 0.2), Beta: around(0, 0.2), Mean: around(0, 0.2), Var: around(1, 0.2)}
		}
		return c
	}
	net := &afblock.Network{Shell: afblock.StandardShell{}, Frames: s.Frames, Stem: afblock.Stem{Conv: *conv("stem", width, 3, 7, 2), Act: afblock.ReLU, Pool: &afblock.Window{Kernel: 3, Stride: 2, Pad: 1}}}
	in := width
	for i, blocks := range s.Blocks {
		planes, out := width<<i, 4*width<<i
		if s.Basic {
			out = planes
		}
		stage := &afblock.Stage{Name: fmt.Sprintf("stage%d", i)}
		for n := range blocks {
			stride := 1
			if n == 0 && i > 0 {
				stride = 2
			}
			key := fmt.Sprintf("s%d.%d", i, n)
			b := &afblock.Block{Key: key, Act: afblock.ReLU}
			switch {
			case s.Basic:
				b.Main = afblock.Chain(afblock.ReLU, conv(key+".a", out, in, 3, stride), conv(key+".b", out, out, 3, 1))
			case s.Caffe:
				b.Main = afblock.Chain(afblock.ReLU, conv(key+".a", planes, in, 1, stride), conv(key+".b", planes, planes, 3, 1), conv(key+".c", out, planes, 1, 1))
			default:
				b.Main = afblock.Chain(afblock.ReLU, conv(key+".a", planes, in, 1, 1), conv(key+".b", planes, planes, 3, stride), conv(key+".c", out, planes, 1, 1))
			}
			if in != out || stride != 1 {
				b.Residual.Conv = conv(key+".d", out, in, 1, stride)
			}
			if s.Shift {
				b.Shift = &afblock.Shift{Fold: in / 8, PastFirst: s.PastFirst, Residual: s.Residual}
			}
			stage.Blocks = append(stage.Blocks, b)
			in = out
		}
		net.Stages = append(net.Stages, stage)
	}
	fc := conv("fc", 5, in, 1, 1)
	net.Head = afblock.Head{FC: afblock.Linear{Key: "fc", Weight: fc.Weight.Reshaped(5, int64(in))}}
	return net
}

// Plains are kinds of plain network.
var Plains = []Plain{
	{Name: "tsn bottleneck", Blocks: []int{3, 2, 2, 1}, Frames: 2},
	{Name: "tsm bottleneck folded", Blocks: []int{2, 3, 2, 2}, Shift: true, Folded: true, Frames: 3},
	{Name: "tsm basic", Blocks: []int{2, 2, 2, 2}, Basic: true, Shift: true, Residual: true, Frames: 3},
	{Name: "tsm, past first", Blocks: []int{2, 2, 2, 2}, Shift: true, PastFirst: true, Frames: 4},
	{Name: "caffe with a stage of one block", Blocks: []int{2, 1, 2, 1}, Caffe: true, Frames: 1},
}

// RandomClip makes n square frames.
func RandomClip(n, side int) []*Image {
	rng := rand.New(rand.NewPCG(3, 4))
	clip := make([]*Image, n)
	for i := range clip {
		clip[i] = zeros(3, side, side)
		for k := range clip[i].v {
			clip[i].v[k] = rng.NormFloat64()
		}
	}
	return clip
}
