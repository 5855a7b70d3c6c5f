package afblock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// architectures makes the networks that have a name, by it.
var architectures = []struct {
	name string
	make func(maker) *Network
}{
	{"tsn-resnet18", plainResNet(18)}, {"tsn-resnet34", plainResNet(34)}, {"tsn-resnet50", plainResNet(50)},
	{"tsn-resnet101", plainResNet(101)}, {"tsn-resnet152", plainResNet(152)},
	{"af-resnet50", afResNet(3, 4, 6, 3)}, {"af-resnet101", afResNet(4, 8, 18, 3)},
	{"af-mobilenetv3", maker.afMobileNetV3},
}

// Architectures lists the names that Architecture knows: of each network without
// a temporal shift, tsn-…, there is one that shifts, tsm-…; AFNets shift.
func Architectures() []string {
	var names []string
	for _, a := range architectures {
		names = append(names, a.name)
		if plain, ok := strings.CutPrefix(a.name, "tsn-"); ok {
			names = append(names, "tsm-"+plain)
		}
	}
	return names
}

// Architecture makes the network of a name, with the keys of the authors' code,
// for clips of T frames of the usual size. Its tensors have dimensions and no
// elements: it can be counted, and be what a checkpoint is held to, but not run.
func Architecture(name string, frames, classes int) (*Network, error) {
	tsn := name
	if plain, ok := strings.CutPrefix(name, "tsm-"); ok {
		tsn = "tsn-" + plain
	}
	for _, a := range architectures {
		if a.name == tsn {
			net := a.make(maker{frames, classes})
			net.Frames, net.Size, net.Shell = frames, Size{UsualSide, UsualSide}, StandardShell{}
			if !strings.HasPrefix(name, "tsn-") {
				net.shift(shiftDiv)
			}
			return net, nil
		}
	}
	return nil, fmt.Errorf("architecture %q: expected one of %s", name, strings.Join(Architectures(), ", "))
}

// shiftDiv is the share of channels that TSM shifts either way.
const shiftDiv = 8

// shift gives every block a temporal shift.
func (net *Network) shift(div int) {
	for b := range net.Blocks() {
		if fold := b.In() / div; fold > 0 {
			b.Shift = &Shift{Fold: fold}
		}
	}
}

// maker makes layers of tensors without elements.
type maker struct{ frames, classes int }

func tensorOf(dims ...int) *graph.Tensor {
	t := &graph.Tensor{DType: graph.Float32}
	for _, d := range dims {
		t.Dims = append(t.Dims, int64(d))
	}
	return t
}

// conv is a k×k convolution that keeps the size but for its stride, with batch
// normalisation.
func (maker) conv(key string, in, out, k, stride, groups int) *Conv {
	return &Conv{
		Key: key, Weight: tensorOf(out, in/groups, k, k), Stride: stride, Pad: k / 2, Groups: groups,
		BN: &BatchNorm{Key: BatchNormKey(key), Eps: BatchNormEps, Gamma: tensorOf(out), Beta: tensorOf(out), Mean: tensorOf(out), Var: tensorOf(out)},
	}
}

func (maker) linear(key string, in, out int, bias bool) Linear {
	l := Linear{Key: key, Weight: tensorOf(out, in)}
	if bias {
		l.Bias = tensorOf(out)
	}
	return l
}

// navigation looks at each frame of in channels alone, as the authors' does.
func (m maker) navigation(key string, in int) *Navigation {
	rows := 2 * m.frames
	return &Navigation{
		Key: key, Look: *m.conv(key+".conv_pool", in, 2, 1, 1, 1),
		Choice: Conv{Key: key + ".conv_gs", Weight: tensorOf(rows, 2, 1, 1), Bias: tensorOf(rows), Stride: 1, Groups: m.frames},
	}
}

func (m maker) gate(key string, channels int, bias bool) Gate {
	hidden := channels / 16
	return Gate{m.linear(key+".fc.0", channels, hidden, bias), m.linear(key+".fc.2", hidden, channels, bias)}
}

// resnet is a ResNet without stages.
func (m maker) resnet() *Network {
	return &Network{Stem: Stem{Conv: *m.conv("conv1", 3, 64, 7, 2, 1), Act: ReLU, Pool: &Window{Kernel: 3, Stride: 2, Pad: 1}}}
}

