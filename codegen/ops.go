package codegen

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// feature is a feature map [batch, c, h, w]; h and w are 0 where they are known
// only at run time.
type feature struct {
	v       *graph.Value
	c, h, w int

	// columns is how far apart a frame's columns lie where the frames of a clip
	// share a map, [N, c, h, w·columns] (interleave.go); else 0.
	columns int
}

// size is the map's height and width.
func (f feature) size() afblock.Size { return afblock.Size{f.h, f.w} }

// sized reports whether the map's height and width are known.
func (f feature) sized() bool { return f.size().Known() }

// with returns f with another value of the same shape.
func (f feature) with(v *graph.Value) feature {
	f.v = v
	return f
}

// made returns a map of c channels behind a window over f.
func (f feature) made(v *graph.Value, c int, w afblock.Window) feature {
	size := f.size().Through(w)
	return feature{v: v, c: c, h: size[0], w: size[1], columns: f.columns}
}

func windowAttrs(w afblock.Window) []*graph.Attribute {
	k, s, p := int64(w.Kernel), int64(w.Stride), int64(w.Pad)
	return []*graph.Attribute{
		graph.Ints("kernel_shape", k, k), graph.Ints("strides", s, s), graph.Ints("pads", p, p, p, p),
	}
}

// windowIn is the window of a convolution of x, whose columns may be those of
// several frames.
func windowIn(x feature, c conv) []*graph.Attribute {
	if x.columns == 0 {
		return windowAttrs(c.window())
	}
	if c.stride != 1 {
		panic("BUG: a stride would mix frames that share a map: " + c.key)
	}
	k, p, columns := int64(c.kernel()), int64(c.pad), int64(x.columns)
	return []*graph.Attribute{
		graph.Ints("kernel_shape", k, k), graph.Ints("dilations", 1, columns), graph.Ints("pads", p, p*columns, p, p*columns),
	}
}

// conv emits a convolution, and its batch normalisation as a node of its own:
// ONNX Runtime folds that at load, and the file keeps the weights as trained.
// The momentum means nothing when a model runs, but onnx's reference evaluator
// averages below opset 14 unless it is 1.
func (b *builder) conv(x feature, c conv) feature {
	w := b.weight(c.weight)
	if c.trail > 0 {
		// A constant: ONNX Runtime pads it when it loads the model.
		w = b.node("Pad", "afc."+c.key+".kernel", in(w, b.vec(0, 0, 0, 0, 0, int64(c.trail), 0, 0)))
	}
	return b.convWith(x, c, w)
}

// convWith is conv with a weight of c's shape made elsewhere.
func (b *builder) convWith(x feature, c conv, w *graph.Value) feature {
	ins := in(x.v, w)
	if c.bias != nil {
		ins = append(ins, b.weight(*c.bias))
	}
	y := x.made(b.node("Conv", c.key, ins, append(windowIn(x, c), graph.Int("group", int64(c.groups)))...), c.out(), c.window())
	if c.bn != nil {
		y.v = b.node("BatchNormalization", c.bn.key,
			in(y.v, b.weight(c.bn.gamma), b.weight(c.bn.beta), b.weight(c.bn.mean), b.weight(c.bn.variance)),
			graph.Float("epsilon", c.bn.eps), graph.Float("momentum", 1))
	}
	return y
}

func (b *builder) relu(x feature, hint string) feature {
	return x.with(b.node("Relu", hint, in(x.v)))
}

func (b *builder) add(x, y feature, hint string) feature {
	return x.with(b.node("Add", hint, in(x.v, y.v)))
}

func (b *builder) maxPool(x feature, p afblock.Window, hint string) feature {
	return x.made(b.node("MaxPool", hint, in(x.v), windowAttrs(p)...), x.c, p)
}

// averagePool counts the padding, as the authors' network does.
func (b *builder) averagePool(x feature, p afblock.Window, hint string) feature {
	return x.made(b.node("AveragePool", hint, in(x.v), append(windowAttrs(p), graph.Int("count_include_pad", 1))...), x.c, p)
}

// globalPool averages over the map: [batch, c, 1, 1].
func (b *builder) globalPool(x feature, hint string) feature {
	return feature{v: b.node("GlobalAveragePool", hint, in(x.v)), c: x.c, h: 1, w: 1}
}

// reshape views v in another shape.
func (b *builder) reshape(v *graph.Value, hint string, shape ...int64) *graph.Value {
	return b.node("Reshape", hint, in(v, b.vec(shape...)))
}

// upsample enlarges x to the height and width of like, taking source index
// floor(i·in/out), as PyTorch's nearest does.
func (b *builder) upsample(x, like feature, hint string) feature {
	if x.sized() && x.h == like.h && x.w == like.w {
		return x
	}
	attrs := []*graph.Attribute{
		graph.Str("mode", "nearest"), graph.Str("coordinate_transformation_mode", "asymmetric"), graph.Str("nearest_mode", "floor"),
	}
	y := feature{c: x.c, h: like.h, w: like.w}
	if x.sized() && like.sized() {
		scales := b.floats(1, 1, resizeScale(x.h, like.h), resizeScale(x.w, like.w))
		y.v = b.node("Resize", hint, in(x.v, nil, scales), attrs...)
		return y
	}
	// Sizes known at run time only: join x's batch and channels to like's H, W.
	head := b.node("Gather", hint+".batch_channels", in(b.node("Shape", hint+".shape", in(x.v)), b.vec(0, 1)))
	tail := b.node("Gather", hint+".size", in(b.node("Shape", hint+".like", in(like.v)), b.vec(2, 3)))
	sizes := b.node("Concat", hint+".sizes", in(head, tail), graph.Int("axis", 0))
	y.v = b.node("Resize", hint, in(x.v, nil, nil, sizes), attrs...)
	return y
}

// resizeScale is the float32 scale by which Resize makes out from in with
// source index floor(i·in/out). Rounding of out/in can put the output size,
// which runtimes compute in float32 or float64, or an index off by one, so its
// neighbours are tried too.
func resizeScale(from, to int) float32 {
	exact := float32(to) / float32(from)
	for _, s := range []float32{exact, math.Nextafter32(exact, math.MaxFloat32), math.Nextafter32(exact, 0)} {
		ok := int(s*float32(from)) == to && int(float64(s)*float64(from)) == to
		for i := 0; i < to && ok; i++ {
			ok = int(float32(i)/s) == i*from/to
		}
		if ok {
			return s
		}
	}
	panic(fmt.Sprintf("BUG: no float32 scale resizes %d to %d", from, to))
}
