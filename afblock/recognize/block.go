package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// maxBranch bounds the nodes of a block's branch: a bottleneck has eight.
const maxBranch = 10

// branch is a way from a block's input to its sum.
type branch struct {
	start  flow
	ops    []*graph.Node // computing nodes on the way, none for the identity
	mask   *product      // that multiplies its frames on the way, nil: none
	maskAt int           // behind how many of ops
	add    *graph.Node   // the sum it ends in
	index  int           // as which operand
}

// isBlock reports whether a convolution is among the readers of x: a head
// pools before it multiplies.
func isBlock(rs []reader) bool {
	return slices.ContainsFunc(rs, func(u reader) bool { return u.node.Is("Conv") })
}

// block reads the residual block whose input is x, and returns the value that
// comes out of it.
func (r *recognizer) block(x *graph.Value, rs []reader) (*afblock.Block, *graph.Value, error) {
	if len(rs) < 2 {
		var n *graph.Node
		if len(rs) > 0 {
			n = rs[0].node
		}
		return nil, nil, r.refuse(n, "a residual block: a convolution and a sum reading "+quote(x), listReaders(rs)+" alone",
			"the network is no ResNet of basic or bottleneck blocks")
	}
	branches, err := r.branches(x, rs)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range branches {
		if b.mask != nil {
			return nil, nil, r.refuse(b.mask.node, "a residual block", "a product with a mask of frames", "masks are read in AF modules, beside the navigation that makes them")
		}
	}
	if len(branches) != 2 || !meet(branches[0], branches[1]) {
		return nil, nil, r.refuse(rs[0].node, "two branches that meet in one sum", fmt.Sprintf("%s reading %q", listReaders(rs), x), "")
	}
	return r.residual(x, branches[0], branches[1], false)
}

