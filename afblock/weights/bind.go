package weights

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
)

// anySize is a dimension that is read, not checked.
const anySize = -1

// binder gives a planned network its tensors and collects what does not fit.
type binder struct {
	net       *afblock.Network
	sd        *checkpoint.StateDict
	used      map[string]bool
	missing   []string
	misshapen []checkpoint.Misshapen
	problems  []string
}

// bind fills a planned network with the tensors of sd and checks every shape.
// sd must hold nothing else.
func bind(net *afblock.Network, sd *checkpoint.StateDict) error {
	b := newBinder(net, sd)
	b.network()
	var extra []string
	for _, n := range sd.Names() {
		if !b.used[n] {
			extra = append(extra, n)
		}
	}
	if err := b.result(extra); err != nil {
		return err
	}
	return nil
}

// BindSome is bind for an sd that may hold more.
func BindSome(net *afblock.Network, sd *checkpoint.StateDict) *checkpoint.Error {
	b := newBinder(net, sd)
	b.network()
	return b.result(nil)
}

func newBinder(net *afblock.Network, sd *checkpoint.StateDict) *binder {
	return &binder{net: net, sd: sd, used: map[string]bool{}}
}

// result returns all that did not fit, nil if everything did.
func (b *binder) result(extra []string) *checkpoint.Error {
	n := len(b.missing) + len(extra) + len(b.misshapen)
	if n+len(b.problems) == 0 {
		return nil
	}
	var reason []string
	if n > 0 {
		reason = append(reason, fmt.Sprintf("%d of its tensors do not fit an AF-ResNet of its depth (%d missing, %d extra, %d misshapen)",
			n, len(b.missing), len(extra), len(b.misshapen)))
	}
	return &checkpoint.Error{File: b.sd.File, Reason: strings.Join(append(reason, b.problems...), "; "),
		Missing: b.missing, Extra: extra, Misshapen: b.misshapen}
}

func (b *binder) network() {
	net := b.net
	c := b.conv(&net.Stem.Conv, anySize, anySize, 7) // of RGB, flow or RGB differences
	for _, s := range net.Stages {
		if s.AF != nil {
			c = b.afModule(s.Name, s.AF, c)
			continue
		}
		for _, block := range s.Blocks {
			c = b.block(block, c)
		}
	}
	h := &net.Head
	classes := int64(anySize)
	if h.Weight = b.weight(h.Key+".weight", anySize, c); h.Weight != nil {
		classes = h.Weight.Dims[0]
	}
	h.Bias = b.bias(h.Bias, h.Key, classes)
	if net.Frames == 0 {
		b.problems = append(b.problems, "its frames a clip (T) cannot be read from it: give them with --frames")
	}
	if len(b.missing)+len(b.misshapen)+len(b.problems) == 0 {
		if err := net.Check(); err != nil {
			b.problems = append(b.problems, "its structure does not hold together: "+err.Error())
		}
	}
}

// take returns the tensor of a key, nil if it is missing (noted if needed) or
// does not fit, which is noted. A tensor that differs only in dimensions of
// size 1 is reshaped: compiled models store some weights so.
func (b *binder) take(key string, needed bool, dims []int64) *graph.Tensor {
	full := b.net.FullKey(key)
	t := b.sd.Tensor(full)
	if t == nil {
		if needed {
			b.missing = append(b.missing, full)
		}
		return nil
	}
	b.used[full] = true
	fits := len(dims) == len(t.Dims)
	for i := 0; fits && i < len(dims); i++ {
		fits = dims[i] == anySize || dims[i] == t.Dims[i]
	}
	if !fits {
		expected := make(graph.Shape, len(dims))
		for i, d := range dims {
			if expected[i] = graph.D(d); d == anySize {
				expected[i] = graph.Sym("")
			}
		}
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: full, Expected: expected.String(), Found: t.Shape().String()})
		return nil
	}
	return t
}

// weight returns the floating-point tensor of a key as float32.
func (b *binder) weight(key string, dims ...int64) *graph.Tensor {
	return b.float32(key, b.take(key, true, dims))
}

// bias returns the bias of a layer: planned is nil where it may be absent.
func (b *binder) bias(planned *graph.Tensor, layer string, dim int64) *graph.Tensor {
	key := layer + ".bias"
	return b.float32(key, b.take(key, planned != nil, []int64{dim}))
}

func (b *binder) float32(key string, t *graph.Tensor) *graph.Tensor {
	if t == nil || t.DType == graph.Float32 {
		return t
	}
	v, err := t.Float32s()
	if err != nil {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.net.FullKey(key), Expected: "float32", Found: t.DType.String()})
		return nil
	}
	return graph.Float32s(t.Dims, v...)
}

// conv fills a convolution of a k×k window over in channels and returns its
// output channels, anySize if they are not known.
func (b *binder) conv(c *afblock.Conv, in, out, k int64) int64 {
	perGroup := in
	if c.Groups != 1 || in == anySize {
		perGroup = anySize // checked below
	}
	if c.Weight = b.weight(c.Key+".weight", out, perGroup, k, k); c.Weight != nil {
		out = c.Weight.Dims[0]
		b.groups(c, in)
	}
	c.Bias = b.bias(c.Bias, c.Key, out)
	if c.BN == nil {
		return out
	}
	for _, v := range []struct {
		name string
		to   **graph.Tensor
	}{{"weight", &c.BN.Gamma}, {"bias", &c.BN.Beta}, {"running_mean", &c.BN.Mean}, {"running_var", &c.BN.Var}} {
		*v.to = b.weight(c.BN.Key+"."+v.name, out)
	}
	if t := b.take(c.BN.Key+".num_batches_tracked", false, []int64{}); t != nil {
		c.BN.Batches = t
	}
	return out
}

