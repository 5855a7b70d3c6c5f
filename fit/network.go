package fit

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// What is inside a Network, and which value of the model that codegen's mask
// lowering writes is which, is this file's business alone.

// lowered writes a network as its mask lowering, masks an input where it has a
// focal branch.
func lowered(net *afblock.Network) (*graph.Model, error) {
	opt := codegen.Options{Lowering: codegen.Mask}
	for _, s := range net.Stages {
		opt.MasksInput = opt.MasksInput || s.AF != nil
	}
	m, _, err := codegen.Lower(net, opt)
	return m, err
}

// output names what a convolution makes, batch normalisation and all.
func output(c *afblock.Conv) string {
	if c.BN != nil {
		return c.BN.Key
	}
	return c.Key
}

// end names a block's output.
func end(b *afblock.Block) string {
	if b.Act == afblock.ReLU {
		return names.Relu(b.Key)
	}
	return names.Sum(b.Key)
}

// read names what the convolution of a model reads, and residual what a block
// adds to its main path.
func read(m *graph.Model, c *afblock.Conv) string { return operand(m, c.Key, 0) }

func residual(m *graph.Model, b *afblock.Block) string { return operand(m, names.Sum(b.Key), 1) }

func operand(m *graph.Model, value string, i int) string {
	v := m.Graph.Value(value)
	if v == nil || v.Producer() == nil || v.Producer().Input(i) == nil {
		panic(fmt.Sprintf("BUG: the lowered model has no value %q with input %d", value, i))
	}
	return v.Producer().Input(i).Name()
}

// sizes returns the size of each convolution's output.
func sizes(b *afblock.Block, in afblock.Size) []afblock.Size {
	var out []afblock.Size
	for _, c := range b.Convs() {
		in = in.Through(c.Window())
		out = append(out, in)
	}
	return out
}

// folded puts batch normalisation into the weights: a fitted convolution has a
// bias in its place.
func folded(c *afblock.Conv) error {
	n := c.BN
	if n == nil {
		return nil
	}
	var v [5][]float32
	for i, t := range []*graph.Tensor{n.Gamma, n.Beta, n.Mean, n.Var, c.Weight} {
		var err error
		if v[i], err = t.Float32s(); err != nil {
			return err
		}
	}
	bias := make([]float32, c.Out())
	if c.Bias != nil {
		b, err := c.Bias.Float32s()
		if err != nil {
			return err
		}
		copy(bias, b)
	}
	gamma, beta, mean, variance := v[0], v[1], v[2], v[3]
	w := append([]float32(nil), v[4]...)
	per := len(w) / len(bias)
	for k := range bias {
		scale := gamma[k] / sqrt32(variance[k]+n.Eps)
		for i := k * per; i < (k+1)*per; i++ {
			w[i] *= scale
		}
		bias[k] = (bias[k]-mean[k])*scale + beta[k]
	}
	setConv(c, w, bias)
	return nil
}

// setConv gives a convolution other weights, of its own shape, and a bias in
// place of batch normalisation.
func setConv(c *afblock.Conv, w, bias []float32) {
	c.Weight = graph.Float32s(c.Weight.Dims, w...)
	c.Bias, c.BN = graph.Float32s([]int64{int64(len(bias))}, bias...), nil
}

// setRows is setConv for what a regression found: rows [from, to) of the
// solution, [inputs][outputs], are the convolution's inputs.
func setRows(c *afblock.Conv, parts []*solution, from, to int, bias bool) {
	var w, b []float32
	for _, s := range parts {
		outs := len(s.b)
		for o := range outs {
			for i := from; i < to; i++ {
				w = append(w, s.w[i*outs+o])
			}
			if bias {
				b = append(b, float32(s.b[o]))
			} else {
				b = append(b, 0)
			}
		}
	}
	setConv(c, w, b)
}

// scaleStream scales the channels of the stream of a run of blocks: exact, for
// ReLU is homogeneous. The first must have a convolution on its residual path.
func scaleStream(blocks []*afblock.Block, scale []float32) error {
	for n, b := range blocks {
		rows := []*afblock.Conv{b.Convs()[len(b.Convs())-1]}
		if n == 0 {
			rows = append(rows, b.Residual.Conv)
		} else if err := scaleInputs(b.Convs()[0], scale); err != nil {
			return err
		}
		for _, c := range rows {
			if err := scaleOutputs(c, scale); err != nil {
				return err
			}
		}
	}
	return nil
}

// addBias adds to what a convolution makes of each channel.
func addBias(c *afblock.Conv, more []float32) error {
	w, b, err := weights(c)
	if err != nil {
		return err
	}
	for k := range b {
		b[k] += more[k]
	}
	setConv(c, w, b)
	return nil
}

func scaleOutputs(c *afblock.Conv, scale []float32) error {
	if err := folded(c); err != nil {
		return err
	}
	w, b, err := weights(c)
	if err != nil {
		return err
	}
	per := len(w) / len(b)
	for k := range b {
		b[k] *= scale[k]
		for i := k * per; i < (k+1)*per; i++ {
			w[i] *= scale[k]
		}
	}
	setConv(c, w, b)
	return nil
}

// scaleInputs divides what a convolution makes of each input channel.
func scaleInputs(c *afblock.Conv, scale []float32) error {
	w, b, err := weights(c)
	if err != nil {
		return err
	}
	area := c.Kernel() * c.Kernel()
	perIn, perOut := c.In()/c.Groups, c.Out()/c.Groups
	for i := range w {
		k, in := i/area/perIn, i/area%perIn
		w[i] /= scale[k/perOut*perIn+in]
	}
	setConv(c, w, b)
	return nil
}

// setGate makes a gate constant: biases whose sigmoid it is.
func setGate(g *afblock.Gate, value []float32) {
	bias := make([]float32, len(value))
	for c, v := range value {
		bias[c] = float32(math.Log(float64(v) / (1 - float64(v))))
	}
	g.Excite.Bias = graph.Float32s([]int64{int64(len(bias))}, bias...)
}

// weights returns copies of a convolution's weight and bias.
func weights(c *afblock.Conv) (w, b []float32, err error) {
	w, err = c.Weight.Float32s()
	if err != nil {
		return nil, nil, err
	}
	b = make([]float32, c.Out())
	if c.Bias != nil {
		v, err := c.Bias.Float32s()
		if err != nil {
			return nil, nil, err
		}
		copy(b, v)
	}
	return append([]float32(nil), w...), b, nil
}

// vector returns a copy of a tensor's values, nil for none.
func vector(t *graph.Tensor) ([]float32, error) {
	if t == nil {
		return nil, nil
	}
	v, err := t.Float32s()
	return append([]float32(nil), v...), err
}
