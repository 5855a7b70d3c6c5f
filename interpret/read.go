package interpret

import (
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Network is a network as numbers, ready to run.
type Network struct {
	Frames  int      // T, frames a clip
	Blocks  []string // keys of the focal blocks, in network order
	Classes int

	channels int // of a frame
	stem     conv
	act      function // behind the stem's convolution
	pool     window   // of a kernel of 0: none
	stages   []stage
	zero     bool // a frame that is not selected adds nothing, not F(0)
	head     head
}

// function is an activation, number by number; nil: none.
type function func(float64) float64

// conv is a convolution and what follows it channel by channel.
type conv struct {
	key                         string
	weight                      []float64 // [out, in/groups, kernel, kernel]
	scale, offset               []float64 // [out]
	out, in, groups             int
	kernel, stride, pad, window int // window is kernel²
}

// window is a square window of a pool.
type window struct{ kernel, stride, pad int }

// block is a residual block.
type block struct {
	key           string
	convs         []conv
	behind        [][]step // behind each of the convolutions
	alone         bool     // there is no residual path, and no sum
	pool          *window  // of the residual path, nil: none
	residual      *conv    // of the residual path, nil: none
	fold          int      // channels shifted each way; 0: none
	pastFirst     bool     // the first of them from the frame before
	shiftResidual bool     // the residual path reads the shifted maps
	act           function // behind the sum

	schedule func(frames int) []bool // which frames it computes; nil: all
}

// step is what stands between convolutions: an activation, or channels weighed.
type step struct {
	act   function
	weigh *excitation
}

// excitation weighs channels by what two linear layers make of their means.
type excitation struct{ squeeze, excite linear }

// stage is a run of blocks, or a module.
type stage struct {
	name   string
	blocks []block
	af     *module
}

// module is an AF module.
type module struct {
	ample, focal []block
	navigation   []navigation
	transform    *conv // nil: none
	gate         gate
	act          function // behind the mix
	fusion       block
}

// navigation decides which frames a focal block computes.
type navigation struct {
	key    string
	look   conv
	choose linear // 2T outputs; inputs: 2 where each frame is alone, else 2T
	cells  *cells // chooses inside the frames; nil: whole frames
}

type gate struct{ squeeze, excite linear }

// linear is a linear layer.
type linear struct {
	weight, bias []float64 // [out, in], [out]
	out, in      int
}

type head struct {
	last   *conv   // before the mean of each channel; nil: none
	hidden *linear // behind it; nil: none
	act    function
	linear
	mean    afblock.Consensus
	softmax bool
}

// New reads a network. It fails on tensors that cannot be read.
func New(net *afblock.Network) (_ *Network, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(unreadable)
			if !ok {
				panic(r)
			}
			err = e.error
		}
	}()
	n := &Network{
		Frames: net.Frames, channels: net.Stem.Conv.In(), zero: net.Unselected == afblock.UnselectedZero,
		stem: convOf(&net.Stem.Conv), act: functionOf(net.Stem.Act), head: headOf(&net.Head),
	}
	if p := windowOf(net.Stem.Pool); p != nil {
		n.pool = *p
	}
	n.Classes = n.head.out
	for _, s := range net.Stages {
		read := stage{name: s.Name, blocks: blocksOf(s.Blocks)}
		if s.AF != nil {
			read.af = moduleOf(s.AF, len(n.Blocks))
			for _, b := range s.AF.Focal {
				n.Blocks = append(n.Blocks, b.Key)
			}
		}
		n.stages = append(n.stages, read)
	}
	return n, nil
}

// moduleOf reads a module behind so many focal blocks.
func moduleOf(m *afblock.AFModule, blocks int) *module {
	read := &module{
		ample: blocksOf(m.Ample), focal: blocksOf(m.Focal), transform: optional(m.Transform), fusion: blockOf(m.Fusion),
		gate: gate{linearOf(&m.Gate.Squeeze), linearOf(&m.Gate.Excite)}, act: functionOf(m.Act),
	}
	for i, n := range m.Navigation {
		read.navigation = append(read.navigation, navigation{n.Key, convOf(&n.Look), choiceOf(&n.Choice), cellsOf(n.Cells, blocks+i)})
	}
	return read
}

func blocksOf(blocks []*afblock.Block) []block {
	var read []block
	for _, b := range blocks {
		read = append(read, blockOf(b))
	}
	return read
}