// groups checks a convolution's groups against its input channels, or reads
// them off the weight's shape if they are 0.
func (b *binder) groups(c *afblock.Conv, in int64) {
	if in == anySize {
		return
	}
	out, per, groups := c.Weight.Dims[0], c.Weight.Dims[1], int64(c.Groups)
	if groups == 0 && per > 0 {
		groups = in / per
	}
	if per <= 0 || groups <= 0 || groups*per != in || out%groups != 0 {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.net.FullKey(c.Key + ".weight"),
			Expected: fmt.Sprintf("a convolution of %d channels", in), Found: c.Weight.Shape().String()})
		return
	}
	c.Groups = int(groups)
}

// block fills a residual block and returns its output channels.
func (b *binder) block(block *afblock.Block, in int64) int64 {
	kernels := []int64{3, 3}
	if block.Bottleneck() {
		kernels = []int64{1, 3, 1}
	}
	c := in
	for i, conv := range block.Convs {
		c = b.conv(conv, c, anySize, kernels[i])
	}
	if s := block.Shift; s != nil && s.Fold < 0 {
		if block.Shift = nil; in != anySize && in/int64(-s.Fold) > 0 {
			block.Shift = &afblock.Shift{Fold: int(in) / -s.Fold, Residual: s.Residual}
		}
	}
	if s := block.Shift; s != nil && in != anySize && int64(s.Fold) > in/2 {
		b.problems = append(b.problems, fmt.Sprintf("%s: shifts %d channels either way of %d", block.Key, s.Fold, in))
	}
	if d := block.Downsample.Conv; d != nil {
		b.conv(d, in, c, 1)
	} else if in != c && in != anySize && c != anySize {
		index := 0
		if block.Downsample.Pool != nil {
			index = 1
		}
		b.missing = append(b.missing, b.net.FullKey(fmt.Sprintf("%s.downsample.%d.weight", block.Key, index)))
	}
	return c
}

func (b *binder) afModule(name string, m *afblock.AFModule, in int64) int64 {
	n := max(len(m.Ample), len(m.Focal), len(m.Navigation), 1)
	for _, branch := range []struct {
		list string
		have int
	}{{"list_gen", len(m.Navigation)}, {"base_module", len(m.Ample)}, {"refine_module", len(m.Focal)}} {
		for i := branch.have; i < n; i++ {
			b.missing = append(b.missing, b.net.FullKey(fmt.Sprintf("%s.%s.%d.…", name, branch.list, i)))
		}
	}
	a, f := in, in
	for i, block := range m.Ample {
		if i < len(m.Navigation) {
			b.navigation(m.Navigation[i], a)
		}
		a = b.block(block, a)
	}
	for _, block := range m.Focal {
		f = b.block(block, f)
		for _, c := range block.Convs {
			if m.Groups == 0 {
				m.Groups = c.Groups
			}
			if c.Groups != m.Groups && c.Weight != nil {
				b.problems = append(b.problems, fmt.Sprintf("%s: %d groups in a module of %d", c.Key, c.Groups, m.Groups))
			}
		}
	}
	b.conv(&m.Transform, a, f, 1)
	if a > 0 && f > 0 {
		if m.Alpha = int(f / a); f%a != 0 {
			b.problems = append(b.problems, fmt.Sprintf("%s: %d channels of the focal branch are no multiple of the ample branch's %d", name, f, a))
		}
	}
	g := &m.Gate
	if g.W1 = b.weight(g.Key1+".weight", anySize, f); g.W1 != nil {
		hidden := g.W1.Dims[0]
		g.W2 = b.weight(g.Key2+".weight", f, hidden)
		g.B1, g.B2 = b.bias(g.B1, g.Key1, hidden), b.bias(g.B2, g.Key2, f)
	}
	return b.block(m.Fusion, f)
}

// navigation fills a navigation module over in channels. The first one read
// sets the network's T if it is not known.
func (b *binder) navigation(n *afblock.Navigation, in int64) {
	b.conv(&n.Pool, in, 2, 1)
	n.Weight = b.weight(n.Key2+".weight", anySize, anySize, 1, 1)
	if n.Weight == nil {
		b.bias(nil, n.Key2, anySize)
		return
	}
	rows := n.Weight.Dims[0]
	n.Bias = b.weight(n.Key2+".bias", rows)
	if cols := n.Weight.Dims[1]; rows < 2 || rows%2 != 0 || (cols != 2 && cols != rows) {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.net.FullKey(n.Key2 + ".weight"), Expected: "[2T,2,1,1] or [2T,2T,1,1]", Found: n.Weight.Shape().String()})
		return
	}
	if n.Fixed != nil && !n.Spells(*n.Fixed) {
		n.Fixed = nil // trained since
	}
	switch t := int(rows / 2); b.net.Frames {
	case 0:
		b.net.Frames = t
	case t:
	default:
		problem := fmt.Sprintf("its navigation is made for clips of %d frames, not %d", t, b.net.Frames)
		if !slices.Contains(b.problems, problem) {
			b.problems = append(b.problems, problem)
		}
	}
}
