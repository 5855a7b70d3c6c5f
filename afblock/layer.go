package afblock

import (
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Layer is one step on a path of the network: it makes one map of another. A
// kind of layer says all that the rest of afc asks of it; what is left is to
// write it as ONNX (codegen), to recognise it, and to name it in checkpoints
// (weights).
type Layer interface {
	// Through is the map made of x. It fails where no pixel would be left, and on
	// windows beyond all that is real.
	Through(x Map) (Map, error)
	// Tensors yields the layer's tensors in the order of the state dict, those
	// that it has not left out: the key without prefix, the place, through which
	// it can be exchanged for another of the same dimensions, and whether it is
	// trained (statistics are not). It stops, and says so, where yield returns
	// false.
	Tensors(yield func(key string, at **graph.Tensor, trained bool) bool) bool
	// Cost is the work on one map x.
	Cost(x Map) Ops
	// clone is a copy that may be changed; tensors are shared.
	clone() Layer
	// respond is what the layer makes of an image, in float64.
	respond(x *image) (*image, error)
}

// Conv is a 2-D convolution with its batch normalisation, if the source keeps
// them apart; with as many groups as channels it is depthwise. Key is its name in the authors' state dict, without prefix and
// without ".weight" ("layer1.refine_module.0.conv1").
type Conv struct {
	Key    string
	Weight *graph.Tensor // [out, in/groups, kh, kw]
	Bias   *graph.Tensor // [out], nil if none
	BN     *BatchNorm    // nil if folded
	Stride int
	Pad    int
	Groups int
}

// Out returns the output channels.
func (c *Conv) Out() int { return int(c.Weight.Dims[0]) }

// In returns the input channels.
func (c *Conv) In() int { return int(c.Weight.Dims[1]) * c.Groups }

// Depthwise reports whether each output channel reads one of its own.
func (c *Conv) Depthwise() bool { return c.Groups > 1 && c.Groups == c.In() && c.Groups == c.Out() }

// Kernel returns the window's height (= width).
func (c *Conv) Kernel() int { return int(c.Weight.Dims[2]) }

// Window returns the convolution's window.
func (c *Conv) Window() Window { return Window{c.Kernel(), c.Stride, c.Pad} }

// BatchNorm is inference batch normalisation: gamma·(x−mean)/√(var+eps)+beta,
// each tensor [channels].
type BatchNorm struct {
	Key                    string
	Gamma, Beta, Mean, Var *graph.Tensor
	Eps                    float32
	Batches                *graph.Tensor // num_batches_tracked, int64 scalar, nil if not stored
}

func (c *Conv) Through(x Map) (Map, error) {
	size, err := x.Size.through(c.Key, c.Window())
	return Map{c.Out(), size}, err
}

func (c *Conv) Tensors(yield func(string, **graph.Tensor, bool) bool) bool {
	return yieldTensor(yield, c.Key+".weight", &c.Weight, true) && yieldTensor(yield, c.Key+".bias", &c.Bias, true) &&
		(c.BN == nil || c.BN.tensors(yield))
}

func (n *BatchNorm) tensors(yield func(string, **graph.Tensor, bool) bool) bool {
	return yieldTensor(yield, n.Key+".weight", &n.Gamma, true) && yieldTensor(yield, n.Key+".bias", &n.Beta, true) &&
		yieldTensor(yield, n.Key+".running_mean", &n.Mean, false) && yieldTensor(yield, n.Key+".running_var", &n.Var, false) &&
		yieldTensor(yield, n.Key+".num_batches_tracked", &n.Batches, false)
}

// yieldTensor yields a tensor that is there.
func yieldTensor(yield func(string, **graph.Tensor, bool) bool, key string, at **graph.Tensor, trained bool) bool {
	return *at == nil || yield(key, at, trained)
}

// Cost counts the convolution with what stands on it: bias, batch
// normalisation.
func (c *Conv) Cost(x Map) Ops {
	y := Map{c.Out(), x.Through(c.Window())}.Elements()
	macs := y * float64(int(c.Weight.Dims[1])*c.Kernel()*c.Kernel())
	ops := Ops{MACs: macs, Authors: macs, Activations: y}
	if c.Bias != nil {
		ops.Elementwise += y
	}
	if c.BN != nil {
		ops.Elementwise += 2 * y
	}
	return ops
}

// Linear multiplies a vector by a matrix.
type Linear struct {
	Key    string
	Weight *graph.Tensor // [out, in]
	Bias   *graph.Tensor // [out], nil if none
}

// Out returns the elements of the result.
func (l *Linear) Out() int { return int(l.Weight.Dims[0]) }

func (l *Linear) Through(Map) (Map, error) { return Map{l.Out(), Size{1, 1}}, nil }

func (l *Linear) Tensors(yield func(string, **graph.Tensor, bool) bool) bool {
	return yieldTensor(yield, l.Key+".weight", &l.Weight, true) && yieldTensor(yield, l.Key+".bias", &l.Bias, true)
}

// Cost counts one vector.
func (l *Linear) Cost(Map) Ops {
	out := float64(l.Weight.Dims[0])
	ops := Ops{MACs: out * float64(l.Weight.Dims[1]), Activations: out}
	ops.Authors = ops.MACs
	if l.Bias != nil {
		ops.Elementwise = out
	}
	return ops
}

// Act is an activation function, element by element.
type Act int

const (
	Identity Act = iota
	ReLU
	HSwish   // x·HSigmoid(x)
	HSigmoid // relu6(x+3)/6
)

var actNames = []string{Identity: "identity", ReLU: "relu", HSwish: "h-swish", HSigmoid: "h-sigmoid"}

func (a Act) String() string { return actNames[a] }

// ParseAct reads what String writes.
func ParseAct(s string) (Act, error) {
	if i := slices.Index(actNames, s); i >= 0 {
		return Act(i), nil
	}
	return Identity, fmt.Errorf("activation %q: expected one of %v", s, actNames)
}

// of is the activation of one element.
func (a Act) of(x float64) float64 {
	switch a {
	case ReLU:
		return max(x, 0)
	case HSwish:
		return x * HSigmoid.of(x)
	case HSigmoid:
		return min(max(x+3, 0), 6) / 6
	}
	return x
}

func (a Act) Through(x Map) (Map, error) { return x, nil }

func (a Act) Tensors(func(string, **graph.Tensor, bool) bool) bool { return true }

func (a Act) Cost(x Map) Ops {
	switch a {
	case Identity:
		return Ops{}
	case HSwish: // the product, too
		return elementwise(2 * x.Elements())
	}
	return elementwise(x.Elements())
}

func (a Act) respond(x *image) (*image, error) {
	for i, v := range x.v {
		x.v[i] = a.of(v)
	}
	return x, nil
}

// MaxPool takes the largest pixel of a window, AveragePool their mean, padding
// counted.
type (
	MaxPool     Window
	AveragePool Window
)

func (p MaxPool) Through(x Map) (Map, error)     { return poolOut(x, Window(p)) }
func (p AveragePool) Through(x Map) (Map, error) { return poolOut(x, Window(p)) }

func poolOut(x Map, w Window) (Map, error) {
	size, err := x.Size.through("pool", w)
	return Map{x.C, size}, err
}

func (p MaxPool) Tensors(func(string, **graph.Tensor, bool) bool) bool     { return true }
func (p AveragePool) Tensors(func(string, **graph.Tensor, bool) bool) bool { return true }

func (p MaxPool) Cost(x Map) Ops     { return poolCost(x, Window(p)) }
func (p AveragePool) Cost(x Map) Ops { return poolCost(x, Window(p)) }

// poolCost is that of a pooling window. The authors count 9 an element, their
// windows being 3×3.
func poolCost(x Map, w Window) Ops {
	y := Map{x.C, x.Through(w)}.Elements()
	n := y * float64(w.Kernel*w.Kernel)
	return Ops{Elementwise: n, Authors: n, Activations: y}
}

func (p MaxPool) respond(*image) (*image, error)     { return nil, errNoResponse }
func (p AveragePool) respond(*image) (*image, error) { return nil, errNoResponse }
func (l *Linear) respond(*image) (*image, error)     { return nil, errNoResponse }

var errNoResponse = fmt.Errorf("a layer that no block's main path has")

// normAsAffine returns what happens to a convolution's sum, per output channel:
// bias and batch norm as sum·scale + shift.
func (c *Conv) normAsAffine() (scale, shift []float64, err error) {
	scale, shift = make([]float64, c.Out()), make([]float64, c.Out())
	for i := range scale {
		scale[i] = 1
	}
	if c.Bias != nil {
		bias, err := c.Bias.Float32s()
		if err != nil {
			return nil, nil, err
		}
		for i, b := range bias {
			shift[i] = float64(b)
		}
	}
	if c.BN == nil {
		return scale, shift, nil
	}
	var p [4][]float32
	for i, t := range []*graph.Tensor{c.BN.Gamma, c.BN.Beta, c.BN.Mean, c.BN.Var} {
		if p[i], err = t.Float32s(); err != nil {
			return nil, nil, err
		}
	}
	for i := range scale {
		s := float64(p[0][i]) / math.Sqrt(float64(p[3][i])+float64(c.BN.Eps))
		scale[i], shift[i] = s, (shift[i]-float64(p[2][i]))*s+float64(p[1][i])
	}
	return scale, shift, nil
}
