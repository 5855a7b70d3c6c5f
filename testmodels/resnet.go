package testmodels

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// builder emits one model.
type builder struct {
	Spec
	g     *graph.Graph
	names int // counter for constants and shape arithmetic
}

// Build makes the model. A Spec that Validate refuses is a bug of the caller.
func (s Spec) Build() *graph.Model {
	if err := s.Validate(); err != nil {
		panic("BUG: testmodels: " + err.Error())
	}
	s = s.filled()
	m := graph.NewModel("main_graph", graph.IRVersionOf(s.Opset), s.Opset)
	m.ProducerName, m.ProducerVersion = "pytorch", "1.13.0" // whose spelling it imitates
	b := &builder{Spec: s, g: m.Graph}
	x := b.input()
	x, st := b.trunk(x)
	b.head(x, st)
	return m
}

// channels returns a stage's output channels.
func (s Spec) channels(stage int) int {
	c := s.Width << stage
	if !s.Basic {
		c *= 4
	}
	return c
}

// after returns a map's side behind a window of the given stride that keeps
// the side at stride 1, as every padded window of a ResNet does.
func after(side, stride int) int { return (side-1)/stride + 1 }

func (b *builder) input() *graph.Value {
	n, t, c, side := int64(b.Batch), int64(b.Frames), int64(b.Channels), int64(b.Size)
	clips, frames := graph.D(n), graph.D(n*t)
	if b.Dynamic {
		clips, frames = graph.Sym("batch"), graph.Sym("frames")
	}
	hw := graph.D(side)
	switch b.Input {
	case FramesInBatch:
		return b.video(graph.Shape{frames, graph.D(c), hw, hw})
	case FramesOwnAxis:
		return b.reshape("/Reshape", b.video(graph.Shape{clips, graph.D(t), graph.D(c), hw, hw}), -1, c, side, side)
	}
	return b.reshape("/Reshape", b.video(graph.Shape{clips, graph.D(c * t), hw, hw}), -1, c, side, side)
}

// video adds the model's input and returns it in a shape that ends in [C, H, W].
func (b *builder) video(shape graph.Shape) *graph.Value {
	if !b.Pixels {
		return b.g.AddInput("video", graph.TensorType(graph.Float32, shape))
	}
	r := len(shape)
	channels := shape[r-3].Size
	last := append(slices.Clone(shape[:r-3]), shape[r-2], shape[r-1], shape[r-3])
	x := b.g.AddInput("video", graph.TensorType(graph.Uint8, last))
	x = b.node("Cast", "/Cast", []*graph.Value{x}, graph.Int("to", int64(graph.Float32)))
	x = b.op("Sub", "/Sub", x, b.constant(graph.Float32s([]int64{channels}, slices.Repeat([]float32{116}, int(channels))...)))
	x = b.op("Div", "/Div_1", x, b.constant(graph.Float32s([]int64{channels}, slices.Repeat([]float32{57}, int(channels))...)))
	perm := []int64{0, 1, 2, 3, 4}[:r-3]
	return b.node("Transpose", "/pixels/Transpose", []*graph.Value{x}, graph.Ints("perm", append(slices.Clone(perm), int64(r-1), int64(r-3), int64(r-2))...))
}

func (b *builder) trunk(x *graph.Value) (*graph.Value, stat) {
	st := stat{0, 1}
	x, st = b.conv("conv1", "bn1", x, st, convShape{in: b.Channels, out: b.Width, kernel: 7, stride: 2, groups: 1}, 1)
	x = b.op("Relu", "/net/relu/Relu", x)
	st = st.relu()
	x = b.node("MaxPool", "/net/maxpool/MaxPool", []*graph.Value{x},
		graph.Ints("kernel_shape", 3, 3), graph.Ints("pads", 1, 1, 1, 1), graph.Ints("strides", 2, 2))
	side := after(after(b.Size, 2), 2)
	in := b.Width
	for stage, blocks := range b.Blocks {
		for i := range blocks {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			blk := block{
				name: fmt.Sprintf("layer%d.%d", stage+1, i), stage: stage, index: i,
				in: in, out: b.channels(stage), stride: stride, side: side,
			}
			x, st = b.block(blk, x, st)
			in, side = blk.out, after(side, stride)
		}
		x = b.betweenStages(x, stage, in, side)
	}
	return x, st
}

// block is the place of a residual block.
type block struct {
	name         string // "layer1.0"
	stage, index int
	in, out      int
	stride       int
	side         int // of the map it reads
}

// path returns a node name as the TorchScript exporter makes it.
func (k block) path(rest string) string {
	return fmt.Sprintf("/net/layer%d/%s/%s", k.stage+1, k.name, rest)
}

