package afblock

import (
	"fmt"
	"strings"

	"github.com/afc-project/afc/graph"
)

// StrideAt says where the stride between two AF modules sits.
type StrideAt int

const (
	// StrideFusion: in the fusion block that ends the first of them (authors).
	StrideFusion StrideAt = iota
	// StrideSource: in the first block of the second, as ResNets have it.
	StrideSource
)

func (s StrideAt) String() string {
	if s == StrideSource {
		return "source"
	}
	return "fusion"
}

// StrideLayout returns, by stage, the stride of its first block and of the
// fusion block that ends it, given which stages are AF modules and the stride
// each has on entry. Between two AF modules StrideFusion moves it from the
// entry of the second to the end of the first; a plain stage keeps its own.
func StrideLayout(af []bool, entry []int, at StrideAt) (first, last []int) {
	first, last = append([]int(nil), entry...), make([]int, len(af))
	for i := range af {
		last[i] = 1
		if at == StrideFusion && i > 0 && af[i] && af[i-1] {
			last[i-1], first[i] = first[i], 1
		}
	}
	return first, last
}

// AmpleStride is the stride of the ample branch's first block: it works at half
// the resolution of what it reads.
const AmpleStride = 2

// ResidualPool is the average pool that stands for a stride on the authors'
// residual paths.
func ResidualPool(stride int) *Window { return &Window{Kernel: 3, Stride: stride, Pad: 1} }

// BatchNormEps is PyTorch's default, which the authors keep.
const BatchNormEps = 1e-5

// BatchNormKey is the key of the batch normalisation behind a convolution:
// conv2 → bn2, conv_pool → bn, downsample.0 → downsample.1.
func BatchNormKey(conv string) string {
	dot := strings.LastIndexByte(conv, '.') + 1
	parent, name := conv[:dot], conv[dot:]
	if n := 0; strings.Trim(name, "0123456789") == "" {
		fmt.Sscan(name, &n)
		return fmt.Sprintf("%s%d", parent, n+1)
	}
	return parent + "bn" + strings.TrimPrefix(strings.TrimPrefix(name, "conv"), "_pool")
}

// fill makes a vector of n times v.
func fill(n int, v float32) *graph.Tensor {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return graph.Float32s([]int64{int64(n)}, x...)
}
