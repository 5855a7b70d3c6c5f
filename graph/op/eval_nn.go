package op

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// The operators of neural networks, computed plainly in float64: for small
// constants, for regions around a fixed convolution, and as a reference.

// maxEvalWork bounds the multiply–accumulates of one evaluation: some seconds.
const maxEvalWork = 1 << 31

// toil charges multiply–accumulates.
func toil(counts ...int64) error {
	if n, err := graph.NumElements(counts); err != nil || n > maxEvalWork {
		return fmt.Errorf("%w: %v multiply–accumulates", ErrTooLarge, counts)
	}
	return nil
}

// matMulInto adds the product of matrices [m,k] and [k,n] to dst.
func matMulInto[T number](dst, a, b []T, m, k, n int64) {
	for i := range m {
		row := dst[i*n : (i+1)*n]
		for l := range k {
			x := a[i*k+l]
			for j, y := range b[l*n : (l+1)*n] {
				row[j] += x * y
			}
		}
	}
}

func evalMatMul(c *evalCall) ([]*arr, error) {
	a, b := c.in[0], c.in[1]
	if a.dtype != b.dtype {
		return nil, fmt.Errorf("operands are %s and %s, expected one type", a.dtype, b.dtype)
	}
	shape, err := matMulShape(graph.ShapeOf(a.dims...), graph.ShapeOf(b.dims...))
	if err != nil {
		return nil, err
	}
	// Vectors become matrices, stacks are broadcast.
	ad, bd := a.dims, b.dims
	if len(ad) == 1 {
		ad = []int64{1, ad[0]}
	}
	if len(bd) == 1 {
		bd = []int64{bd[0], 1}
	}
	m, k, n := ad[len(ad)-2], ad[len(ad)-1], bd[len(bd)-1]
	stack, err := broadcastDims(ad[:len(ad)-2], bd[:len(bd)-2])
	if err != nil {
		return nil, err
	}
	dst, err := c.make(a.dtype, shape.Dims())
	if err == nil {
		err = toil(dst.n(), k)
	}
	if err != nil {
		return nil, err
	}
	x, err := c.spread(a.view(ad...), slices.Concat(stack, []int64{m, k}))
	if err != nil {
		return nil, err
	}
	y, err := c.spread(b.view(bd...), slices.Concat(stack, []int64{k, n}))
	if err == nil {
		err = c.spend(x.n() + y.n() + dst.n())
	}
	if err != nil {
		return nil, err
	}
	switch domainOf(a.dtype) {
	case intDomain:
		matMulStack[int64](dst, x, y, m, k, n)
	case uintDomain:
		matMulStack[uint64](dst, x, y, m, k, n)
	case floatDomain:
		matMulStack[float64](dst, x, y, m, k, n)
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", a.dtype)
	}
	return []*arr{dst}, nil
}

func matMulStack[T number](dst, a, b *arr, m, k, n int64) {
	x, y, z := load[T](a), load[T](b), make([]T, dst.n())
	for i := int64(0); i*m*n < int64(len(z)); i++ {
		matMulInto(z[i*m*n:], x[i*m*k:], y[i*k*n:], m, k, n)
	}
	store(dst, z)
}

func evalGemm(c *evalCall) ([]*arr, error) {
	a, b, bias := c.in[0], c.in[1], c.at(2)
	if a.rank() != 2 || b.rank() != 2 {
		return nil, fmt.Errorf("operands have shapes %v and %v, expected matrices", a.dims, b.dims)
	}
	if domainOf(a.dtype) != floatDomain || b.dtype != a.dtype || bias != nil && bias.dtype != a.dtype {
		return nil, errors.New("expected operands of one floating-point type")
	}
	var err error
	for i, x := range []**arr{&a, &b} {
		if c.int([]string{"transA", "transB"}[i], 0) == 0 {
			continue
		}
		d := (*x).dims
		if err = c.scratch((*x).dtype, d); err == nil {
			*x, err = c.strided(*x, []int64{d[1], d[0]}, []int64{1, d[1]})
		}
		if err != nil {
			return nil, err
		}
	}
	m, k, n := a.dims[0], a.dims[1], b.dims[1]
	if b.dims[0] != k {
		return nil, fmt.Errorf("matrices %v and %v do not multiply", a.dims, b.dims)
	}
	dst, err := c.make(a.dtype, []int64{m, n})
	if err == nil {
		err = toil(m, k, n)
	}
	if err == nil {
		err = c.spend(a.n() + b.n() + dst.n())
	}
	if err != nil {
		return nil, err
	}
	z := make([]float64, m*n)
	matMulInto(z, load[float64](a), load[float64](b), m, k, n)
	for i, alpha := 0, float64(c.float("alpha", 1)); i < len(z); i++ {
		z[i] *= alpha
	}
	if bias != nil {
		dims, err := broadcastDims(dst.dims, bias.dims)
		if err != nil || !slices.Equal(dims, dst.dims) {
			return nil, fmt.Errorf("a bias of shape %v does not broadcast to %v", bias.dims, dst.dims)
		}
		if bias, err = c.spread(bias, dims); err != nil {
			return nil, err
		}
		beta := float64(c.float("beta", 1))
		for i, x := range load[float64](bias) {
			z[i] += beta * x
		}
	}
	store(dst, z)
	return []*arr{dst}, nil
}

