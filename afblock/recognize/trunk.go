package recognize

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// stem finds the first convolution and reads stem and its pool. It returns
// what the convolution reads and what comes out of the pool.
func (r *recognizer) stem() (in, out *graph.Value, err error) {
	r.where = "stem"
	first := r.firstConv()
	if first == nil {
		return nil, nil, r.refuse(nil, "a convolution", "none in the graph", "give a TSN or TSM ResNet exported to ONNX")
	}
	in = first.Input(0)
	d := r.Dims(in)
	if len(d) != 4 {
		found := "no input"
		if in != nil {
			found = "an input of shape " + in.Type.Shape.String()
		}
		return nil, nil, r.refuse(first, "frames folded into the batch axis, [N·T, 3, H, W]", found, "")
	}
	c, err := r.conv(first, "conv1", d[1])
	if err != nil {
		return nil, nil, err
	}
	n, err := r.onlyReader(first.Output(0), "batch normalisation or ReLU")
	if err != nil {
		return nil, nil, err
	}
	if n.Is("BatchNormalization") {
		if c.BN, err = r.batchNorm(n, "bn1", c.Out()); err != nil {
			return nil, nil, err
		}
		if n, err = r.onlyReader(n.Output(0), "ReLU"); err != nil {
			return nil, nil, err
		}
	}
	if !isReLU(r, n) {
		return nil, nil, r.refuse(n, "ReLU behind the stem's convolution", n.OpType, "")
	}
	if n, err = r.onlyReader(n.Output(0), "max-pool"); err != nil {
		return nil, nil, err
	}
	if n.Is("Conv") {
		return nil, nil, r.refuse(n, "max-pool behind the stem's convolution", "another convolution",
			"afc knows the ResNet stem of one convolution; a deep stem (ResNet-C, -D) or another kind of network is not recognised")
	}
	if !n.Is("MaxPool") {
		return nil, nil, r.refuse(n, "max-pool", n.OpType, "")
	}
	pool, err := r.pool(n)
	if err != nil {
		return nil, nil, err
	}
	r.net.Stem = afblock.Stem{Conv: *c, Act: afblock.ReLU, Pool: &pool}
	return in, n.Output(0), nil
}

// firstConv returns the first live convolution that computes, in graph order.
func (r *recognizer) firstConv() *graph.Node {
	for n := range r.Model.Graph.Nodes() {
		if n.Is("Conv") && r.Live(n) && !r.moved(n.Output(0)) {
			return n
		}
	}
	return nil
}

// trunk reads residual blocks from x on, until what follows is no block, and
// returns what the last one makes.
func (r *recognizer) trunk(x *graph.Value) (*graph.Value, error) {
	var stage *afblock.Stage
	for {
		k, b := max(1, len(r.net.Stages)), 0
		if stage != nil {
			b = len(stage.Blocks)
		}
		r.where = fmt.Sprintf("layer%d, block %d", k, b)
		rs, output := r.readers(x)
		for _, u := range rs {
			if u.node.Is("MaxPool") || r.isAttention(u.node) {
				return nil, r.refuse(u.node, "a residual block or the head", u.node.String(), "")
			}
		}
		if stage != nil && !isBlock(rs) {
			return x, nil
		}
		if output {
			return nil, r.refuse(x.Producer(), "the trunk's inside read by the trunk alone", "a graph output, "+quote(x), "export the network with its scores as the one output")
		}
		if r.isModule(rs) {
			stage = &afblock.Stage{Name: fmt.Sprintf("layer%d", len(r.net.Stages)+1)}
			var err error
			if stage.AF, x, err = r.module(x, stage.Name); err != nil {
				return nil, err
			}
			r.net.Stages = append(r.net.Stages, stage)
			continue
		}
		block, out, err := r.block(x, rs)
		if err != nil {
			if n := r.frozen(); n != nil {
				return nil, r.refuse(n, "frames", frozenShift.found, frozenShift.hint)
			}
			return nil, err
		}
		if stage == nil || stage.AF != nil || block.Stride() != 1 || block.Out() != stage.Blocks[0].Out() {
			stage = &afblock.Stage{Name: fmt.Sprintf("layer%d", len(r.net.Stages)+1)}
			r.net.Stages = append(r.net.Stages, stage)
		}
		nameBlock(block, fmt.Sprintf("%s.%d", stage.Name, len(stage.Blocks)))
		stage.Blocks = append(stage.Blocks, block)
		x = out
	}
}

// isAttention reports whether n multiplies or weighs what is computed with what
// is computed, as no ResNet does.
func (r *recognizer) isAttention(n *graph.Node) bool {
	if !n.Is("MatMul", "Einsum", "Softmax", "Attention") {
		return false
	}
	for _, in := range n.Inputs() {
		if r.Constant(in) != nil {
			return false
		}
	}
	return true
}

// frozen returns the first live convolution that reads a constant, nil if all
// read what depends on the frames.
func (r *recognizer) frozen() *graph.Node {
	for n := range r.Model.Graph.Nodes() {
		if !r.Live(n) || !n.Is("Conv") || n.Input(0) == nil {
			continue
		}
		d := r.Dims(n.Input(0))
		if d == nil || dataflow.Elements(d) == 0 {
			continue
		}
		constant := true
		for _, c := range r.Trace(n.Input(0), []int64{0, dataflow.Elements(d) / 2, dataflow.Elements(d) - 1}) {
			constant = constant && c.Base == nil
		}
		if _, m := r.readFlow(n.Input(0)); constant && m != nil && *m == frozenShift {
			return n
		}
	}
	return nil
}

// nameBlock gives the block and its parts torchvision's state-dict keys.
func nameBlock(b *afblock.Block, key string) {
	b.Key = key
	convs := b.Convs()
	if b.Residual.Conv != nil {
		convs = append(convs, b.Residual.Conv)
	}
	for _, c := range convs {
		c.Key = key + "." + c.Key
		if c.BN != nil {
			c.BN.Key = key + "." + c.BN.Key
		}
	}
}
