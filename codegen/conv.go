package codegen

import (
	"github.com/afc-project/afc/afblock"
)

// conv is a convolution to emit: afblock's, with the names its tensors bear in
// the model, so that slices of it can be emitted too.
type conv struct {
	key                 string
	weight              param
	bias                *param
	bn                  *batchNorm
	stride, pad, groups int
}

type batchNorm struct {
	key                         string
	gamma, beta, mean, variance param
	eps                         float32
}

func convOf(c *afblock.Conv) conv {
	e := conv{
		key: c.Key, weight: param{c.Key + ".weight", c.Weight},
		stride: c.Stride, pad: c.Pad, groups: c.Groups,
	}
	if c.Bias != nil {
		e.bias = &param{c.Key + ".bias", c.Bias}
	}
	if n := c.BN; n != nil {
		e.bn = &batchNorm{
			key:   n.Key,
			gamma: param{n.Key + ".weight", n.Gamma}, beta: param{n.Key + ".bias", n.Beta},
			mean: param{n.Key + ".running_mean", n.Mean}, variance: param{n.Key + ".running_var", n.Var},
			eps: n.Eps,
		}
	}
	return e
}

func (c conv) out() int    { return int(c.weight.tensor.Dims[0]) }
func (c conv) kernel() int { return int(c.weight.tensor.Dims[2]) }
