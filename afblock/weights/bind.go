package weights

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
)

// anySize is a dimension that is read, not checked.
const anySize = -1

// Tensors is where Bind takes tensors from: nil where there is none of a name.
type Tensors interface {
	Tensor(name string) *graph.Tensor
}

// Bind makes the network of a skeleton and the tensors of sd, every shape
// checked. sd must hold nothing else. The error lists all that does not fit.
func (sk *Skeleton) Bind(sd *checkpoint.StateDict) (*afblock.Network, error) {
	b := &binder{sk: sk, from: sd, full: sk.fullKey, used: map[string]bool{}}
	net := b.network()
	var extra []string
	for _, n := range sd.Names() {
		if !b.used[n] {
			extra = append(extra, n)
		}
	}
	if err := b.result(sd.File, extra); err != nil {
		return nil, err
	}
	return net, nil
}

// BindAmong is Bind for tensors among others, by their keys without prefix.
func (sk *Skeleton) BindAmong(from Tensors) (*afblock.Network, error) {
	b := &binder{sk: sk, from: from, full: func(key string) string { return key }, used: map[string]bool{}}
	net := b.network()
	if err := b.result("", nil); err != nil {
		return nil, err
	}
	return net, nil
}

func (sk *Skeleton) fullKey(key string) string {
	return fullKey(afblock.KeyStyle{Prefix: sk.Prefix, FC: sk.FC}, sk.Head.Key, key)
}

// fullKey is a key as the checkpoint spells it; fc is the head's key in the
// network.
func fullKey(style afblock.KeyStyle, fc, key string) string {
	if rest, ok := strings.CutPrefix(key, fc+"."); ok {
		return style.FC + "." + rest
	}
	return style.Prefix + key
}

// binder makes a network and collects what does not fit. What it makes is
// whole only if everything did.
type binder struct {
	sk        *Skeleton
	from      Tensors
	full      func(key string) string
	used      map[string]bool
	frames    int
	missing   []string
	misshapen []checkpoint.Misshapen
	problems  []string
}

// result returns all that did not fit, nil if everything did.
func (b *binder) result(file string, extra []string) error {
	n := len(b.missing) + len(extra) + len(b.misshapen)
	if n+len(b.problems) == 0 {
		return nil
	}
	var reason []string
	if n > 0 {
		reason = append(reason, fmt.Sprintf("%d of its tensors do not fit %s (%d missing, %d extra, %d misshapen)",
			n, cmp.Or(b.sk.kind, "an AF-ResNet of its depth"), len(b.missing), len(extra), len(b.misshapen)))
	}
	return &checkpoint.Error{File: file, Reason: strings.Join(append(reason, b.problems...), "; "),
		Missing: b.missing, Extra: extra, Misshapen: b.misshapen}
}

func (b *binder) network() *afblock.Network {
	sk := b.sk
	b.frames = sk.Frames
	net := &afblock.Network{
		Size: sk.Size, Shell: afblock.StandardShell{}, FineTune: sk.FineTune, Fit: sk.Fit, Tune: sk.Tune, Exporter: sk.Exporter, Keys: afblock.KeyStyle{Prefix: sk.Prefix, FC: sk.FC},
	}
	if sk.Unselected == afblock.UnselectedZero.String() {
		net.Unselected = afblock.UnselectedZero
	}
	stem, c := b.conv(&sk.Stem, anySize, anySize, stemKernel) // of RGB, flow or RGB differences
	net.Stem = afblock.Stem{Conv: *stem, Act: act(cmp.Or(sk.StemAct, afblock.ReLU.String())), Pool: pool(&sk.Pool)}
	for i := range sk.Stages {
		j := &sk.Stages[i]
		stage := &afblock.Stage{Name: j.Name}
		if j.Fusion != nil {
			stage.AF, c = b.afModule(j, c)
		} else {
			stage.Blocks, c = b.blocks(j.Blocks, c)
		}
		net.Stages = append(net.Stages, stage)
	}
	net.Head = b.head(&sk.Head, c)
	if net.Frames = b.frames; b.frames == 0 {
		b.problems = append(b.problems, "its frames a clip (T) cannot be read from it: give them with --frames")
	}
	if len(b.missing)+len(b.misshapen)+len(b.problems) == 0 {
		if err := net.Check(); err != nil {
			b.problems = append(b.problems, "its structure does not hold together: "+err.Error())
		}
	}
	return net
}

