package train

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// forward writes what a network computes of N clips of T frames, in mask form:
// every frame is computed, and those not selected are multiplied by zero.
type forward struct {
	*builder
	net      *afblock.Network
	clips    int64
	tensors  map[string]*graph.Value // weights that are inputs, by key; others are constants
	learning bool                    // batch normalisation of tensors takes the batch's statistics
	choose   chooser                 // nil for a network without selection
	dropout  *graph.Value            // multiplies what the linear layer reads; nil: nothing

	masks   []*graph.Value // [N·T] of each focal block, in network order
	moments []moments      // what batch normalisation went by, if by the batch
	stage   *afblock.Stage
	smooth  bool // Sigmoid in place of ReLU: tests compare gradients that rounding cannot flip
}

// chooser makes the mask [N·T] of the i-th focal block from the average
// [N·T, C, 1, 1] of what the ample block beside it reads.
type chooser func(f *forward, i int, n *afblock.Navigation, pooled *graph.Value) *graph.Value

// moments are the statistics that one batch normalisation takes of the batch.
type moments struct {
	norm           *afblock.BatchNorm
	node           *graph.Node
	mean, variance *graph.Value // [channels]
	count          int64        // elements a channel
}

// answer is what a network says of clips.
type answer struct {
	frames *graph.Value // scores of each frame, [N·T, classes]
	clips  *graph.Value // [N, classes]
}

// network writes the network on frames [N·T, C, H, W] of a known size.
func (f *forward) network(frames *graph.Value, size afblock.Size) (answer, error) {
	x, ample, focal := frames, frames, frames
	var mask, scores *graph.Value
	var err error
	for u, bad := range f.net.Walk(size) {
		if bad != nil {
			return answer{}, bad
		}
		if u.Stage != f.stage {
			f.stage, ample, focal = u.Stage, x, x
		}
		switch u.Part {
		case afblock.PartStem:
			x, err = f.layers(x, u.Layers, "stem")
		case afblock.PartPlain, afblock.PartFusion:
			x, err = f.block(x, u.Block, nil)
		case afblock.PartNavigation:
			mask = f.choose(f, len(f.masks), u.Navigation, f.unary("GlobalAveragePool", u.Key+".pool", ample))
			f.masks = append(f.masks, mask)
		case afblock.PartAmple:
			ample, err = f.block(ample, u.Block, nil)
		case afblock.PartFocal:
			focal, err = f.block(focal, u.Block, mask)
		case afblock.PartMix:
			x, err = f.mix(ample, focal, u)
		case afblock.PartHead:
			scores, err = f.head(x, u)
		default:
			err = fmt.Errorf("%s: afc does not train units of kind %q", u.Key, u.Part)
		}
		if err != nil {
			return answer{}, err
		}
	}
	clip := f.reshape(scores, "scores.clips", f.clips, int64(f.net.Frames), int64(f.net.Head.FC.Out()))
	return answer{scores, f.scaled(f.sum(clip, "scores.sum", 1), 1/float64(f.net.Frames), "scores")}, nil
}

// tensor is a weight: an input, or a constant.
func (f *forward) tensor(key string, t *graph.Tensor) *graph.Value {
	if v := f.tensors[key]; v != nil {
		return v
	}
	if v := f.g.Value(key); v != nil {
		return v
	}
	return f.g.AddInitializer(key, t)
}

// layers writes layers one after the other; those without a key of their own are
// named after the one before.
func (f *forward) layers(x *graph.Value, layers []afblock.Layer, key string) (*graph.Value, error) {
	for _, l := range layers {
		switch l := l.(type) {
		case *afblock.Conv:
			x, key = f.conv(x, l), l.Key
		case afblock.Act:
			var err error
			if x, err = f.act(x, l, key); err != nil {
				return nil, err
			}
		case afblock.MaxPool:
			x = f.node("MaxPool", "maxpool", []*graph.Value{x}, windowAttrs(afblock.Window(l))...)
		case afblock.AveragePool:
			x = f.node("AveragePool", key+".pool", []*graph.Value{x}, append(windowAttrs(afblock.Window(l)), graph.Int("count_include_pad", 1))...)
		default:
			return nil, fmt.Errorf("%s: afc does not train layers of kind %T", key, l)
		}
	}
	return x, nil
}

func (f *forward) act(x *graph.Value, a afblock.Act, key string) (*graph.Value, error) {
	switch a {
	case afblock.Identity:
		return x, nil
	case afblock.ReLU:
		return f.relu(x, key+".relu"), nil
	}
	return nil, fmt.Errorf("%s: afc does not train through the activation %s", key, a)
}