// plainResNet makes torchvision's ResNet of a number.
func plainResNet(depth int) func(maker) *Network {
	std := standardBlocks[slices.IndexFunc(standardBlocks, func(s standardResNet) bool { return s.depth == depth })]
	return func(m maker) *Network {
		net, in := m.resnet(), 64
		for i, n := range std.blocks {
			out := 64 << i
			if std.bottleneck {
				out *= 4
			}
			stage := &Stage{Name: fmt.Sprintf("layer%d", i+1)}
			for k := range n {
				stride := 1
				if k == 0 && i > 0 {
					stride = 2
				}
				b := m.resBlock(fmt.Sprintf("%s.%d", stage.Name, k), in, out, stride, 1, std.bottleneck)
				if b.Residual.Pool = nil; b.Residual.Conv != nil {
					b.Residual.Conv = m.conv(b.Key+".downsample.0", in, out, 1, stride, 1)
				}
				stage.Blocks, in = append(stage.Blocks, b), out
			}
			net.Stages = append(net.Stages, stage)
		}
		net.Head = Head{FC: m.linear("fc", in, m.classes, true)}
		return net
	}
}

// resBlock is a ResNet's block with the authors' way to have a stride.
func (m maker) resBlock(key string, in, out, stride, groups int, bottleneck bool) *Block {
	b := &Block{Key: key, Act: ReLU}
	if bottleneck {
		inner := out / 4
		b.Main = Chain(ReLU, m.conv(key+".conv1", in, inner, 1, 1, groups), m.conv(key+".conv2", inner, inner, 3, stride, groups), m.conv(key+".conv3", inner, out, 1, 1, groups))
	} else {
		b.Main = Chain(ReLU, m.conv(key+".conv1", in, out, 3, stride, groups), m.conv(key+".conv2", out, out, 3, 1, groups))
	}
	if stride > 1 {
		b.Residual.Pool = ResidualPool(stride)
	}
	if in != out {
		b.Residual.Conv = m.conv(ResidualKey(key, stride > 1), in, out, 1, 1, 1)
	}
	return b
}

// afResNet makes the authors' AF-ResNet of so many blocks a stage.
func afResNet(blocks ...int) func(maker) *Network {
	return func(m maker) *Network {
		net, in := m.resnet(), 64
		fusion := []int{2, 2, 1}
		for i, n := range blocks {
			out, name := 256<<i, fmt.Sprintf("layer%d", i+1)
			stage := &Stage{Name: name}
			net.Stages = append(net.Stages, stage)
			if i < len(fusion) {
				stage.AF = m.resModule(name, in, out, n-1, fusion[i])
				in = out
				continue
			}
			for k := range n {
				stage.Blocks = append(stage.Blocks, m.resBlock(fmt.Sprintf("%s.%d", name, k), in, out, max(1, 2-k), 1, true))
				in = out
			}
		}
		net.Head = Head{FC: m.linear("new_fc", in, m.classes, true)}
		return net
	}
}

// resModule is an AF module of n focal blocks, α = G = 2.
func (m maker) resModule(name string, in, out, n, fusion int) *AFModule {
	const alpha, groups = 2, 2
	af := &AFModule{Alpha: alpha, Groups: groups, Act: ReLU, Gate: m.gate(name+".att_gen", out, false)}
	af.Transform = m.conv(name+".base_transform.0", out/alpha, out, 1, 1, 1)
	af.Fusion = m.resBlock(name+".fusion.0", out, out, fusion, 1, true)
	a, f := in, in
	for k := range n {
		stride := 1
		if k == 0 {
			stride = AmpleStride
		}
		af.Navigation = append(af.Navigation, m.navigation(fmt.Sprintf("%s.list_gen.%d", name, k), a))
		ample := m.resBlock(fmt.Sprintf("%s.base_module.%d", name, k), a, out/alpha, stride, 1, true)
		focal := m.resBlock(fmt.Sprintf("%s.refine_module.%d", name, k), f, out, 1, groups, true)
		if k == n-1 && n > 1 {
			ample.Act, focal.Act = Identity, Identity
		}
		af.Ample, af.Focal = append(af.Ample, ample), append(af.Focal, focal)
		a, f = out/alpha, out
	}
	return af
}