// branches follows readers of x to the sums that they end in.
func (r *recognizer) branches(x *graph.Value, rs []reader) ([]branch, error) {
	var list []branch
	for _, u := range rs {
		b, err := r.branch(x, u)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// meet reports whether two branches are the operands of one sum.
func meet(a, b branch) bool { return a.add == b.add && a.index != b.index }

// residual makes the block of two branches that meet, the longer of which is
// the main one; its convolutions may be in groups. It returns what comes out.
func (r *recognizer) residual(x *graph.Value, main, side branch, groups bool) (*afblock.Block, *graph.Value, error) {
	if len(main.ops) < len(side.ops) {
		main, side = side, main
	}
	b := &afblock.Block{}
	if err := r.mainBranch(b, x, main, groups); err != nil {
		return nil, nil, err
	}
	if err := r.residualPath(b, x, side); err != nil {
		return nil, nil, err
	}
	if err := r.shift(b, main, side); err != nil {
		return nil, nil, err
	}
	out := main.add.Output(0)
	next, output := r.readers(out)
	if !output && len(next) == 1 && isReLU(r, next[0].node) {
		relu, err := r.onlyReader(out, "ReLU")
		if err != nil {
			return nil, nil, err
		}
		b.Act, out = afblock.ReLU, relu.Output(0)
	}
	if out == nil {
		return nil, nil, r.refuse(main.add, "a sum that is read", "an output left out", "")
	}
	r.progress++
	return b, out, nil
}

// branch follows one reader of x to the sum that ends its branch.
func (r *recognizer) branch(x *graph.Value, u reader) (branch, error) {
	b, u, err := r.enter(x, u)
	if err != nil {
		return branch{}, err
	}
	n, index := u.node, u.index
	for !n.Is("Add", "Sum") {
		if !n.Is("Conv", "BatchNormalization", "Relu", "Clip", "AveragePool") {
			return branch{}, r.refuse(n, "a convolution, batch normalisation, ReLU or sum of a residual block", n.String(), "")
		}
		b.ops = append(b.ops, n)
		if len(b.ops) > maxBranch {
			return branch{}, r.refuse(n, "a residual block of two or three convolutions", "a longer chain with no sum", "")
		}
		out := n.Output(0)
		if p := r.productOf(out); p != nil && b.mask == nil {
			b.mask, b.maskAt = p, len(b.ops)
			n, index = p.next.node, p.next.index
			continue
		}
		next, err := r.onlyReader(out, "the rest of a residual branch")
		if err != nil {
			return branch{}, err
		}
		index = 0
		for i, in := range next.Inputs() {
			if in == out || i > 0 && r.movedFrom(in, out) {
				index = i
			}
		}
		n = next
	}
	if len(n.Inputs()) != 2 {
		return branch{}, r.refuse(n, "a sum of two", fmt.Sprintf("%d operands", len(n.Inputs())), "")
	}
	b.add, b.index = n, index
	return b, nil
}

// enter reads how a branch begins: with x itself, its temporal shift, or the
// frames of either that a mask leaves. It returns what reads that.
func (r *recognizer) enter(x *graph.Value, u reader) (branch, reader, error) {
	if isProduct(u.node) {
		p, m := r.product(u.node)
		switch {
		case m != nil:
			return branch{}, u, r.refuse(u.node, fmt.Sprintf("%q, shifted or not, times a mask of frames", x), m.found, m.hint)
		case p != nil && p.flow.base == x:
			return branch{start: p.flow, mask: p}, p.next, nil
		}
	}
	f, m := r.readFlow(u.value)
	if m != nil {
		return branch{}, u, r.refuse(u.node, fmt.Sprintf("%q as it is or temporally shifted", x), m.found, m.hint)
	}
	if f.base != x {
		return branch{}, u, r.refuse(u.node, fmt.Sprintf("an input made from %q", x), fmt.Sprintf("%q", f.base), "")
	}
	return branch{start: f}, u, nil
}

// movedFrom reports whether v is base after data movement.
func (r *recognizer) movedFrom(v, base *graph.Value) bool {
	f, m := r.readFlow(v)
	return m == nil && f.base == base
}

// mainBranch reads conv [BN] ReLU conv [BN] (ReLU conv [BN]).
func (r *recognizer) mainBranch(b *afblock.Block, x *graph.Value, br branch, groups bool) error {
	in := r.channels(x)
	ops := br.ops
	var convs []*afblock.Conv
	for i := 1; ; i++ {
		c, rest, err := r.convBN(ops, br.add, in, fmt.Sprintf("conv%d", i), fmt.Sprintf("bn%d", i), groups)
		if err != nil {
			return err
		}
		convs = append(convs, c)
		in, ops = int64(c.Out()), rest
		if len(ops) == 0 {
			break
		}
		if !isReLU(r, ops[0]) {
			return r.refuse(ops[0], "ReLU between convolutions", ops[0].OpType, "")
		}
		r.progress++
		ops = ops[1:]
	}
	b.Main = afblock.Chain(afblock.ReLU, convs...)
	var kernels []int
	for _, c := range convs {
		kernels = append(kernels, c.Kernel())
	}
	switch {
	case len(kernels) == 2 && kernels[0] == 3 && kernels[1] == 3:
	case len(kernels) == 3 && kernels[0] == 1 && kernels[1] == 3 && kernels[2] == 1:
	default:
		return r.refuse(br.ops[0], "a basic block (kernels 3, 3) or a bottleneck (1, 3, 1)", fmt.Sprintf("kernels %v", kernels), "")
	}
	return nil
}

// convBN reads a convolution and the batch normalisation behind it, if any,
// off the front of ops, and returns the rest. end stands behind ops.
func (r *recognizer) convBN(ops []*graph.Node, end *graph.Node, in int64, key, bnKey string, groups bool) (*afblock.Conv, []*graph.Node, error) {
	if len(ops) == 0 {
		return nil, nil, r.refuse(end, "a convolution before the sum", "none", "")
	}
	read := r.conv
	if groups {
		read = r.groupedConv
	}
	c, err := read(ops[0], key, in)
	if err != nil {
		return nil, nil, err
	}
	ops = ops[1:]
	if len(ops) > 0 && ops[0].Is("BatchNormalization") {
		if c.BN, err = r.batchNorm(ops[0], bnKey, c.Out()); err != nil {
			return nil, nil, err
		}
		ops = ops[1:]
	}
	return c, ops, nil
}

// residualPath reads the residual path: nothing, or [average pool] conv [BN].
func (r *recognizer) residualPath(b *afblock.Block, x *graph.Value, br branch) error {
	stride, ops := 1, br.ops
	if len(ops) > 0 && ops[0].Is("AveragePool") {
		pool, err := r.pool(ops[0])
		if err != nil {
			return err
		}
		if pool.Pad > 0 && ops[0].AttrInt("count_include_pad", 0) == 0 {
			return r.refuse(ops[0], "an average pool that counts its padding", "count_include_pad = 0", "")
		}
		b.Residual.Pool, stride, ops = &pool, pool.Stride, ops[1:]
	}
	width := r.channels(x)
	if len(ops) > 0 {
		c, rest, err := r.convBN(ops, br.add, width, "downsample.0", "downsample.1", false)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return r.refuse(rest[0], "the sum behind the residual path's convolution", rest[0].OpType, "")
		}
		if c.Kernel() != 1 {
			return r.refuse(ops[0], "a 1×1 convolution on the residual path", fmt.Sprintf("kernel %d", c.Kernel()), "")
		}
		if sameBias(c.Bias, b.Convs()[0].Bias) {
			return r.refuse(ops[0], "a bias of its own", fmt.Sprintf("%q, the bias of the block's first convolution", ops[0].Input(2)), wrongBiasHint)
		}
		b.Residual.Conv, stride, width = c, stride*c.Stride, int64(c.Out())
	}
	if int(width) != b.Out() || stride != b.Stride() {
		return r.refuse(br.add, fmt.Sprintf("a residual path of %d channels and stride %d", b.Out(), b.Stride()),
			fmt.Sprintf("%d channels, stride %d", width, stride), "")
	}
	return nil
}

// sameBias reports whether two biases are the same numbers, not all zero: no
// two convolutions learn that.
func sameBias(a, b *graph.Tensor) bool {
	if a == nil || b == nil || !slices.Equal(a.Dims, b.Dims) {
		return false
	}
	x, err1 := a.Float32s()
	y, err2 := b.Float32s()
	return err1 == nil && err2 == nil && slices.Equal(x, y) && slices.ContainsFunc(x, func(f float32) bool { return f != 0 })
}

// shift notes what the block's branches read: x itself or its temporal shift.
func (r *recognizer) shift(b *afblock.Block, main, side branch) error {
	for _, br := range []branch{main, side} {
		if br.start.fold == 0 {
			continue
		}
		if r.shiftT != 0 && r.shiftT != br.start.frames {
			return r.refuse(main.ops[0], fmt.Sprintf("clips of %d frames, as in the blocks before", r.shiftT),
				fmt.Sprintf("a shift over clips of %d", br.start.frames), "")
		}
		if r.shiftT != 0 && r.past != br.start.past {
			return r.refuse(main.ops[0], "a shift in the direction of the blocks before", "one with the directions swapped", "")
		}
		r.shiftT, r.past = br.start.frames, br.start.past
	}
	switch {
	case main.start.fold == 0 && side.start.fold == 0:
	case side.start.fold == 0:
		b.Shift = &afblock.Shift{Fold: main.start.fold, PastFirst: r.past}
	case side.start.fold == main.start.fold:
		b.Shift = &afblock.Shift{Fold: main.start.fold, PastFirst: r.past, Residual: true}
	default:
		return r.refuse(main.add, "one temporal shift, of the block's input or of its main branch",
			fmt.Sprintf("fold %d on the main branch, %d on the residual path", main.start.fold, side.start.fold), "")
	}
	return nil
}

// channels returns the channels of x, −1 if unknown.
func (r *recognizer) channels(x *graph.Value) int64 {
	if d := r.Dims(x); len(d) == 4 {
		return d[1]
	}
	return -1
}

// isReLU reports whether n is ReLU, spelled as such or as a clip at zero from
// below alone.
func isReLU(r *recognizer, n *graph.Node) bool {
	if n.Is("Relu") {
		return true
	}
	if !n.Is("Clip") || n.Attr("max") != nil || n.Input(2) != nil {
		return false
	}
	if n.Input(1) == nil {
		a := n.Attr("min")
		return a != nil && a.F == 0
	}
	return r.Zero(n.Input(1))
}
