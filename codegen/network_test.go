package codegen_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// spec describes a random network for tests.
type spec struct {
	name       string
	frames     int
	size       [2]int
	width      int   // stem's channels; stage i makes width·2^i (basic) or width·4·2^i
	af, plain  []int // blocks of the AF stages, then of the plain ones; an AF stage has at least two
	basic      bool
	shift      bool
	pastFirst  bool // the shift's first channels come from the frame before
	residual   bool // the residual path reads the shifted map too
	groups     int
	dense      bool // navigation lets frames see each other
	ownStrides bool // the first focal block halves instead of fusion
	unselected afblock.Unselected
}

// randomNet fills a spec with seeded random weights: He-scaled convolutions and
// batch norms near the identity, so that activations keep their magnitude.
type randomNet struct {
	spec
	rng *rand.Rand
}

func newNetwork(s spec) *afblock.Network {
	r := &randomNet{spec: s, rng: rand.New(rand.NewPCG(7, uint64(len(s.name))))}
	if r.groups == 0 {
		r.groups = 2
	}
	net := &afblock.Network{
		Shell:  afblock.StandardShell{},
		Frames: s.frames, Size: s.size, Unselected: s.unselected,
		Stem: afblock.Stem{Conv: *r.conv("conv1", "bn1", 3, s.width, 7, 2, 1), Act: afblock.ReLU, Pool: &afblock.Window{Kernel: 3, Stride: 2, Pad: 1}},
	}
	expansion := 4
	if s.basic {
		expansion = 1
	}
	in := s.width
	for i, blocks := range append(append([]int(nil), s.af...), s.plain...) {
		planes := s.width << i
		st := &afblock.Stage{Name: fmt.Sprintf("layer%d", i+1)}
		if i < len(s.af) {
			st.AF = r.module(st.Name, in, planes, expansion, blocks, i < 2)
		} else {
			for n := range blocks {
				stride := 1
				if n == 0 {
					stride = 2
				}
				from := in
				if n > 0 {
					from = planes * expansion
				}
				st.Blocks = append(st.Blocks, r.block(fmt.Sprintf("%s.%d", st.Name, n), from, planes, planes*expansion, stride, 1, true))
			}
		}
		net.Stages = append(net.Stages, st)
		in = planes * expansion
	}
	classes := 11
	net.Head = afblock.Head{FC: afblock.Linear{Key: "new_fc", Weight: r.normal(1/math.Sqrt(float64(in)), int64(classes), int64(in)), Bias: r.normal(0.1, int64(classes))}}
	return net
}

func (r *randomNet) module(name string, in, planes, expansion, blocks int, halve bool) *afblock.AFModule {
	const alpha = 2
	out := planes * expansion
	m := &afblock.AFModule{Alpha: alpha, Groups: r.groups, Act: afblock.ReLU}
	a, f := in, in
	focalStride, fusionStride := 1, 1
	switch {
	case halve && r.ownStrides:
		focalStride = 2
	case halve:
		fusionStride = 2
	}
	for n := range blocks - 1 {
		stride, last := 1, n == blocks-2 && n > 0
		if n == 0 {
			stride = 2
		}
		nav := &afblock.Navigation{Key: fmt.Sprintf("%s.list_gen.%d", name, n)}
		nav.Look = *r.conv(nav.Key+".conv_pool", nav.Key+".bn", a, 2, 1, 1, 1)
		nav.Choice = afblock.Conv{Key: nav.Key + ".conv_gs", Stride: 1, Groups: r.frames}
		each := int64(2)
		if r.dense {
			each, nav.Choice.Groups = int64(2*r.frames), 1
		}
		nav.Choice.Weight = r.normal(1, int64(2*r.frames), each, 1, 1)
		nav.Choice.Bias = r.normal(1, int64(2*r.frames))
		m.Navigation = append(m.Navigation, nav)
		m.Ample = append(m.Ample, r.block(fmt.Sprintf("%s.base_module.%d", name, n), a, planes/alpha, out/alpha, stride, 1, !last))
		m.Focal = append(m.Focal, r.block(fmt.Sprintf("%s.refine_module.%d", name, n), f, planes, out, focalStride, r.groups, !last))
		a, f, focalStride = out/alpha, out, 1
	}
	m.Transform = r.conv(name+".base_transform.0", name+".base_transform.1", out/alpha, out, 1, 1, 1)
	hidden := int64(max(out/16, 1))
	m.Gate = afblock.Gate{
		Squeeze: afblock.Linear{Key: name + ".att_gen.fc.0", Weight: r.normal(math.Sqrt(2/float64(out)), hidden, int64(out))},
		Excite:  afblock.Linear{Key: name + ".att_gen.fc.2", Weight: r.normal(1/math.Sqrt(float64(hidden)), int64(out), hidden)},
	}
	m.Fusion = r.block(name+".fusion.0", out, planes, out, fusionStride, 1, true)
	return m
}

