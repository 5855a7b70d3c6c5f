package afblock

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// averagePool computes GlobalAveragePool, or AveragePool without padding, over
// any number of axes: what a head may average maps or frames with.
func averagePool(n *graph.Node, t *graph.Tensor) (*graph.Tensor, error) {
	x, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	if len(t.Dims) < 3 {
		return nil, fmt.Errorf("%s on shape %v", n.OpType, t.Dims)
	}
	in := t.Dims[2:]
	kernel, strides := slices.Clone(in), slices.Clone(in)
	if n.Is("AveragePool") {
		kernel = n.AttrInts("kernel_shape")
		if strides = n.AttrInts("strides"); strides == nil {
			strides = slices.Repeat([]int64{1}, len(in))
		}
		padded := slices.ContainsFunc(n.AttrInts("pads"), func(p int64) bool { return p != 0 })
		if padded || n.AttrString("auto_pad", "NOTSET") != "NOTSET" || len(kernel) != len(in) || len(strides) != len(in) {
			return nil, fmt.Errorf("average pool of kernel %v with padding %v", kernel, n.AttrInts("pads"))
		}
	}
	size := slices.Clone(in)
	for i := range size {
		if kernel[i] < 1 || strides[i] < 1 || kernel[i] > in[i] {
			return nil, fmt.Errorf("kernel %v, strides %v on shape %v", kernel, strides, t.Dims)
		}
		size[i] = (in[i]-kernel[i])/strides[i] + 1
	}
	maps := elements(t.Dims[:2])
	area, window := elements(in), elements(kernel)
	out := make([]float32, 0, maps*elements(size))
	steps := strideOffsets(in, size, strides)
	taps := strideOffsets(in, kernel, slices.Repeat([]int64{1}, len(in)))
	for m := range maps {
		for _, at := range steps {
			var s float64
			for _, tap := range taps {
				s += float64(x[m*area+at+tap])
			}
			out = append(out, float32(s/float64(window)))
		}
	}
	return graph.Float32s(slices.Concat(t.Dims[:2], size), out...), nil
}

// strideOffsets lists, in row-major order, the offsets in a map of the given
// size of count positions an axis, stride apart.
func strideOffsets(size, count, stride []int64) []int64 {
	at := []int64{0}
	for i, inner := range strides(size) {
		var next []int64
		for _, a := range at {
			for k := range count[i] {
				next = append(next, a+k*stride[i]*inner)
			}
		}
		at = next
	}
	return at
}
