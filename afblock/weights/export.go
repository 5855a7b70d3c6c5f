package weights

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
)

// Export returns the network's weights in the layout of the authors' PyTorch
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
func Export(net *afblock.Network) (*checkpoint.StateDict, error) {
	net = net.WithBatchNorm()
	x := &exporter{net: net, sd: checkpoint.New()}
	x.sd.Structure = EncodeStructure(net, nil)
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

type exporter struct {
	net *afblock.Network
	sd  *checkpoint.StateDict
	err error
}

func (x *exporter) put(key string, t *graph.Tensor) {
	if t == nil {
		return
	}
	full := x.net.FullKey(key)
	if x.sd.Tensor(full) != nil && x.err == nil {
		x.err = fmt.Errorf("two tensors are named %s", full)
	}
	x.sd.Set(full, t)
}

func (x *exporter) conv(c *afblock.Conv) {
	bn := c.BN
	x.put(c.Key+".weight", c.Weight)
	x.put(c.Key+".bias", c.Bias)
	x.put(bn.Key+".weight", bn.Gamma)
	x.put(bn.Key+".bias", bn.Beta)
	x.put(bn.Key+".running_mean", bn.Mean)
	x.put(bn.Key+".running_var", bn.Var)
	x.put(bn.Key+".num_batches_tracked", bn.Batches)
}

func (x *exporter) block(b *afblock.Block) {
	for _, c := range b.Convs {
		x.conv(c)
	}
	if b.Downsample.Conv != nil {
		x.conv(b.Downsample.Conv)
	}
}

func (x *exporter) afModule(m *afblock.AFModule) {
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
