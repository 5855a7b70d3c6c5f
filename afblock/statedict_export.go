package afblock

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// StateDict returns the network's weights in the layout of the authors' PyTorch
// code, under the keys they came in (net.Keys): the exact inverse of
// FromStateDict.
//
// Where the network has a convolution with bias and no batch normalisation
// (sources often come with it folded), the authors' code has batch
// normalisation and no bias: the bias goes out as one that multiplies by
// exactly 1 and adds it (IdentityBatchNorm), which computes the same numbers.
// What their code has no place for goes out under the name PyTorch would give
// it: a bias before a batch normalisation, biases of the gate, blocks of two
// convolutions, stages of plain blocks.
func (net *Network) StateDict() (*StateDict, error) {
	net = net.withBatchNorm()
	x := &exporter{net: net, sd: NewStateDict()}
	x.sd.Structure = encodeStructure(net, nil)
	x.conv(&net.Stem.Conv)
	for _, s := range net.Stages {
		for _, b := range s.Blocks {
			x.block(b)
		}
		if s.AF != nil {
			x.afModule(s.AF)
		}
	}
	x.put(net.Head.Key+".weight", net.Head.Weight)
	x.put(net.Head.Key+".bias", net.Head.Bias)
	return x.sd, x.err
}

// withBatchNorm returns the network with batch normalisation behind every
// convolution.
func (net *Network) withBatchNorm() *Network {
	out := net.Clone()
	for c := range out.AllConvs() {
		if c.BN == nil {
			c.BN, c.Bias = IdentityBatchNorm(c), nil
		}
	}
	return out
}

type exporter struct {
	net *Network
	sd  *StateDict
	err error
}

func (x *exporter) put(key string, t *graph.Tensor) {
	if t == nil {
		return
	}
	full := x.net.fullKey(key)
	if x.sd.Tensor(full) != nil && x.err == nil {
		x.err = fmt.Errorf("two tensors are named %s", full)
	}
	x.sd.Set(full, t)
}

func (x *exporter) conv(c *Conv) {
	bn := c.BN
	x.put(c.Key+".weight", c.Weight)
	x.put(c.Key+".bias", c.Bias)
	x.put(bn.Key+".weight", bn.Gamma)
	x.put(bn.Key+".bias", bn.Beta)
	x.put(bn.Key+".running_mean", bn.Mean)
	x.put(bn.Key+".running_var", bn.Var)
	x.put(bn.Key+".num_batches_tracked", bn.Batches)
}

func (x *exporter) block(b *Block) {
	for _, c := range b.Convs {
		x.conv(c)
	}
	if b.Downsample.Conv != nil {
		x.conv(b.Downsample.Conv)
	}
}

func (x *exporter) afModule(m *AFModule) {
	for _, n := range m.Navigation {
		x.conv(&n.Pool)
		x.put(n.Key2+".weight", n.Weight)
		x.put(n.Key2+".bias", n.Bias)
	}
	for _, b := range m.Ample {
		x.block(b)
	}
	for _, b := range m.Focal {
		x.block(b)
	}
	x.conv(&m.Transform)
	x.put(m.Gate.Key1+".weight", m.Gate.W1)
	x.put(m.Gate.Key1+".bias", m.Gate.B1)
	x.put(m.Gate.Key2+".weight", m.Gate.W2)
	x.put(m.Gate.Key2+".bias", m.Gate.B2)
	x.block(m.Fusion)
}

// identityVar is the variance that batchNormEps completes to exactly 1 in
// float32.
var identityVar = func() float32 {
	v := 1 - float32(batchNormEps)
	if v+float32(batchNormEps) != 1 {
		panic("BUG: no identity variance for this epsilon")
	}
	return v
}()

// IdentityBatchNorm is the batch normalisation that does to a convolution
// without bias what its bias does: x·1 + bias.
func IdentityBatchNorm(c *Conv) *BatchNorm {
	n := c.Out()
	beta := c.Bias
	if beta == nil {
		beta = fill(n, 0)
	}
	return &BatchNorm{
		Key: batchNormKey(c.Key), Eps: batchNormEps,
		Gamma: fill(n, 1), Beta: beta, Mean: fill(n, 0), Var: fill(n, identityVar),
		Batches: graph.Int64s([]int64{}, 0),
	}
}

// fill makes a vector of n times v.
func fill(n int, v float32) *graph.Tensor {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return graph.Float32s([]int64{int64(n)}, x...)
}