func (f *forward) relu(x *graph.Value, name string) *graph.Value {
	if f.smooth {
		return f.unary("Sigmoid", name, x)
	}
	return f.unary("Relu", name, x)
}

// conv writes a convolution with its batch normalisation.
func (f *forward) conv(x *graph.Value, c *afblock.Conv) *graph.Value {
	in := []*graph.Value{x, f.tensor(c.Key+".weight", c.Weight)}
	if c.Bias != nil {
		in = append(in, f.tensor(c.Key+".bias", c.Bias))
	}
	y := f.node("Conv", c.Key, in, append(windowAttrs(c.Window()), graph.Int("group", int64(c.Groups)))...)
	if c.BN != nil {
		y = f.norm(y, c.BN)
	}
	return y
}

// norm writes batch normalisation, in training mode where it goes by the batch.
func (f *forward) norm(x *graph.Value, n *afblock.BatchNorm) *graph.Value {
	in := []*graph.Value{x, f.tensor(n.Key+".weight", n.Gamma), f.tensor(n.Key+".bias", n.Beta)}
	attrs := []*graph.Attribute{graph.Float("epsilon", n.Eps)}
	in = append(in, f.tensor(n.Key+".running_mean", n.Mean), f.tensor(n.Key+".running_var", n.Var))
	if f.learning && f.tensors[n.Key+".running_mean"] != nil {
		attrs = append(attrs, graph.Int("training_mode", 1))
	}
	y := f.node("BatchNormalization", n.Key, in, attrs...)
	if len(attrs) > 1 {
		f.moments = append(f.moments, moments{norm: n, node: y.Producer()})
	}
	return y
}

// block writes a residual block, a focal one with its mask.
func (f *forward) block(x *graph.Value, b *afblock.Block, mask *graph.Value) (*graph.Value, error) {
	main, side := x, x
	if b.Shift != nil {
		main = f.shift(x, b)
		if b.Shift.Residual {
			side = main
		}
	}
	if mask != nil {
		mask = f.reshape(mask, b.Key+".mask", -1, 1, 1, 1)
	}
	if mask != nil && f.net.Unselected == afblock.UnselectedBias {
		main = f.binary("Mul", b.Key+".masked", main, mask)
	}
	main, err := f.layers(main, b.Main, b.Key)
	if err != nil {
		return nil, err
	}
	if mask != nil && f.net.Unselected == afblock.UnselectedZero {
		main = f.binary("Mul", b.Key+".masked", main, mask)
	}
	if !b.Residual.None {
		if side, err = f.layers(side, b.Residual.Layers(), b.Key+".downsample"); err != nil {
			return nil, err
		}
		main = f.binary("Add", b.Key+".add", main, side)
	}
	return f.act(main, b.Act, b.Key)
}

// shift moves the first channels of every frame from the next one, the second as
// many from the one before, zeros at a clip's ends.
func (f *forward) shift(x *graph.Value, b *afblock.Block) *graph.Value {
	fold, rest, key := int64(b.Shift.Fold), int64(b.In()-2*b.Shift.Fold), b.Key+".shift"
	sizes := []int64{fold, fold}
	if rest > 0 {
		sizes = append(sizes, rest)
	}
	parts := append([]*graph.Value(nil), f.split(x, key+".split", 1, sizes...)...)
	ahead, behind := 0, 1
	if b.Shift.PastFirst {
		ahead, behind = 1, 0
	}
	parts[ahead] = f.moved(parts[ahead], fold, true, key+".next")
	parts[behind] = f.moved(parts[behind], fold, false, key+".previous")
	return f.concat(1, key, parts...)
}

// moved gives every frame the channels of the next one, or of the one before.
func (f *forward) moved(x *graph.Value, channels int64, next bool, name string) *graph.Value {
	frames := int64(f.net.Frames)
	if frames == 1 {
		return f.scaled(x, 0, name)
	}
	x = f.reshape(x, name+".frames", f.clips, frames*channels, 0, 0) // 0: as it is
	if next {
		x = f.slice(x, name+".cut", 1, channels, frames*channels)
		x = f.binary("Pad", name+".pad", x, f.ints(0, 0, 0, 0, 0, channels, 0, 0))
	} else {
		x = f.slice(x, name+".cut", 1, 0, (frames-1)*channels)
		x = f.binary("Pad", name+".pad", x, f.ints(0, channels, 0, 0, 0, 0, 0, 0))
	}
	return f.reshape(x, name, f.clips*frames, channels, 0, 0)
}

