package codegen

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// borderKernel returns the kernel [C, 1, k, k] whose convolution with a map of
// ones, padded with zeros, is F(0) on maps of the given size: what the border
// cuts off the window is what sets the border's values apart. It returns nil
// where the map is too small or strided for that.
//
// A convolution is the one producer that ONNX Runtime fuses a following Add and
// Relu into, in its blocked layout; a stored map would cost a pass of its own.
func (b *builder) borderKernel(blk *afblock.Block, size afblock.Size) (*graph.Tensor, error) {
	if !b.opt.takes(BorderKernel) {
		return nil, nil
	}
	z, err := b.zeroResponse(blk, size)
	if err != nil {
		return nil, err
	}
	reach := 0
	for _, c := range blk.Convs() {
		reach += c.Kernel() / 2
	}
	k := 2*reach + 1
	if blk.Stride() != 1 || int(z.Values.Dims[2]) != k || int(z.Values.Dims[3]) != k {
		return nil, nil
	}
	values, err := z.Values.Float32s()
	if err != nil {
		return nil, err
	}
	kernel := make([]float32, len(values))
	for c := 0; c < len(values); c += k * k {
		var m [5][5]float64 // k is 3 or 5
		line := make([]float64, k)
		for y := range k {
			for x := range k {
				line[x] = float64(values[c+y*k+x])
			}
			copy(m[y][:], borderTaps(line))
		}
		for x := range k {
			for y := range k {
				line[y] = m[y][x]
			}
			for y, v := range borderTaps(line) {
				kernel[c+y*k+x] = float32(v)
			}
		}
	}
	return graph.Float32s([]int64{z.Values.Dims[1], 1, int64(k), int64(k)}, kernel...), nil
}

// borderTaps solves one dimension: the taps of a window of 2r+1 which, over a
// line of ones, sum to classes: r values at the first border, the inner one,
// and r at the last. Each step away from a border brings one more tap in.
func borderTaps(classes []float64) []float64 {
	k := len(classes)
	r := k / 2
	taps := make([]float64, k)
	taps[r] = classes[r]
	for i := 1; i <= r; i++ {
		taps[r-i] = classes[i] - classes[i-1]
		taps[r+i] = classes[k-1-i] - classes[k-i]
		taps[r] -= taps[r-i] + taps[r+i]
	}
	return taps
}

// onesMap is a map of ones [1, 1, h, w] in a Scan's body, made at first use.
type onesMap struct {
	body    *builder
	choice  *graph.Value // the frame's, bool
	h, w    int
	hint    string
	emitted *graph.Value
}

// value emits the map, so that ONNX Runtime cannot compute it when it loads the
// model: it would store borderKernel's convolution as a map.
func (o *onesMap) value() *graph.Value {
	if o.emitted == nil {
		b := o.body
		always := b.node("Or", o.hint+".always", in(o.choice, b.node("Not", o.hint+".not", in(o.choice))))
		one := b.node("Where", o.hint+".one", in(always, b.floats(1), b.floats(0)))
		o.emitted = b.node("Expand", o.hint, in(one, b.vec(1, 1, int64(o.h), int64(o.w))))
	}
	return o.emitted
}