func (r *randomNet) block(key string, in, planes, out, stride, groups int, relu bool) *afblock.Block {
	b := &afblock.Block{Key: key, Act: afblock.Identity}
	if relu {
		b.Act = afblock.ReLU
	}
	var convs []*afblock.Conv
	conv := func(i, from, to, kernel, stride int) {
		convs = append(convs, r.conv(fmt.Sprintf("%s.conv%d", key, i), fmt.Sprintf("%s.bn%d", key, i), from, to, kernel, stride, groups))
	}
	if r.basic {
		conv(1, in, out, 3, stride)
		conv(2, out, out, 3, 1)
	} else {
		conv(1, in, planes, 1, 1)
		conv(2, planes, planes, 3, stride)
		conv(3, planes, out, 1, 1)
	}
	b.Main = afblock.Chain(afblock.ReLU, convs...)
	if stride > 1 {
		b.Residual.Pool = &afblock.Window{Kernel: 3, Stride: stride, Pad: 1}
	}
	if in != out {
		b.Residual.Conv = r.conv(key+".downsample.0", key+".downsample.1", in, out, 1, 1, 1)
	}
	if r.shift {
		b.Shift = &afblock.Shift{Fold: in / 8, PastFirst: r.pastFirst, Residual: r.residual}
	}
	return b
}

func (r *randomNet) conv(key, bn string, in, out, kernel, stride, groups int) *afblock.Conv {
	fan := in / groups * kernel * kernel
	return &afblock.Conv{
		Key: key, Stride: stride, Pad: kernel / 2, Groups: groups,
		Weight: r.normal(math.Sqrt(1/float64(fan)), int64(out), int64(in/groups), int64(kernel), int64(kernel)),
		BN: &afblock.BatchNorm{
			Key: bn, Eps: 1e-5,
			Gamma: r.uniform(0.5, 1.2, out), Beta: r.normal(0.3, int64(out)),
			Mean: r.normal(0.2, int64(out)), Var: r.uniform(0.6, 1.4, out),
		},
	}
}

func (r *randomNet) normal(sigma float64, dims ...int64) *graph.Tensor {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.rng.NormFloat64() * sigma)
	}
	return graph.Float32s(dims, v...)
}

func (r *randomNet) uniform(lo, hi float64, n int) *graph.Tensor {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(lo + (hi-lo)*r.rng.Float64())
	}
	return graph.Float32s([]int64{int64(n)}, v...)
}

// biased gives the convolutions of plain blocks a bias each.
func biased(net *afblock.Network) {
	for _, st := range net.Stages {
		for _, blk := range st.Blocks {
			for _, c := range blk.Convs() {
				v := make([]float32, c.Out())
				for i := range v {
					v[i] = float32(i%7-3) / 10
				}
				c.Bias = graph.Float32s([]int64{int64(len(v))}, v...)
			}
		}
	}
}