func blockOf(b *afblock.Block) block {
	read := block{
		key: b.Key, act: functionOf(b.Act),
		alone: b.Residual.None, pool: windowOf(b.Residual.Pool), residual: optional(b.Residual.Conv),
	}
	for _, l := range b.Main {
		last := len(read.behind) - 1
		switch l := l.(type) {
		case *afblock.Conv:
			read.convs, read.behind = append(read.convs, convOf(l)), append(read.behind, nil)
		case afblock.Act:
			read.behind[last] = append(read.behind[last], step{act: functionOf(l)})
		case *afblock.SqueezeExcite:
			read.behind[last] = append(read.behind[last], step{weigh: &excitation{linearOf(&l.Squeeze), linearOf(&l.Excite)}})
		default:
			panic(fmt.Sprintf("BUG: %T in a block", l))
		}
	}
	if b.Schedule != nil {
		read.schedule = b.Schedule.Select
	}
	if s := b.Shift; s != nil {
		read.fold, read.pastFirst, read.shiftResidual = s.Fold, s.PastFirst, s.Residual
	}
	return read
}

// functionOf is an activation's formula, as its papers give it.
func functionOf(a afblock.Act) function {
	switch a {
	case afblock.Identity:
		return nil
	case afblock.ReLU:
		return func(x float64) float64 {
			if x < 0 {
				return 0
			}
			return x // a NaN stays
		}
	case afblock.HSwish: // Howard et al., Searching for MobileNetV3, section 5.2
		return func(x float64) float64 { return x * math.Min(math.Max(x+3, 0), 6) / 6 }
	}
	panic("BUG: activation " + a.String())
}

func headOf(h *afblock.Head) head {
	read := head{last: optional(h.Last), act: functionOf(h.Act), linear: linearOf(&h.FC), mean: h.Consensus, softmax: h.Softmax}
	if h.Hidden != nil {
		hidden := linearOf(h.Hidden)
		read.hidden = &hidden
	}
	return read
}

// optional reads a convolution that may not be there.
func optional(c *afblock.Conv) *conv {
	if c == nil {
		return nil
	}
	read := convOf(c)
	return &read
}

func windowOf(p *afblock.Window) *window {
	if p == nil {
		return nil
	}
	return &window{p.Kernel, p.Stride, p.Pad}
}

// convOf reads a convolution with its batch norm, gamma·(x−mean)/√(var+eps)+beta,
// as a factor and an offset for each output channel.
func convOf(c *afblock.Conv) conv {
	dims := c.Weight.Dims
	read := conv{
		key: c.Key, weight: numbers(c.Weight), out: int(dims[0]), in: int(dims[1]) * c.Groups, groups: c.Groups,
		kernel: int(dims[2]), window: int(dims[2] * dims[3]), stride: c.Stride, pad: c.Pad,
		scale: make([]float64, dims[0]), offset: make([]float64, dims[0]),
	}
	if c.Bias != nil {
		copy(read.offset, numbers(c.Bias))
	}
	for o := range read.scale {
		read.scale[o] = 1
	}
	if bn := c.BN; bn != nil {
		gamma, beta, mean, variance := numbers(bn.Gamma), numbers(bn.Beta), numbers(bn.Mean), numbers(bn.Var)
		for o := range read.scale {
			read.scale[o] = gamma[o] / math.Sqrt(variance[o]+float64(bn.Eps))
			read.offset[o] = (read.offset[o]-mean[o])*read.scale[o] + beta[o]
		}
	}
	return read
}

func linearOf(l *afblock.Linear) linear { return matrixOf(l.Weight, l.Bias) }

// choiceOf reads navigation's last convolution, which sees the frames of a clip
// as channels of one pixel.
func choiceOf(c *afblock.Conv) linear { return matrixOf(c.Weight, c.Bias) }

// matrixOf reads a weight [out, in] or [out, in, 1, 1] and its bias, if any.
func matrixOf(weight, bias *graph.Tensor) linear {
	l := linear{weight: numbers(weight), out: int(weight.Dims[0]), in: int(weight.Dims[1])}
	l.bias = make([]float64, l.out)
	if bias != nil {
		copy(l.bias, numbers(bias))
	}
	return l
}

// unreadable carries a tensor's error up to New.
type unreadable struct{ error }

func numbers(t *graph.Tensor) []float64 {
	v, err := t.Float32s()
	if err != nil {
		panic(unreadable{fmt.Errorf("tensor %s: %w", t.Name, err)})
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}