// slider is a window sliding over the spatial axes of a tensor.
type slider struct {
	in, out []int64 // spatial sizes
	windows []window
}

// slide resolves the windows' padding for spatial sizes.
func (c *evalCall) slide(kernel, in []int64) (*slider, error) {
	ws, err := c.windows(kernel)
	if err != nil {
		return nil, err
	}
	s := &slider{in: in, windows: ws}
	for i := range ws {
		w := &ws[i]
		d, err := w.size(graph.D(in[i]))
		if err != nil {
			return nil, err
		}
		s.out = append(s.out, d.Size)
		switch w.auto {
		case "VALID":
			w.before, w.after = 0, 0
		case "SAME_UPPER", "SAME_LOWER":
			total := max((d.Size-1)*w.stride+w.extent()-in[i], 0)
			w.before, w.after = total/2, total-total/2
			if w.auto == "SAME_LOWER" {
				w.before, w.after = w.after, w.before
			}
		}
	}
	return s, nil
}

// rows calls f for every position of the kernel and every run of outputs along
// the last axis whose input lies inside: count outputs from index out on take
// the inputs from index in on, step apart.
func (s *slider) rows(f func(kernel, out, in, count, step int64)) {
	last := len(s.in) - 1
	kernel := make([]int64, len(s.windows))
	for i, w := range s.windows {
		kernel[i] = w.kernel
	}
	outer := s.out[:last]
	inStride, outStride := graph.Strides(s.in), graph.Strides(s.out)
	for k, at := int64(0), make([]int64, len(kernel)); k < product(kernel); k++ {
		w := s.windows[last]
		shift := at[last]*w.dilation - w.before // input index of output 0
		lo := int64(0)
		if shift < 0 {
			lo = (-shift + w.stride - 1) / w.stride
		}
		hi := s.out[last]
		if end := s.in[last] - shift; end <= 0 {
			hi = 0
		} else {
			hi = min(hi, (end-1)/w.stride+1)
		}
		pos := make([]int64, last)
		for range product(outer) {
			var in, out int64
			inside := lo < hi
			for i, p := range pos {
				j := p*s.windows[i].stride + at[i]*s.windows[i].dilation - s.windows[i].before
				inside = inside && j >= 0 && j < s.in[i]
				in += j * inStride[i]
				out += p * outStride[i]
			}
			if inside {
				f(k, out+lo, in+lo*w.stride+shift, hi-lo, w.stride)
			}
			next(pos, outer)
		}
		next(at, kernel)
	}
}

func evalConv(c *evalCall) ([]*arr, error) {
	x, w, bias := c.in[0], c.in[1], c.at(2)
	if x.rank() < 3 || w.rank() != x.rank() {
		return nil, fmt.Errorf("input has shape %v, weight %v, expected one rank of 3 or more", x.dims, w.dims)
	}
	if domainOf(x.dtype) != floatDomain || w.dtype != x.dtype {
		return nil, errors.New("expected operands of one floating-point type")
	}
	kernel := w.dims[2:]
	if k := c.ints("kernel_shape"); k != nil && !slices.Equal(k, kernel) {
		return nil, fmt.Errorf("kernel_shape %v does not fit weight %v", k, w.dims)
	}
	s, err := c.slide(kernel, x.dims[2:])
	if err != nil {
		return nil, err
	}
	group, maps := c.int("group", 1), w.dims[0]
	if group < 1 || group > x.dims[1] || w.dims[1]*group != x.dims[1] || maps%group != 0 {
		return nil, fmt.Errorf("weight %v in %d groups does not fit %v", w.dims, group, x.dims)
	}
	if bias != nil && (bias.dtype != x.dtype || !slices.Equal(bias.dims, []int64{maps})) {
		return nil, fmt.Errorf("bias is %s%v, expected %s[%d]", bias.dtype, bias.dims, x.dtype, maps)
	}
	dst, err := c.make(x.dtype, slices.Concat(x.dims[:1], []int64{maps}, s.out))
	if err == nil {
		err = toil(append(slices.Clone(w.dims[1:]), dst.n())...)
	}
	if err == nil {
		err = c.spend(x.n() + w.n() + dst.n())
	}
	if err != nil || dst.n() == 0 {
		return []*arr{dst}, err
	}
	in, weight, out := load[float64](x), load[float64](w), make([]float64, dst.n())
	inPlane, outPlane, taps := product(s.in), product(s.out), product(kernel)
	perGroup := w.dims[1]
	for n := range x.dims[0] {
		for m := range maps {
			plane := out[(n*maps+m)*outPlane:][:outPlane]
			if bias != nil {
				b := load[float64](bias.part(m, m+1))[0]
				for i := range plane {
					plane[i] = b
				}
			}
			first := m / (maps / group) * perGroup
			s.rows(func(k, o, i, count, step int64) {
				for ch := range perGroup {
					src := in[(n*x.dims[1]+first+ch)*inPlane+i:]
					f := weight[(m*perGroup+ch)*taps+k]
					for j := range count {
						plane[o+j] += f * src[j*step]
					}
				}
			})
		}
	}
	store(dst, out)
	return []*arr{dst}, nil
}

