package afblock

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// renamed copies a convolution under another key.
func (r *rewriter) renamed(c *Conv, key string) *Conv {
	out := *c
	out.Key = key
	if c.BN != nil {
		bn := *c.BN
		bn.Key = BatchNormKey(key)
		out.BN = &bn
	}
	return &out
}

// block copies a source's block under another key. With StrideFusion it gets
// the stride and the authors' way to have one; with StrideSource it keeps its
// own.
func (r *rewriter) block(b *Block, key string, stride int) *Block {
	out := *b
	var convs []*Conv
	for i, c := range b.Convs() {
		convs = append(convs, r.renamed(c, fmt.Sprintf("%s.conv%d", key, i+1)))
	}
	out.Key, out.Main = key, Chain(ReLU, convs...)
	if r.opt.StrideAt == StrideFusion {
		out.setStride(stride)
	}
	if c := b.Residual.Conv; c != nil {
		conv := r.renamed(c, ResidualKey(key, out.Residual.Pool != nil))
		if r.opt.StrideAt == StrideFusion {
			conv.Stride = 1
		}
		out.Residual.Conv = conv
	}
	return &out
}

// ResidualKey is the key of the residual path's convolution, which is its
// second layer where a pool comes first.
func ResidualKey(block string, pool bool) string {
	if pool {
		return block + ".downsample.1"
	}
	return block + ".downsample.0"
}

// setStride puts a block's stride where the authors have it: in the first 3×3
// convolution, and in an average pool on the residual path. The block's
// convolutions must be its own.
func (b *Block) setStride(stride int) {
	strided := 0
	if b.Bottleneck() {
		strided = 1
	}
	for i, c := range b.Convs() {
		if c.Stride = 1; i == strided {
			c.Stride = stride
		}
	}
	if b.Residual.Pool = nil; stride > 1 {
		b.Residual.Pool = ResidualPool(stride)
	}
}

// grouped turns a block's main convolutions into grouped ones. It changes the
// block it is given.
func (r *rewriter) grouped(b *Block) *Block {
	g := r.opt.Groups
	for _, c := range b.Convs() {
		if g == 1 {
			break
		}
		if c.Out()%g != 0 || c.In()%g != 0 {
			r.refuse(c.Key, "%d and %d channels do not divide into %d groups; --focal-groups 1 leaves them dense", c.In(), c.Out(), g)
			break
		}
		perOut, perIn := c.Out()/g, c.In()/g
		k := c.Kernel()
		var parts [][]byte
		for o := range c.Out() {
			from := o / perOut * perIn
			parts = append(parts, r.rows(c.Weight, (o*c.In()+from)*k*k, perIn*k*k))
		}
		c.Weight = r.joined(c.Weight, []int64{int64(c.Out()), int64(perIn), int64(k), int64(k)}, parts)
		c.Groups = g
	}
	return b
}

// ample makes the ample branch's block of a source's block, reading in
// channels.
func (r *rewriter) ample(b *Block, key string, in int, first bool) *Block {
	out := &Block{Key: key}
	c := in
	var convs []*Conv
	for i, conv := range b.Convs() {
		if conv.Out()%r.opt.Alpha != 0 {
			r.refuse(conv.Key, "%d channels do not divide by alpha %d", conv.Out(), r.opt.Alpha)
			return out
		}
		small := r.leading(conv, fmt.Sprintf("%s.conv%d", key, i+1), conv.Out()/r.opt.Alpha, c)
		convs = append(convs, small)
		c = small.Out()
	}
	out.Main = Chain(ReLU, convs...)
	stride := 1
	if first {
		stride = AmpleStride
	}
	out.setStride(stride)
	if in != c {
		residual := ResidualKey(key, out.Residual.Pool != nil)
		if b.Residual.Conv != nil {
			out.Residual.Conv = r.leading(b.Residual.Conv, residual, c, in)
			out.Residual.Conv.Stride = 1
		} else {
			conv := passOn(residual, c, in)
			out.Residual.Conv = &conv
		}
	}
	if s := b.Shift; s != nil {
		if fold := s.Fold * in / b.In(); fold > 0 {
			out.Shift = &Shift{Fold: fold, PastFirst: s.PastFirst, Residual: s.Residual}
		}
	}
	return out
}

// leading cuts a convolution down to its first out and in channels.
func (r *rewriter) leading(c *Conv, key string, out, in int) *Conv {
	small := r.renamed(c, key)
	if in > c.In() {
		r.refuse(c.Key, "has %d input channels; the ample branch hands it %d", c.In(), in)
		return small
	}
	k2 := c.Kernel() * c.Kernel()
	var parts [][]byte
	for o := range out {
		parts = append(parts, r.rows(c.Weight, o*c.In()*k2, in*k2))
	}
	small.Weight = r.joined(c.Weight, []int64{int64(out), int64(in), int64(c.Kernel()), int64(c.Kernel())}, parts)
	vector := func(t *graph.Tensor) *graph.Tensor {
		if t == nil {
			return nil
		}
		return r.joined(t, []int64{int64(out)}, [][]byte{r.rows(t, 0, out)})
	}
	small.Bias = vector(c.Bias)
	if bn := small.BN; bn != nil {
		bn.Gamma, bn.Beta, bn.Mean, bn.Var = vector(bn.Gamma), vector(bn.Beta), vector(bn.Mean), vector(bn.Var)
	}
	return small
}

// rows returns the bytes of n elements of a tensor from the given one on.
func (r *rewriter) rows(t *graph.Tensor, from, n int) []byte {
	b, err := t.Bytes()
	if err != nil {
		r.refuse(t.Name, "its weights cannot be read: %v", err)
		return nil
	}
	size := t.DType.Size()
	return b[from*size : (from+n)*size]
}

// joined makes a tensor of parts of another one, whose memory it gives back.
func (r *rewriter) joined(like *graph.Tensor, dims []int64, parts [][]byte) *graph.Tensor {
	t, err := graph.NewTensor(like.DType, dims, slices.Concat(parts...))
	like.Release()
	if err != nil {
		r.refuse(like.Name, "its weights cannot be cut to %v: %v", dims, err)
		return like
	}
	return t
}

// passOn makes a 1×1 convolution that hands its leading input channels on;
// outputs beyond them are zero.
func passOn(key string, out, in int) Conv {
	w := make([]float32, out*in)
	for c := range min(out, in) {
		w[c*in+c] = 1
	}
	return Conv{Key: key, Weight: graph.Float32s([]int64{int64(out), int64(in), 1, 1}, w...), Stride: 1, Groups: 1}
}