// head makes the head over in channels.
func (b *binder) head(j *headJSON, in int64) afblock.Head {
	h := afblock.Head{Act: act(j.Act), Consensus: afblock.Consensus(slices.Index(consensusNames, j.Consensus)), Softmax: j.Softmax}
	if j.Last != nil {
		h.Last, in = b.conv(j.Last, in, anySize, 1)
	}
	if j.Hidden != nil {
		hidden := b.linear(j.Hidden.Key, outOf(j.Hidden.out), in, j.Hidden.Bias)
		h.Hidden, in = &hidden, rowsOf(hidden.Weight)
	}
	h.FC = b.linear(j.Key, anySize, in, j.Bias)
	return h
}

// rowsOf is a matrix's first dimension, anySize if there is none.
func rowsOf(t *graph.Tensor) int64 {
	if t == nil {
		return anySize
	}
	return t.Dims[0]
}

// outOf is how many outputs a layer shall have.
func outOf(out int) int64 {
	if out == 0 {
		return anySize
	}
	return int64(out)
}

// act is an activation that a check has seen; "" is none.
func act(s string) afblock.Act {
	a, _ := afblock.ParseAct(s)
	return a
}

func pool(p *[3]int) *afblock.Window {
	if p == nil || *p == [3]int{} {
		return nil
	}
	return &afblock.Window{Kernel: p[0], Stride: p[1], Pad: p[2]}
}

// take returns the tensor of a key, nil if it is missing (noted if needed) or
// does not fit, which is noted. A tensor that differs only in dimensions of
// size 1 is reshaped: compiled models store some weights so.
func (b *binder) take(key string, needed bool, dims []int64) *graph.Tensor {
	full := b.full(key)
	t := b.from.Tensor(full)
	if t == nil {
		if needed {
			b.missing = append(b.missing, full)
		}
		return nil
	}
	b.used[full] = true
	if d := t.Dims; len(dims) == 2 && len(d) == 4 && d[2] == 1 && d[3] == 1 {
		t = t.Reshaped(d[0], d[1]) // a matrix may be stored as a kernel of one pixel
	}
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

// bias returns the bias of a layer, which may be absent unless it is needed.
func (b *binder) bias(layer string, needed bool, dim int64) *graph.Tensor {
	key := layer + ".bias"
	return b.float32(key, b.take(key, needed && !b.sk.anyBias, []int64{dim}))
}

func (b *binder) float32(key string, t *graph.Tensor) *graph.Tensor {
	if t == nil || t.DType == graph.Float32 {
		return t
	}
	v, err := t.Float32s()
	if err != nil {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.full(key), Expected: "float32", Found: t.DType.String()})
		return nil
	}
	return graph.Float32s(t.Dims, v...)
}

// conv makes a convolution of a k×k window over in channels and returns its
// output channels, anySize if they are not known.
func (b *binder) conv(j *convJSON, in, out, k int64) (*afblock.Conv, int64) {
	c := &afblock.Conv{Key: j.Key, Stride: max(j.Stride, 1), Pad: max(j.Pad, 0), Groups: max(j.Groups, 1)}
	if j.Kernel > 0 {
		k = int64(j.Kernel)
	}
	if j.out > 0 {
		out = int64(j.out)
	}
	perGroup := in
	if c.Groups != 1 || j.grouped {
		perGroup = anySize // checked below
	}
	if c.Weight = b.weight(c.Key+".weight", out, perGroup, k, k); c.Weight != nil {
		out = c.Weight.Dims[0]
		b.groups(c, in, j.grouped)
	}
	c.Bias = b.bias(c.Key, j.Bias, out)
	if j.BN != "" {
		c.BN = b.batchNorm(j, out)
	}
	return c, out
}

func (b *binder) batchNorm(j *convJSON, channels int64) *afblock.BatchNorm {
	n := &afblock.BatchNorm{Key: j.BN, Eps: j.Eps}
	n.Gamma, n.Beta = b.weight(n.Key+".weight", channels), b.weight(n.Key+".bias", channels)
	n.Mean, n.Var = b.weight(n.Key+".running_mean", channels), b.weight(n.Key+".running_var", channels)
	if n.Batches = b.take(n.Key+".num_batches_tracked", false, []int64{}); n.Batches == nil && j.Batches != nil {
		n.Batches = graph.Int64s([]int64{}, *j.Batches)
	}
	return n
}

// groups checks a convolution's groups against its input channels, or reads
// them off the weight's shape.
func (b *binder) groups(c *afblock.Conv, in int64, read bool) {
	if in == anySize {
		return
	}
	out, per, groups := c.Weight.Dims[0], c.Weight.Dims[1], int64(c.Groups)
	if read && per > 0 {
		groups = in / per
	}
	if per <= 0 || groups <= 0 || groups*per != in || out%groups != 0 {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.full(c.Key + ".weight"),
			Expected: fmt.Sprintf("a convolution of %d channels", in), Found: c.Weight.Shape().String()})
		return
	}
	c.Groups = int(groups)
}