// pool starts a MaxPool or AveragePool.
func (c *evalCall) pool() (*slider, *arr, error) {
	x, kernel := c.in[0], c.ints("kernel_shape")
	if x.rank() < 3 || len(kernel) != x.rank()-2 {
		return nil, nil, fmt.Errorf("kernel_shape %v does not fit input %v", kernel, x.dims)
	}
	s, err := c.slide(kernel, x.dims[2:])
	if err != nil {
		return nil, nil, err
	}
	dst, err := c.make(x.dtype, slices.Concat(x.dims[:2], s.out))
	if err == nil {
		err = toil(append(slices.Clone(kernel), dst.n())...)
	}
	if err == nil {
		err = c.spend(x.n() + 2*dst.n())
	}
	return s, dst, err
}

func evalMaxPool(c *evalCall) ([]*arr, error) {
	s, dst, err := c.pool()
	if err != nil {
		return nil, err
	}
	var at []int64
	switch domainOf(dst.dtype) {
	case intDomain:
		lowest, _ := intLimits(dst.dtype)
		at = maxPoolInto(dst, c.in[0], s, lowest)
	case floatDomain:
		at = maxPoolInto(dst, c.in[0], s, math.Inf(-1))
	default:
		return nil, fmt.Errorf("afc does not compute with %s tensors", dst.dtype)
	}
	if len(c.n.Outputs()) < 2 || c.n.Outputs()[1] == nil {
		return []*arr{dst, nil}, nil
	}
	if c.int("storage_order", 0) != 0 { // column-major numbering of the elements
		stride := graph.Strides(s.in)
		swapped := slices.Clone(s.in)
		slices.Reverse(swapped)
		weight := graph.Strides(swapped)
		slices.Reverse(weight)
		plane := product(s.in)
		for i, a := range at {
			var j int64
			for k := range s.in {
				j += a % plane / stride[k] % s.in[k] * weight[k]
			}
			at[i] = a/plane*plane + j
		}
	}
	idx, err := c.make(graph.Int64, dst.dims)
	if err != nil {
		return nil, err
	}
	store(idx, at)
	return []*arr{dst, idx}, nil
}

func maxPoolInto[T number](dst, x *arr, s *slider, lowest T) []int64 {
	in, out, at := load[T](x), make([]T, dst.n()), make([]int64, dst.n())
	if len(out) == 0 {
		return at
	}
	for i := range out {
		out[i] = lowest
	}
	inPlane, outPlane := product(s.in), product(s.out)
	for p := range product(x.dims[:2]) {
		s.rows(func(_, o, i, count, step int64) {
			for j := range count {
				from, to := p*inPlane+i+j*step, p*outPlane+o+j
				if v := in[from]; v > out[to] || v != v {
					out[to], at[to] = v, from
				}
			}
		})
	}
	store(dst, out)
	return at
}

func evalAveragePool(c *evalCall) ([]*arr, error) {
	s, dst, err := c.pool()
	if err != nil {
		return nil, err
	}
	x := c.in[0]
	if domainOf(x.dtype) != floatDomain {
		return nil, fmt.Errorf("operand is %s, expected a floating-point type", x.dtype)
	}
	if dst.n() == 0 {
		return []*arr{dst}, nil
	}
	in, out := load[float64](x), make([]float64, dst.n())
	inPlane, outPlane := product(s.in), product(s.out)
	// How many elements each window covers: with padding counted, those of a
	// padded input that the last window of ceil_mode may still overhang.
	size, cover := make([]float64, outPlane), s
	shift := make([]int64, len(s.in))
	if c.int("count_include_pad", 0) != 0 {
		cover = &slider{in: slices.Clone(s.in), out: s.out, windows: slices.Clone(s.windows)}
		for i, w := range s.windows {
			cover.in[i] += w.before + w.after
			shift[i], cover.windows[i].before = w.before, 0
		}
	}
	cover.rows(func(_, o, _, count, _ int64) {
		for j := range count {
			size[o+j]++
		}
	})
	for p := range product(x.dims[:2]) {
		plane := out[p*outPlane:][:outPlane]
		s.rows(func(_, o, i, count, step int64) {
			src := in[p*inPlane+i:]
			for j := range count {
				plane[o+j] += src[j*step]
			}
		})
		for i := range plane {
			plane[i] /= size[i]
		}
	}
	store(dst, out)
	return []*arr{dst}, nil
}

