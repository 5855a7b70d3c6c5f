package interpret

import (
	"math"
	"runtime"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
)

// Map is the feature map of one frame, [C, H, W].
type Map struct {
	C, H, W int
	V       []float64

	single bool // what is made of it is rounded to float32 (Given.Single)
}

func newMap(c, h, w int) *Map { return &Map{C: c, H: h, W: w, V: make([]float64, c*h*w)} }

// like is an empty map of another size that rounds as m does.
func (m *Map) like(c, h, w int) *Map {
	out := newMap(c, h, w)
	out.single = m.single
	return out
}

// rounded is a number as a map that rounds keeps it.
func (m *Map) rounded(x float64) float64 {
	if m.single {
		return float64(float32(x))
	}
	return x
}

func (m *Map) clone() *Map {
	out := m.like(m.C, m.H, m.W)
	copy(out.V, m.V)
	return out
}

// plane is one channel.
func (m *Map) plane(c int) []float64 { return m.V[c*m.H*m.W : (c+1)*m.H*m.W] }

// each makes a map of each, several at a time.
func each(maps []*Map, f func(i int, m *Map) *Map) []*Map {
	out := make([]*Map, len(maps))
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, m := range maps {
		free <- struct{}{}
		wg.Go(func() {
			out[i] = f(i, m)
			<-free
		})
	}
	wg.Wait()
	return out
}

// through is the size behind windows of a kernel over n rows or columns.
func through(n, kernel, stride, pad int) int { return (n+2*pad-kernel)/stride + 1 }

// apply convolves a map: for each group, the weights [out, in·window] times the
// windows [in·window, places].
func (c *conv) apply(m *Map) *Map {
	out := m.like(c.out, through(m.H, c.kernel, c.stride, c.pad), through(m.W, c.kernel, c.stride, c.pad))
	places, rows := out.H*out.W, c.in/c.groups*c.window
	perOut := c.out / c.groups
	for g := range c.groups {
		x := m.V[g*c.in/c.groups*m.H*m.W : (g+1)*c.in/c.groups*m.H*m.W]
		if c.window > 1 || c.stride > 1 || c.pad > 0 {
			x = c.windows(x, m.H, m.W, out.H, out.W)
		}
		product(out.single, perOut, rows, places, c.weight[g*perOut*rows:(g+1)*perOut*rows], x, out.V[g*perOut*places:(g+1)*perOut*places])
	}
	for o := range c.out {
		p := out.plane(o)
		for i := range p {
			p[i] = out.rounded(out.rounded(p[i])*c.scale[o] + c.offset[o])
		}
	}
	return out
}

// product is the matrix a [n, k] times b [k, m], in float32 where single: every
// product and every sum of two rounds, as a runtime rounds them.
func product(single bool, n, k, m int, a, b, out []float64) {
	if !single {
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1,
			blas64.General{Rows: n, Cols: k, Stride: k, Data: a},
			blas64.General{Rows: k, Cols: m, Stride: m, Data: b}, 0,
			blas64.General{Rows: n, Cols: m, Stride: m, Data: out})
		return
	}
	sums := make([]float32, n*m)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1,
		blas32.General{Rows: n, Cols: k, Stride: k, Data: narrowed(a)},
		blas32.General{Rows: k, Cols: m, Stride: m, Data: narrowed(b)}, 0,
		blas32.General{Rows: n, Cols: m, Stride: m, Data: sums})
	for i, x := range sums {
		out[i] = float64(x)
	}
}

func narrowed(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

// windows lays out what each weight of the kernel sees, zero beyond the border:
// [in·window, outH·outW].
func (c *conv) windows(x []float64, h, w, outH, outW int) []float64 {
	in := c.in / c.groups
	cols := make([]float64, in*c.window*outH*outW)
	row := cols
	for ch := range in {
		for k := range c.window {
			for oy := range outH {
				y := oy*c.stride + k/c.kernel - c.pad
				if y < 0 || y >= h {
					continue
				}
				for ox := range outW {
					if at := ox*c.stride + k%c.kernel - c.pad; at >= 0 && at < w {
						row[oy*outW+ox] = x[(ch*h+y)*w+at]
					}
				}
			}
			row = row[outH*outW:]
		}
	}
	return cols
}

// pooled folds each window of each channel, leaving out what lies beyond the
// border.
func (p window) pooled(m *Map, start float64, fold func(acc, x float64) float64) *Map {
	out := m.like(m.C, through(m.H, p.kernel, p.stride, p.pad), through(m.W, p.kernel, p.stride, p.pad))
	for c := range m.C {
		from, to := m.plane(c), out.plane(c)
		for i := range to {
			top, left := i/out.W*p.stride-p.pad, i%out.W*p.stride-p.pad
			acc := start
			for y := max(top, 0); y < min(top+p.kernel, m.H); y++ {
				for x := max(left, 0); x < min(left+p.kernel, m.W); x++ {
					acc = fold(acc, from[y*m.W+x])
				}
			}
			to[i] = acc
		}
	}
	return out
}

func (p window) maximum(m *Map) *Map { return p.pooled(m, math.Inf(-1), math.Max) }

// average counts the zeros beyond the border, as PyTorch's AvgPool2d does.
func (p window) average(m *Map) *Map {
	out := p.pooled(m, 0, func(acc, x float64) float64 { return acc + x })
	for i := range out.V {
		out.V[i] /= float64(p.kernel * p.kernel)
	}
	return out
}

// relu clears what is negative, in place. A NaN stays.
func (m *Map) relu() *Map {
	for i, x := range m.V {
		if x < 0 {
			m.V[i] = 0
		}
	}
	return m
}

// each applies a function to every number, in place.
func (m *Map) each(f function) *Map {
	if f != nil {
		for i, x := range m.V {
			m.V[i] = f(x)
		}
	}
	return m
}

// plus is the sum of two maps.
func (m *Map) plus(other *Map) *Map {
	out := m.clone()
	for i, x := range other.V {
		out.V[i] += x
	}
	return out
}

// means is the average of each channel.
func (m *Map) means() []float64 {
	out := make([]float64, m.C)
	for c := range out {
		for _, x := range m.plane(c) {
			out[c] += x
		}
		out[c] /= float64(m.H * m.W)
	}
	return out
}

// nearest resizes as PyTorch's nearest does: row y of h comes from floor(y·H/h).
func (m *Map) nearest(h, w int) *Map {
	out := m.like(m.C, h, w)
	for c := range m.C {
		from, to := m.plane(c), out.plane(c)
		for i := range to {
			to[i] = from[i/w*m.H/h*m.W+i%w*m.W/w]
		}
	}
	return out
}

// apply multiplies a vector.
func (l *linear) apply(x []float64) []float64 {
	out := make([]float64, l.out)
	for o := range out {
		out[o] = l.bias[o]
		for i, w := range l.weight[o*l.in : (o+1)*l.in] {
			out[o] += w * x[i]
		}
	}
	return out
}
