package codegen

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// conv is a convolution to emit: afblock's, with the names its tensors bear in
// the model, so that slices of it can be emitted too.
type conv struct {
	key                 string
	weight              param
	bias                *param
	bn                  *batchNorm
	stride, pad, groups int

	// trail is how many channels of the map stand behind those that the weight
	// reads; it is given zeros for them.
	trail int
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

func (c conv) window() afblock.Window {
	return afblock.Window{Kernel: c.kernel(), Stride: c.stride, Pad: c.pad}
}

// outputs returns the part of a convolution that makes the channels of s.
func (c conv) outputs(s span) conv {
	if s == (span{0, c.out()}) {
		return c
	}
	c.weight = c.weight.slice(s, 0)
	if c.bias != nil {
		bias := c.bias.slice(s, 0)
		c.bias = &bias
	}
	if n := c.bn; n != nil {
		c.bn = &batchNorm{
			key: n.key, eps: n.eps,
			gamma: n.gamma.slice(s, 0), beta: n.beta.slice(s, 0), mean: n.mean.slice(s, 0), variance: n.variance.slice(s, 0),
		}
	}
	return c
}

// inputs returns the part of a convolution that reads the channels of a piece of
// a map, with zeros for the channels around it.
func (c conv) inputs(p piece) conv {
	if p.at > 0 || p.span != (span{0, int(c.weight.tensor.Dims[1])}) { // zeros stand in front of a slice of that axis, of all of it too
		c.weight = c.weight.slice(p.span, 1)
	}
	if p.at > 0 {
		c.weight = c.weight.behindZeros(p.at)
	}
	c.trail = p.behind()
	return c
}

// group returns group g of a grouped convolution as one of its own.
func (c conv) group(g int) conv {
	each := c.out() / c.groups
	c = c.outputs(span{g * each, (g + 1) * each})
	c.groups = 1
	return c
}

// summand returns a convolution whose output is to be added to that of another
// part of the same one: scaled alike, without what is added once.
func (c conv) summand() conv {
	c.bias = nil
	if n := c.bn; n != nil {
		channels := n.mean.tensor.Dims[0] // of a slice of outputs, perhaps: each length is a constant of its own
		zeros := param{fmt.Sprintf("afc.%s.zeros%d", n.key, channels), graph.Float32s([]int64{channels}, make([]float32, channels)...)}
		c.bn = &batchNorm{key: n.key, eps: n.eps, gamma: n.gamma, beta: zeros, mean: zeros, variance: n.variance}
	}
	return c
}