// linear makes a linear layer of in inputs.
func (b *binder) linear(key string, out, in int64, bias bool) afblock.Linear {
	l := afblock.Linear{Key: key, Weight: b.weight(key+".weight", out, in)}
	if l.Weight != nil {
		out = l.Weight.Dims[0]
	}
	l.Bias = b.bias(key, bias, out)
	return l
}

// block makes a residual block and returns its output channels.
func (b *binder) block(j *blockJSON, in int64) (*afblock.Block, int64) {
	block := &afblock.Block{Key: j.Key, Act: afblock.ReLU, Residual: afblock.Residual{Pool: pool(j.Pool)}}
	if j.NoReLU {
		block.Act = afblock.Identity
	}
	block.Residual.None = j.NoResidual
	var c int64
	block.Main, c = b.main(j, in)
	block.Shift = b.shift(j, in)
	if p, err := afblock.ParsePattern(j.Schedule); err == nil {
		block.Schedule = &afblock.Schedule{Pattern: p, Nth: j.Nth}
	}
	if j.Conv != nil {
		block.Residual.Conv, _ = b.conv(j.Conv, in, c, 1)
	} else if !j.NoResidual && in != c && in != anySize && c != anySize {
		index := 0
		if j.Pool != nil {
			index = 1
		}
		b.missing = append(b.missing, b.full(fmt.Sprintf("%s.downsample.%d.weight", j.Key, index)))
	}
	return block, c
}

// main makes a block's main path over in channels, and returns its output
// channels.
func (b *binder) main(j *blockJSON, in int64) ([]afblock.Layer, int64) {
	var convs []*afblock.Conv
	for i := range j.Convs {
		var conv *afblock.Conv
		conv, in = b.conv(&j.Convs[i], in, anySize, kernels(len(j.Convs))[i])
		convs = append(convs, conv)
	}
	layers := afblock.Chain(afblock.ReLU, convs...)
	for _, l := range j.Layers {
		switch {
		case l.Conv != nil:
			var conv *afblock.Conv
			conv, in = b.conv(l.Conv, in, anySize, 1)
			layers = append(layers, conv)
		case l.Excite != nil:
			layers = append(layers, b.excite(l.Excite, in))
		default:
			layers = append(layers, act(l.Act))
		}
	}
	return layers, in
}

// excite makes squeeze-and-excitation of channels.
func (b *binder) excite(j *exciteJSON, channels int64) *afblock.SqueezeExcite {
	s := &afblock.SqueezeExcite{Squeeze: b.linear(j.Squeeze.Key, outOf(j.Squeeze.out), channels, j.Squeeze.Bias)}
	s.Excite = b.linear(j.Excite.Key, channels, rowsOf(s.Squeeze.Weight), j.Excite.Bias)
	return s
}

// shift is a block's temporal shift, by its own word or by the share of
// channels that every block shifts.
func (b *binder) shift(j *blockJSON, in int64) *afblock.Shift {
	fold, past := j.Fold, j.PastFirst
	if b.sk.shiftDiv > 0 && in != anySize {
		fold, past = int(in)/b.sk.shiftDiv, b.sk.pastFirst
	}
	if fold <= 0 {
		return nil
	}
	if in != anySize && int64(fold) > in/2 {
		b.problems = append(b.problems, fmt.Sprintf("%s: shifts %d channels either way of %d", j.Key, fold, in))
	}
	return &afblock.Shift{Fold: fold, PastFirst: past, Residual: j.ShiftResidual}
}

func (b *binder) blocks(list []blockJSON, in int64) ([]*afblock.Block, int64) {
	var blocks []*afblock.Block
	for i := range list {
		var block *afblock.Block
		block, in = b.block(&list[i], in)
		blocks = append(blocks, block)
	}
	return blocks, in
}

