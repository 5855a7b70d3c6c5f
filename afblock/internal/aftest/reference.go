package aftest

import (
	"math"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Reference runs a afblock.Network as DESIGN and the authors' code define it, frame by
// frame in float64, unaware of ONNX and of lowerings.
type Reference struct {
	Net   *afblock.Network
	Masks [][]float64 // by focal block, by frame
}

// Forward runs one clip of frames and returns the head's answer.
func (r *Reference) Forward(t testing.TB, clip []*Image) []float64 {
	t.Helper()
	r.Masks = nil
	x := r.each(t, clip, func(m *Image) *Image { return maxPool(relu(must(t, m, &r.Net.Stem.Conv)), *r.Net.Stem.Pool) })
	for _, s := range r.Net.Stages {
		if s.AF != nil {
			x = r.module(t, s.AF, x)
			continue
		}
		for _, b := range s.Blocks {
			var mask []float64
			if b.Schedule != nil {
				for _, on := range b.Schedule.Select(len(x)) {
					mask = append(mask, map[bool]float64{true: 1}[on])
				}
			}
			x = r.block(t, b, x, mask)
		}
	}
	w, err := r.Net.Head.FC.Weight.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	bias := make([]float32, r.Net.Head.FC.Weight.Dims[0])
	if r.Net.Head.FC.Bias != nil {
		if bias, err = r.Net.Head.FC.Bias.Float32s(); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]float64, len(bias))
	for _, m := range x {
		for k, v := range gap(m) {
			for o := range out {
				out[o] += float64(w[o*m.c+k]) * v / float64(len(x))
			}
		}
	}
	for o := range out {
		out[o] += float64(bias[o])
	}
	return out
}

func (r *Reference) each(t testing.TB, x []*Image, f func(*Image) *Image) []*Image {
	t.Helper()
	out := make([]*Image, len(x))
	for i := range x {
		out[i] = f(x[i])
	}
	return out
}

// block runs a block; mask, if not nil, multiplies the main path's input.
func (r *Reference) block(t testing.TB, b *afblock.Block, x []*Image, mask []float64) []*Image {
	t.Helper()
	shifted := shiftFrames(x, b.Shift)
	out := make([]*Image, len(x))
	for i := range x {
		m := scaled(shifted[i], 1)
		if mask != nil && r.Net.Unselected == afblock.UnselectedBias {
			m = scaled(m, mask[i])
		}
		for k, c := range b.Convs() {
			if k > 0 {
				m.relu()
			}
			m = must(t, m, c)
		}
		if mask != nil && r.Net.Unselected == afblock.UnselectedZero {
			m = scaled(m, mask[i])
		}
		res := x[i]
		if b.Shift != nil && b.Shift.Residual {
			res = shifted[i]
		}
		if p := b.Residual.Pool; p != nil {
			res = avgPool(res, *p)
		}
		if c := b.Residual.Conv; c != nil {
			res = must(t, res, c)
		}
		out[i] = sum(m, res)
		if b.Act == afblock.ReLU {
			out[i].relu()
		}
	}
	return out
}

func (r *Reference) module(t testing.TB, m *afblock.AFModule, x []*Image) []*Image {
	t.Helper()
	a, f := x, x
	for n := range m.Focal {
		mask := r.navigate(t, m.Navigation[n], a)
		r.Masks = append(r.Masks, mask)
		a = r.block(t, m.Ample[n], a, nil)
		f = r.block(t, m.Focal[n], f, mask)
	}
	for i := range a {
		up := upsample(must(t, a[i], m.Transform), f[i].h, f[i].w)
		g := gateOf(t, &m.Gate, gap(sum(up, f[i])))
		y := scaled(f[i], 1)
		for k := range y.v {
			c := k / (y.h * y.w)
			y.v[k] = g[c]*up.v[k] + (1-g[c])*f[i].v[k]
		}
		f[i] = relu(y)
	}
	return r.block(t, m.Fusion, f, nil)
}

func (r *Reference) navigate(t testing.TB, n *afblock.Navigation, a []*Image) []float64 {
	t.Helper()
	var v []float64 // [2T]
	for _, m := range a {
		pooled := &Image{m.c, 1, 1, gap(m)}
		v = append(v, relu(must(t, pooled, &n.Look)).v...)
	}
	w, err := n.Choice.Weight.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	bias, err := n.Choice.Bias.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	mask := make([]float64, len(a))
	cols := int(n.Choice.Weight.Dims[1])
	for i := range mask {
		var logit [2]float64
		for k := range logit {
			row, from := 2*i+k, 0
			if cols == 2 {
				from = 2 * i
			}
			logit[k] = float64(bias[row])
			for c := range cols {
				logit[k] += float64(w[row*cols+c]) * v[from+c]
			}
		}
		if logit[1] > logit[0] {
			mask[i] = 1
		}
	}
	return mask
}

func gateOf(t testing.TB, g *afblock.Gate, x []float64) []float64 {
	t.Helper()
	linear := func(w, b *graph.Tensor, x []float64) []float64 {
		v, err := w.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float64, w.Dims[0])
		for o := range out {
			for i := range x {
				out[o] += float64(v[o*len(x)+i]) * x[i]
			}
			if b != nil {
				bv, err := b.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				out[o] += float64(bv[o])
			}
		}
		return out
	}
	h := linear(g.Squeeze.Weight, g.Squeeze.Bias, x)
	for i := range h {
		h[i] = max(h[i], 0)
	}
	out := linear(g.Excite.Weight, g.Excite.Bias, h)
	for i := range out {
		out[i] = 1 / (1 + math.Exp(-out[i]))
	}
	return out
}