// evalGlobalPool reduces the spatial axes.
func evalGlobalPool(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	if x.rank() < 2 || domainOf(x.dtype) != floatDomain {
		return nil, fmt.Errorf("input is %s%v, expected a floating-point type and rank 2 or more", x.dtype, x.dims)
	}
	dims := slices.Clone(x.dims)
	for i := 2; i < len(dims); i++ {
		dims[i] = 1
	}
	dst, err := c.make(x.dtype, dims)
	if err == nil {
		err = c.spend(dst.n())
	}
	if err != nil {
		return nil, err
	}
	op := map[string]string{"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}[c.n.OpType]
	reduceInto(dst, x, op, math.Inf(-1), math.Inf(1))
	return []*arr{dst}, nil
}

// evalBatchNorm follows the definition of opset 14: in training mode the
// statistics are the batch's, and the running ones move towards them.
func evalBatchNorm(c *evalCall) ([]*arr, error) {
	x := c.in[0]
	training := c.opset >= 14 && c.int("training_mode", 0) != 0
	if c.opset < 14 && len(c.n.Outputs()) > 1 || c.opset < 9 && c.int("spatial", 1) == 0 {
		return nil, errors.New("afc evaluates only inference in this opset")
	}
	if x.rank() < 2 || x.rank() < 3 && x.dims[1] == 0 {
		return nil, fmt.Errorf("input has shape %v, expected rank 2 or more", x.dims)
	}
	channels := x.dims[1]
	var par [4][]float64 // scale, bias, mean, variance
	for i := range par {
		p := c.in[1+i]
		if domainOf(p.dtype) != floatDomain || !slices.Equal(p.dims, []int64{channels}) {
			return nil, fmt.Errorf("input %d is %s%v, expected %d floats", 1+i, p.dtype, p.dims, channels)
		}
		par[i] = load[float64](p)
	}
	dst, err := c.make(x.dtype, x.dims)
	if err == nil {
		err = c.spend(x.n())
	}
	if err != nil {
		return nil, err
	}
	if domainOf(x.dtype) != floatDomain {
		return nil, fmt.Errorf("input is %s, expected a floating-point type", x.dtype)
	}
	v, plane := load[float64](x), product(x.dims[2:])
	each := func(ch int64, f func(x *float64)) {
		for n := range x.dims[0] {
			row := v[(n*channels+ch)*plane:][:plane]
			for i := range row {
				f(&row[i])
			}
		}
	}
	epsilon, momentum := float64(c.float("epsilon", 1e-5)), float64(c.float("momentum", 0.9))
	count := float64(x.dims[0] * plane)
	res := []*arr{dst, nil, nil}
	for ch := range channels {
		mean, variance := par[2][ch], par[3][ch]
		if training {
			var sum, squares float64
			each(ch, func(x *float64) { sum += *x })
			mean = sum / count
			each(ch, func(x *float64) { squares += (*x - mean) * (*x - mean) })
			variance = squares / count
			par[2][ch] = par[2][ch]*momentum + mean*(1-momentum)
			par[3][ch] = par[3][ch]*momentum + variance*(1-momentum)
		}
		scale := par[0][ch] / math.Sqrt(variance+epsilon)
		each(ch, func(x *float64) { *x = (*x-mean)*scale + par[1][ch] })
	}
	store(dst, v)
	for i := 1; i < len(res) && training; i++ {
		if res[i], err = c.make(c.in[2+i].dtype, []int64{channels}); err != nil {
			return nil, err
		}
		store(res[i], par[1+i])
	}
	return res, nil
}

func evalMean(c *evalCall) ([]*arr, error) {
	if domainOf(c.in[0].dtype) != floatDomain {
		return nil, fmt.Errorf("operand is %s, expected a floating-point type", c.in[0].dtype)
	}
	sum, err := evalVariadic(c, "Sum")
	if err != nil {
		return nil, err
	}
	if err := c.scratch(sum[0].dtype, sum[0].dims); err != nil {
		return nil, err
	}
	dst, err := c.make(sum[0].dtype, sum[0].dims)
	if err != nil {
		return nil, err
	}
	n := float64(len(c.in))
	mapInto(dst, sum[0], func(x float64) float64 { return x / n })
	return []*arr{dst}, nil
}