func (b *binder) afModule(j *stageJSON, in int64) (*afblock.AFModule, int64) {
	b.sameLength(j)
	m := &afblock.AFModule{Groups: j.Groups, Act: afblock.ReLU}
	if j.NoReLU {
		m.Act = afblock.Identity
	}
	a := in
	for i := range j.Ample {
		if i < len(j.Navigation) {
			m.Navigation = append(m.Navigation, b.navigation(&j.Navigation[i], a))
		}
		var block *afblock.Block
		block, a = b.block(&j.Ample[i], a)
		m.Ample = append(m.Ample, block)
	}
	var f int64
	m.Focal, f = b.blocks(j.Focal, in)
	for _, block := range m.Focal {
		for _, c := range block.Convs() {
			if m.Groups == 0 {
				m.Groups = c.Groups
			}
			if c.Weight != nil && c.Groups != m.Groups && !c.Depthwise() {
				b.problems = append(b.problems, fmt.Sprintf("%s: %d groups in a module of %d", c.Key, c.Groups, m.Groups))
			}
		}
	}
	if j.Transform != nil {
		m.Transform, _ = b.conv(j.Transform, a, f, 1)
	}
	if a > 0 && f > 0 {
		if m.Alpha = int(f / a); f%a != 0 {
			b.problems = append(b.problems, fmt.Sprintf("%s: %d channels of the focal branch are no multiple of the ample branch's %d", j.Name, f, a))
		}
	}
	m.Gate = b.gate(j.Gate, f)
	m.Fusion, f = b.block(j.Fusion, f)
	return m, f
}

// sameLength notes what one branch of a module has less than another.
func (b *binder) sameLength(j *stageJSON) {
	n := max(len(j.Ample), len(j.Focal), len(j.Navigation), 1)
	for _, branch := range []struct {
		list string
		have int
	}{{"list_gen", len(j.Navigation)}, {"base_module", len(j.Ample)}, {"refine_module", len(j.Focal)}} {
		for i := branch.have; i < n; i++ {
			b.missing = append(b.missing, b.full(fmt.Sprintf("%s.%s.%d.…", j.Name, branch.list, i)))
		}
	}
}

func (b *binder) gate(j *gateJSON, channels int64) afblock.Gate {
	g := afblock.Gate{Squeeze: afblock.Linear{Key: j.Key1}, Excite: afblock.Linear{Key: j.Key2}}
	squeeze := b.weight(j.Key1+".weight", anySize, channels)
	if squeeze == nil {
		return g
	}
	hidden := squeeze.Dims[0]
	g.Squeeze.Weight, g.Excite.Weight = squeeze, b.weight(j.Key2+".weight", channels, hidden)
	g.Squeeze.Bias, g.Excite.Bias = b.bias(j.Key1, j.Bias[0], hidden), b.bias(j.Key2, j.Bias[1], channels)
	return g
}

// navigation makes a navigation module over in channels. The first one read
// says T if it is not known.
func (b *binder) navigation(j *navigationJSON, in int64) *afblock.Navigation {
	look, _ := b.conv(j.Pool, in, 2, 1)
	n := &afblock.Navigation{Key: j.Key, Look: *look, Choice: afblock.Conv{Key: j.Key2, Stride: 1, Groups: 1}, Cells: b.cells(j.Cells, in)}
	n.Choice.Weight = b.weight(j.Key2+".weight", anySize, anySize, 1, 1)
	if n.Choice.Weight == nil {
		b.bias(j.Key2, false, anySize)
		return n
	}
	rows, cols := n.Choice.Weight.Dims[0], n.Choice.Weight.Dims[1]
	n.Choice.Bias = b.weight(j.Key2+".bias", rows)
	if rows < 2 || rows%2 != 0 || (cols != 2 && cols != rows) {
		b.misshapen = append(b.misshapen, checkpoint.Misshapen{Key: b.full(j.Key2 + ".weight"), Expected: "[2T,2,1,1] or [2T,2T,1,1]", Found: n.Choice.Weight.Shape().String()})
		return n
	}
	n.Choice.Groups = int(rows / cols)
	if p, err := afblock.ParsePattern(j.Fixed); err == nil && n.Spells(p) { // else it was trained, since or always
		n.Fixed = &p
	}
	switch t := int(rows / 2); b.frames {
	case 0:
		b.frames = t
	case t:
	default:
		problem := fmt.Sprintf("its navigation is made for clips of %d frames, not %d", t, b.frames)
		if !slices.Contains(b.problems, problem) {
			b.problems = append(b.problems, problem)
		}
	}
	return n
}

// cells makes what chooses inside the frames over in channels.
func (b *binder) cells(j *cellsJSON, in int64) *afblock.Cells {
	if j == nil {
		return nil
	}
	c := &afblock.Cells{Grid: j.Grid}
	if p, err := afblock.ParseCellPattern(j.Fixed); err == nil {
		c.Fixed = &p
		return c
	}
	look, width := b.conv(j.Look, in, anySize, 3)
	c.Look, c.Choice = *look, afblock.Conv{Key: j.Key2, Stride: 1, Groups: 1}
	c.Choice.Weight = b.weight(j.Key2+".weight", 2, width, 1, 1)
	c.Choice.Bias = b.bias(j.Key2, true, 2)
	return c
}