// Image is a map [c, h, w] in float64.
type Image struct {
	c, h, w int
	v       []float64
}

func zeros(c, h, w int) *Image { return &Image{c, h, w, make([]float64, c*h*w)} }

func (m *Image) relu() {
	for i, x := range m.v {
		m.v[i] = max(x, 0)
	}
}

// must applies a convolution, its bias and its batch normalisation, output
// element by output element.
func must(t testing.TB, m *Image, c *afblock.Conv) *Image {
	t.Helper()
	weight := floats(t, c.Weight)
	k, each := c.Kernel(), c.In()/c.Groups
	out := zeros(c.Out(), (m.h+2*c.Pad-k)/c.Stride+1, (m.w+2*c.Pad-k)/c.Stride+1)
	for i := range out.v {
		o, y, x := i/(out.h*out.w), i/out.w%out.h*c.Stride-c.Pad, i%out.w*c.Stride-c.Pad
		for n := range each {
			from := m.v[(o/(out.c/c.Groups)*each+n)*m.h*m.w:]
			for dy := max(0, -y); dy < k && y+dy < m.h; dy++ {
				for dx := max(0, -x); dx < k && x+dx < m.w; dx++ {
					out.v[i] += float64(weight[((o*each+n)*k+dy)*k+dx]) * from[(y+dy)*m.w+x+dx]
				}
			}
		}
	}
	perChannel := func(f func(o int, x float64) float64) {
		for i, x := range out.v {
			out.v[i] = f(i/(out.h*out.w), x)
		}
	}
	if c.Bias != nil {
		bias := floats(t, c.Bias)
		perChannel(func(o int, x float64) float64 { return x + float64(bias[o]) })
	}
	if bn := c.BN; bn != nil {
		gamma, beta, mean, variance := floats(t, bn.Gamma), floats(t, bn.Beta), floats(t, bn.Mean), floats(t, bn.Var)
		perChannel(func(o int, x float64) float64 {
			return (x-float64(mean[o]))/math.Sqrt(float64(variance[o])+float64(bn.Eps))*float64(gamma[o]) + float64(beta[o])
		})
	}
	return out
}

func floats(t testing.TB, x *graph.Tensor) []float32 {
	t.Helper()
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func relu(m *Image) *Image { m.relu(); return m }

func scaled(m *Image, by float64) *Image {
	out := zeros(m.c, m.h, m.w)
	for i, x := range m.v {
		out.v[i] = x * by
	}
	return out
}

func sum(a, b *Image) *Image {
	out := scaled(a, 1)
	for i, x := range b.v {
		out.v[i] += x
	}
	return out
}

func gap(m *Image) []float64 {
	out := make([]float64, m.c)
	for i, x := range m.v {
		out[i/(m.h*m.w)] += x / float64(m.h*m.w)
	}
	return out
}

// shiftFrames moves channels [0, Fold) one frame back, [Fold, 2·Fold) one on, or
// the other way round.
func shiftFrames(x []*Image, s *afblock.Shift) []*Image {
	if s == nil {
		return x
	}
	out := make([]*Image, len(x))
	for t := range x {
		out[t] = scaled(x[t], 1)
		hw := x[t].h * x[t].w
		for c := range 2 * s.Fold {
			from := t + 1
			if c >= s.Fold != s.PastFirst {
				from = t - 1
			}
			dst := out[t].v[c*hw : (c+1)*hw]
			if clear(dst); from >= 0 && from < len(x) {
				copy(dst, x[from].v[c*hw:])
			}
		}
	}
	return out
}

func pool(m *Image, p afblock.Window, start float64, step func(acc, x float64) float64) *Image {
	out := zeros(m.c, (m.h+2*p.Pad-p.Kernel)/p.Stride+1, (m.w+2*p.Pad-p.Kernel)/p.Stride+1)
	for i := range out.v {
		c, y, x := i/(out.h*out.w), i/out.w%out.h, i%out.w
		acc := start
		for k := range p.Kernel * p.Kernel {
			iy, ix := y*p.Stride+k/p.Kernel-p.Pad, x*p.Stride+k%p.Kernel-p.Pad
			if iy >= 0 && iy < m.h && ix >= 0 && ix < m.w {
				acc = step(acc, m.v[(c*m.h+iy)*m.w+ix])
			}
		}
		out.v[i] = acc
	}
	return out
}

func maxPool(m *Image, p afblock.Window) *Image { return pool(m, p, math.Inf(-1), math.Max) }

func avgPool(m *Image, p afblock.Window) *Image {
	return scaled(pool(m, p, 0, func(a, x float64) float64 { return a + x }), 1/float64(p.Kernel*p.Kernel))
}

// upsample is PyTorch's nearest: source index floor(i·in/out).
func upsample(m *Image, h, w int) *Image {
	out := zeros(m.c, h, w)
	for i := range out.v {
		c, y, x := i/(h*w), i/w%h, i%w
		out.v[i] = m.v[(c*m.h+y*m.h/h)*m.w+x*m.w/w]
	}
	return out
}

// Frames splits a clip [T, C, H, W] into images.
func Frames(t testing.TB, v []float32, n, c, h, w int) []*Image {
	t.Helper()
	if len(v) != n*c*h*w {
		t.Fatalf("clip has %d elements, want %d×%d×%d×%d", len(v), n, c, h, w)
	}
	out := make([]*Image, n)
	for i := range out {
		out[i] = zeros(c, h, w)
		for k := range out[i].v {
			out[i].v[k] = float64(v[i*c*h*w+k])
		}
	}
	return out
}
