package afblock

import "fmt"

// inverted is one of MobileNetV3's blocks, an inverted residual (Howard et al.,
// Searching for MobileNetV3, table 1).
type inverted struct {
	kernel    int
	expansion float64 // of the input's channels
	out       int
	excite    bool
	act       Act
	stride    int
}

// The blocks of AF-MobileNetV3, as the authors' code has them.
var (
	mobileHead   = []inverted{{3, 1, 16, false, ReLU, 1}}
	mobileStage1 = []inverted{{3, 4, 24, false, ReLU, 2}, {3, 3, 24, false, ReLU, 2}}
	mobileStage2 = []inverted{{5, 3, 40, true, ReLU, 2}, {5, 3, 40, true, ReLU, 1}, {5, 3, 40, true, ReLU, 2}}              // the last is the fusion
	mobileStage3 = []inverted{{3, 6, 80, false, HSwish, 2}, {3, 2.5, 80, false, HSwish, 1}, {3, 2.3, 80, false, HSwish, 1}, // of each branch
		{3, 2.3, 80, false, HSwish, 1}}
	mobileStage4 = []inverted{{3, 6, 112, true, HSwish, 1}, {3, 6, 112, true, HSwish, 1}}
	mobileStage5 = []inverted{{5, 6, 160, true, HSwish, 2}, {5, 6, 160, true, HSwish, 1}, {5, 6, 160, true, HSwish, 1}}
)

// afMobileNetV3 makes the authors' AF-MobileNetV3: its ample branches have full
// width, and its focal pointwise convolutions two groups.
func (m maker) afMobileNetV3() *Network {
	net := &Network{Stem: Stem{Conv: *m.conv("conv", 3, 16, 3, 2, 1), Act: HSwish}}
	in := 16
	plain := func(name string, blocks []inverted) {
		stage := &Stage{Name: name}
		for i, d := range blocks {
			stage.Blocks = append(stage.Blocks, m.invertedBlock(fmt.Sprintf("%s.%d", name, i), d, in, 1))
			in = d.out
		}
		net.Stages = append(net.Stages, stage)
	}
	module := func(n int, blocks []inverted) {
		net.Stages = append(net.Stages, &Stage{Name: fmt.Sprintf("features_stage%d", n), AF: m.mobileModule(n, blocks, in)})
		in = blocks[0].out
	}
	plain("features_head", mobileHead)
	plain("features_stage1", mobileStage1)
	module(2, mobileStage2)
	module(3, mobileStage3)
	plain("features_stage4", mobileStage4)
	plain("features_stage5", mobileStage5)
	last, hidden := m.conv("conv_last", in, 960, 1, 1, 1), m.linear("fc.0", 960, 1280, true)
	net.Head = Head{Last: last, Hidden: &hidden, Act: HSwish, FC: m.linear("fc.3", 1280, m.classes, true)}
	return net
}

// mobileModule is AF module n; the last of the blocks is the fusion.
func (m maker) mobileModule(n int, blocks []inverted, in int) *AFModule {
	const groups = 2
	name := fmt.Sprintf("features_stage%d", n)
	branch, fusion := blocks[:len(blocks)-1], blocks[len(blocks)-1]
	af := &AFModule{Alpha: 1, Groups: groups, Gate: m.gate(fmt.Sprintf("att_gen%d", n), fusion.out, true)}
	for i, d := range branch {
		af.Navigation = append(af.Navigation, m.navigation(fmt.Sprintf("list_gen%d.%d", n, i), in))
		af.Ample = append(af.Ample, m.invertedBlock(fmt.Sprintf("%s_base.%d", name, i), d, in, 1))
		d.stride = 1
		af.Focal = append(af.Focal, m.invertedBlock(fmt.Sprintf("%s_refine.%d", name, i), d, in, groups))
		in = d.out
	}
	af.Fusion = m.invertedBlock(name+"_fuse.0", fusion, in, 1)
	return af
}

// invertedBlock is an inverted residual; its pointwise convolutions have groups.
// Dense ones add their input where they can, grouped ones always.
func (m maker) invertedBlock(key string, d inverted, in, groups int) *Block {
	hidden := divisible(float64(in) * d.expansion)
	b := &Block{Key: key}
	narrow := key + ".conv3"
	if hidden == in {
		narrow = key + ".conv2"
		b.Main = append(b.Main, m.conv(key+".conv1", in, in, d.kernel, d.stride, in), d.act)
		if d.excite {
			b.Main = append(b.Main, m.excite(key+".se", hidden))
		}
	} else {
		b.Main = append(b.Main, m.conv(key+".conv1", in, hidden, 1, 1, groups), d.act, m.conv(key+".conv2", hidden, hidden, d.kernel, d.stride, hidden))
		if d.excite {
			b.Main = append(b.Main, m.excite(key+".se", hidden))
		}
		b.Main = append(b.Main, d.act)
	}
	b.Main = append(b.Main, m.conv(narrow, hidden, d.out, 1, 1, groups))
	switch {
	case d.stride == 1 && in == d.out:
	case groups > 1:
		b.Residual.Conv = m.conv(key+".res_connect.0", in, d.out, 1, d.stride, groups)
	default:
		b.Residual.None = true
	}
	return b
}

func (m maker) excite(key string, channels int) *SqueezeExcite {
	hidden := divisible(float64(channels) / 4)
	return &SqueezeExcite{m.linear(key+".fc.0", channels, hidden, true), m.linear(key+".fc.2", hidden, channels, true)}
}

// divisible rounds a number of channels to a multiple of 8, at least 8 and not
// by more than a tenth down, as MobileNets do.
func divisible(channels float64) int {
	n := max(8, int(channels+4)/8*8)
	if float64(n) < 0.9*channels {
		n += 8
	}
	return n
}