// branchGain is the standard deviation that a residual branch adds: below one,
// so that the sum grows slowly over many blocks.
const branchGain = 0.5

func (b *builder) block(k block, x *graph.Value, st stat) (*graph.Value, stat) {
	skip, skipStat := x, st
	main := x
	if b.Shift != NoShift && !(b.ShiftEverySecond && k.index%2 == 1) {
		main = b.shift(k, x)
		if b.ShiftBlock {
			skip = main
		}
	}
	inner := k.out / 4
	convs := []convShape{
		{in: k.in, out: inner, kernel: 1, stride: 1, groups: 1},
		{in: inner, out: inner, kernel: 3, stride: k.stride, groups: b.miss.groups(inner)},
		{in: inner, out: k.out, kernel: 1, stride: 1, groups: 1},
	}
	if b.CaffeStride {
		convs[0].stride, convs[1].stride = k.stride, 1
	}
	if b.Basic {
		convs = []convShape{
			{in: k.in, out: k.out, kernel: 3, stride: k.stride, groups: 1},
			{in: k.out, out: k.out, kernel: 3, stride: 1, groups: 1},
		}
	}
	mainStat := st
	for i, c := range convs {
		last := i == len(convs)-1
		gain := 1.0
		if last {
			gain = branchGain
		}
		main, mainStat = b.conv(fmt.Sprintf("%s.conv%d", k.name, i+1), fmt.Sprintf("%s.bn%d", k.name, i+1), main, mainStat, c, gain)
		if !last {
			main = b.op("Relu", k.path(fmt.Sprintf("relu_%d/Relu", i)), main)
			mainStat = mainStat.relu()
		}
	}
	if k.in != k.out || k.stride != 1 {
		c := convShape{in: k.in, out: k.out, kernel: 1, stride: k.stride, groups: 1}
		skip, skipStat = b.conv(k.name+".downsample.0", k.name+".downsample.1", skip, skipStat, c, 1)
	}
	y := b.join(k, main, skip)
	return b.op("Relu", k.path("relu/Relu"), y), mainStat.plus(skipStat).relu()
}

type convShape struct{ in, out, kernel, stride, groups int }

// conv emits a convolution and its batch normalisation in the form asked for.
// The keys are those of torchvision's state dict.
func (b *builder) conv(key, bnKey string, x *graph.Value, st stat, c convShape, gain float64) (*graph.Value, stat) {
	taps := c.in / c.groups * c.kernel * c.kernel
	w := filter(rng(b.Seed, key), c.out, taps)
	bn := newBNorm(rng(b.Seed, bnKey), c.out, st.throughFilter(taps), gain)
	pad := int64(c.kernel / 2)
	attrs := []*graph.Attribute{
		graph.Ints("dilations", 1, 1), graph.Int("group", int64(c.groups)),
		graph.Ints("kernel_shape", int64(c.kernel), int64(c.kernel)),
		graph.Ints("pads", pad, pad, pad, pad), graph.Ints("strides", int64(c.stride), int64(c.stride)),
	}
	shape := dims(c.out, c.in/c.groups, c.kernel, c.kernel)
	out := stat{0, gain * gain}
	if b.BN == BNFolded {
		bias := bn.fold(w)
		bias = b.miss.bias(key, bias)
		return b.node("Conv", "/net/"+key+"/Conv", []*graph.Value{
			x, b.weight(key+".weight", graph.Float32s(shape, w...)), b.weight(key+".bias", vector(bias)),
		}, attrs...), out
	}
	x = b.node("Conv", "/net/"+key+"/Conv", []*graph.Value{x, b.weight(key+".weight", graph.Float32s(shape, w...))}, attrs...)
	return b.batchNorm(bnKey, x, bn), out
}

func (b *builder) batchNorm(key string, x *graph.Value, bn bnorm) *graph.Value {
	gamma := b.weight(key+".weight", vector(bn.gamma))
	if b.Identities {
		gamma = b.op("Identity", "Identity_"+key, gamma)
	}
	in := []*graph.Value{
		x, gamma, b.weight(key+".bias", vector(bn.beta)),
		b.weight(key+".running_mean", vector(bn.mean)), b.weight(key+".running_var", vector(bn.variance)),
	}
	attrs := []*graph.Attribute{graph.Float("epsilon", bnEpsilon), graph.Float("momentum", 0.9)}
	outputs := 1
	if b.BN == BNTraining {
		outputs = 5
		if b.Opset >= 14 {
			outputs = 3
			attrs = append(attrs, graph.Int("training_mode", 1))
		}
	}
	return b.g.NewNode("BatchNormalization", b.name("/net/"+key+"/BatchNormalization"), in, outputs, attrs...).Outputs()[0]
}