// mix writes f + g·(a − f), which is g·a + (1 − g)·f, of a module's branches.
func (f *forward) mix(a, focal *graph.Value, u afblock.Unit) (*graph.Value, error) {
	m, key := u.Stage.AF, u.Stage.Name+".att_gen"
	low := u.In.Size
	if t := m.Transform; t != nil {
		a, low = f.conv(a, t), low.Through(t.Window())
	}
	a = f.upsample(a, low, u.Focal.Size, u.Stage.Name+".upsample")
	pooled := f.unary("GlobalAveragePool", key+".pool", f.binary("Add", key+".sum", a, focal))
	g := f.reshape(pooled, key+".rows", -1, int64(u.Focal.C))
	g = f.relu(f.linear(g, &m.Gate.Squeeze), m.Gate.Squeeze.Key+".relu")
	g = f.unary("Sigmoid", key+".gate", f.linear(g, &m.Gate.Excite))
	g = f.reshape(g, key+".gate_map", -1, int64(u.Focal.C), 1, 1)
	y := f.binary("Add", key+".mix", focal, f.binary("Mul", key+".ample", f.binary("Sub", key+".difference", a, focal), g))
	return f.act(y, m.Act, key)
}

// upsample enlarges a map to the nearest pixel, floor(i·from/to) as PyTorch has
// it.
func (f *forward) upsample(x *graph.Value, from, to afblock.Size, name string) *graph.Value {
	if from == to {
		return x
	}
	if to[0]%from[0] == 0 && to[1]%from[1] == 0 {
		scales := f.constant("scales", graph.Float32s([]int64{4}, 1, 1, float32(to[0]/from[0]), float32(to[1]/from[1])), nil)
		return f.node("Resize", name, []*graph.Value{x, nil, scales}, graph.Str("mode", "nearest"),
			graph.Str("coordinate_transformation_mode", "asymmetric"), graph.Str("nearest_mode", "floor"))
	}
	for axis := range 2 {
		index := make([]int64, to[axis])
		for i := range index {
			index[i] = int64(i * from[axis] / to[axis])
		}
		x = f.node("Gather", name, []*graph.Value{x, f.ints(index...)}, graph.Int("axis", int64(2+axis)))
	}
	return x
}

func (f *forward) linear(x *graph.Value, l *afblock.Linear) *graph.Value {
	in := []*graph.Value{x, f.tensor(l.Key+".weight", l.Weight)}
	if l.Bias != nil {
		in = append(in, f.tensor(l.Key+".bias", l.Bias))
	}
	return f.node("Gemm", l.Key, in, graph.Int("transB", 1))
}

// head writes the frames' scores.
func (f *forward) head(x *graph.Value, u afblock.Unit) (*graph.Value, error) {
	if len(u.Layers) != 1 {
		return nil, fmt.Errorf("%s: afc does not train heads of %d layers", u.Key, len(u.Layers))
	}
	x = f.reshape(f.unary("GlobalAveragePool", "head.pool", x), "head.features", -1, int64(u.In.C))
	if f.dropout != nil {
		x = f.binary("Mul", "head.dropout", x, f.dropout)
	}
	return f.linear(x, &f.net.Head.FC), nil
}

// takeMoments computes what batch normalisations in training mode go by, which
// read it in the place of the running statistics. To Gradient they stay in
// training mode, so that it knows what the statistics depend on. Types must be
// inferred.
func (f *forward) takeMoments() error {
	for i := range f.moments {
		m := &f.moments[i]
		var last *graph.Node
		for last = range f.g.NodesBackward() {
			break
		}
		x := m.node.Input(0)
		var err error
		if m.mean, m.variance, err = op.Moments(x); err != nil {
			return err
		}
		for last != nil {
			n := last.Next()
			if n == nil {
				break
			}
			f.g.MoveBefore(n, m.node)
		}
		m.node.SetInput(3, m.mean)
		m.node.SetInput(4, m.variance)
		m.count = product(x.Type.Shape.Dims()) / x.Type.Shape[1].Size
	}
	return nil
}

// infer makes inference of batch normalisations in training mode, which now
// computes the same.
func (f *forward) infer() {
	for _, m := range f.moments {
		m.node.RemoveAttr("training_mode")
	}
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}
