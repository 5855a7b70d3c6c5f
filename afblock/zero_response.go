package afblock

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// ZeroResponse is F(0): what a block's main path answers to a zero image. Batch
// norm keeps it from being zero, and each 3×3 convolution, which pads with
// zeros, makes it differ along the border. Inside it is constant, so that a few
// rows and columns stand for all. Squeeze-and-excitation, which sees the mean of
// the map, counts each as often as it stands there.
type ZeroResponse struct {
	Values *graph.Tensor // float32 [1, C, r, s]: the distinct rows and columns
	// Rows and Cols say, for each row and column of the full map, which of
	// Values stands there.
	Rows, Cols []int64
}

// At returns the answer's channels at a place of the full map.
func (z *ZeroResponse) At(c, row, col int) float32 {
	v, err := z.Values.Float32s()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	r, s := int(z.Values.Dims[2]), int(z.Values.Dims[3])
	return v[(c*r+int(z.Rows[row]))*s+int(z.Cols[col])]
}

// ZeroResponse computes F(0) for input maps of the given size, in float64. A
// bottleneck's has up to 3×3 distinct values a channel, a basic block's up to
// 5×5.
func (b *Block) ZeroResponse(size Size) (*ZeroResponse, error) {
	reach := 0 // rows from the border that feel it
	for _, c := range b.Convs() {
		if c.Kernel() > 2*c.Pad+1 {
			return nil, fmt.Errorf("%s: convolution %d×%d with padding %d shrinks the map", c.Key, c.Kernel(), c.Kernel(), c.Pad)
		}
		reach += c.Kernel() / 2
	}
	small := b.smallSize(size, reach)
	x := zeros(b.In(), small[0], small[1])
	x.full, x.reach = size, reach
	m, err := b.respond(x)
	if err != nil {
		return nil, err
	}
	full := b.Through(size)
	return &ZeroResponse{
		Values: graph.Float32s([]int64{1, int64(m.c), int64(m.h), int64(m.w)}, m.float32s()...),
		Rows:   borderClasses(full[0], m.h, reach),
		Cols:   borderClasses(full[1], m.w, reach),
	}, nil
}

// respond is what the main path makes of an image.
func (b *Block) respond(m *image) (*image, error) {
	for _, l := range b.Main {
		var err error
		if m, err = l.respond(m); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Key, err)
		}
	}
	return m, nil
}

// smallSize is the smallest size that shows every border class that size shows:
// both borders, one place between them, and its remainder by the stride, which
// decides what the last window sees.
func (b *Block) smallSize(size Size, reach int) Size {
	stride := b.Stride()
	var out Size
	for i, n := range size {
		out[i] = n
		for small := n % stride; small < n; small += stride {
			if small > 0 && b.Through(Size{small, small})[0] > 2*reach {
				out[i] = small
				break
			}
		}
	}
	return out
}

// borderClasses maps each of n places to the place among small that sees the
// same borders.
func borderClasses(n, small, reach int) []int64 {
	classes := make([]int64, n)
	for i := range classes {
		switch {
		case i < reach || n == small:
			classes[i] = int64(i)
		case n-i <= reach:
			classes[i] = int64(small - (n - i))
		default:
			classes[i] = int64(reach)
		}
	}
	return classes
}

// image is a map [c, h, w] in float64. Its rows and columns stand for those of a
// larger one, full, that see the same borders (borderClasses by reach).
type image struct {
	c, h, w int
	v       []float64

	full  Size
	reach int
}

func zeros(c, h, w int) *image { return &image{c: c, h: h, w: w, v: make([]float64, c*h*w)} }

// means is each channel's mean over the map that the image stands for.
func (m *image) means() []float64 {
	times := func(full, small int) []float64 {
		n := make([]float64, small)
		for _, class := range borderClasses(full, small, m.reach) {
			n[class] += 1 / float64(full)
		}
		return n
	}
	rows, cols := times(m.full[0], m.h), times(m.full[1], m.w)
	means := make([]float64, m.c)
	for i, x := range m.v {
		means[i/(m.h*m.w)] += x * rows[i/m.w%m.h] * cols[i%m.w]
	}
	return means
}

func (m *image) float32s() []float32 {
	out := make([]float32, len(m.v))
	for i, x := range m.v {
		out[i] = float32(x)
	}
	return out
}

// respond applies the convolution and its batch norm.
func (c *Conv) respond(m *image) (*image, error) {
	weight, err := c.Weight.Float32s()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Key, err)
	}
	scale, shift, err := c.normAsAffine()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Key, err)
	}
	k := c.Kernel()
	size := Size{m.h, m.w}.Through(c.Window())
	out := zeros(c.Out(), size[0], size[1])
	out.full, out.reach = m.full.Through(c.Window()), m.reach
	each := c.In() / c.Groups // input channels an output channel reads
	silent := m.silent()
	for o := range out.c {
		first := o / (out.c / c.Groups) * each
		sum := out.v[o*out.h*out.w : (o+1)*out.h*out.w]
		for i := range each {
			if silent[first+i] {
				continue
			}
			taps := weight[(o*each+i)*k*k : (o*each+i+1)*k*k]
			for t, w := range taps {
				m.addTap(sum, out.h, out.w, first+i, float64(w), c.Stride, t/k-c.Pad, t%k-c.Pad)
			}
		}
		for p := range sum {
			sum[p] = sum[p]*scale[o] + shift[o]
		}
	}
	return out, nil
}

// addTap adds weight times channel c, moved by (dy, dx), to the map sum [h, w].
func (m *image) addTap(sum []float64, h, w, c int, weight float64, stride, dy, dx int) {
	for y := range h {
		iy := y*stride + dy
		if iy < 0 || iy >= m.h {
			continue
		}
		row := m.v[(c*m.h+iy)*m.w : (c*m.h+iy+1)*m.w]
		for x := range w {
			if ix := x*stride + dx; ix >= 0 && ix < m.w {
				sum[y*w+x] += weight * row[ix]
			}
		}
	}
}

// silent says which channels are zero all over: all of the block's input, and
// about half of what a ReLU leaves.
func (m *image) silent() []bool {
	zero := make([]bool, m.c)
	for c := range zero {
		zero[c] = !slices.ContainsFunc(m.v[c*m.h*m.w:(c+1)*m.h*m.w], func(x float64) bool { return x != 0 })
	}
	return zero
}
