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
// exactly 1 and adds it (identityBatchNorm), which computes the same numbers.
// What their code has no place for goes out under the name PyTorch would give
// it: a bias before a batch normalisation, biases of the gate, blocks of two
// convolutions, stages of plain blocks.
func Export(net *afblock.Network) (*checkpoint.StateDict, error) {
	sd := checkpoint.New()
	sd.Skeleton = outline{exported: true}.of(net).JSON(nil)
	var err error
	for _, u := range net.Units() {
		for _, l := range u.All() {
			if c, ok := l.(*afblock.Conv); ok && u.Normalises(c) {
				l = Normalised(c)
			}
			l.Tensors(func(key string, at **graph.Tensor, _ bool) bool {
				full := fullKey(net.Keys, net.Head.FC.Key, key)
				if sd.Tensor(full) != nil && err == nil {
					err = fmt.Errorf("two tensors are named %s", full)
				}
				sd.Set(full, *at)
				return true
			})
		}
	}
	return sd, err
}

// Normalised returns a convolution with batch normalisation behind it.
func Normalised(c *afblock.Conv) *afblock.Conv {
	if c.BN != nil {
		return c
	}
	out := *c
	out.BN, out.Bias = identityBatchNorm(c), nil
	return &out
}

// identityVar is the variance that BatchNormEps completes to exactly 1 in
// float32.
var identityVar = func() float32 {
	v := 1 - float32(afblock.BatchNormEps)
	if v+float32(afblock.BatchNormEps) != 1 {
		panic("BUG: no identity variance for this epsilon")
	}
	return v
}()

// identityBatchNorm is the batch normalisation that does to a convolution
// without bias what its bias does: x·1 + bias.
func identityBatchNorm(c *afblock.Conv) *afblock.BatchNorm {
	n := c.Out()
	beta := c.Bias
	if beta == nil {
		beta = fill(n, 0)
	}
	return &afblock.BatchNorm{
		Key: afblock.BatchNormKey(c.Key), Eps: afblock.BatchNormEps,
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
