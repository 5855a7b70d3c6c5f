package op

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph"
)

// DefaultEvalBytes bounds what the outputs of one evaluated node may take. It
// lets through every constant that TSN and TSM exports compute (the largest is
// a feature map of a clip) and stops a small file that asks for gigabytes.
const DefaultEvalBytes = 64 << 20

// EvalOptions says how nodes are evaluated. The zero value is the default.
type EvalOptions struct {
	Opset    int64 // ai.onnx version the node is read in; 0: its model's
	MaxBytes int64 // most bytes for the outputs of one node; 0: DefaultEvalBytes
}

// ErrTooLarge is in the chain of Eval's error when the outputs would exceed
// the byte budget. Nothing was allocated then.
var ErrTooLarge = errors.New("result exceeds the evaluation budget")

// Eval computes a node's outputs from constant inputs, nil standing for an
// input left out. It follows the operator's definition in the opset of the
// node's model, and refuses with an error naming the node: operators,
// element types and opsets it does not know, inputs against the
// specification, and results above DefaultEvalBytes. Outputs that the node
// leaves out are nil.
func Eval(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	return EvalWith(n, in, EvalOptions{})
}

// EvalWith is Eval under options.
func EvalWith(n *graph.Node, in []*graph.Tensor, opt EvalOptions) ([]*graph.Tensor, error) {
	out, err := evalNode(n, in, nil, opt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	return out, nil
}

// CanEval reports whether Eval knows the node's operator. Eval may still
// refuse its inputs.
func CanEval(n *graph.Node) bool {
	op := operators[n.OpType]
	return n.Is(n.OpType) && op != nil && op.eval != nil
}

func evalNode(n *graph.Node, in []*graph.Tensor, bind map[string]*graph.Attribute, opt EvalOptions) ([]*graph.Tensor, error) {
	c := evalCall{opCall: opCall{n: n, bind: bind, opset: opt.Opset}, left: opt.MaxBytes}
	if c.opset == 0 {
		c.opset = n.Opset()
	}
	if c.left == 0 {
		c.left = DefaultEvalBytes
	}
	op, err := c.check(len(in))
	if err != nil {
		return nil, err
	}
	if op.eval == nil {
		return nil, errors.New("afc does not evaluate this operator")
	}
	c.in = make([]*arr, len(in))
	c.work = c.left
	for i, t := range in {
		if t == nil {
			continue
		}
		if c.in[i], err = newArr(t); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		c.work += int64(len(c.in[i].b))
	}
	c.work = 8*min(c.work, math.MaxInt64/16) + minWork
	for i := range op.minIn {
		if c.in[i] == nil {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	res, err := op.eval(&c)
	if err == nil {
		err = c.err
	}
	if err != nil {
		return nil, err
	}
	if len(n.Outputs()) > len(res) {
		return nil, fmt.Errorf("has %d outputs, expected at most %d", len(n.Outputs()), len(res))
	}
	out := make([]*graph.Tensor, len(n.Outputs()))
	for i, v := range n.Outputs() {
		if v == nil {
			continue
		}
		if res[i] == nil {
			return nil, fmt.Errorf("afc does not evaluate output %d", i)
		}
		if out[i], err = graph.NewTensor(res[i].dtype, res[i].dims, res[i].b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// arr is a tensor that is being computed with: dense little-endian elements of
// a type with a whole number of bytes.
type arr struct {
	dtype graph.DataType
	dims  []int64
	b     []byte
}

// newArr takes a tensor whose elements fill its dimensions.
func newArr(t *graph.Tensor) (*arr, error) {
	if t.DType.Size() == 0 {
		return nil, fmt.Errorf("afc does not compute with %s tensors", t.DType)
	}
	want, err := t.NumBytes()
	if err != nil {
		return nil, err
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != want {
		return nil, fmt.Errorf("%s tensor %v needs %d bytes, has %d", t.DType, t.Dims, want, len(b))
	}
	return &arr{t.DType, t.Dims, b}, nil
}

func (a *arr) rank() int { return len(a.dims) }

// size is the number of bytes of one element.
func (a *arr) size() int { return a.dtype.Size() }

// n is the number of elements.
func (a *arr) n() int64 { return int64(len(a.b) / a.size()) }

// view is the same elements under other dimensions, which the caller has
// checked to multiply to the same number.
func (a *arr) view(dims ...int64) *arr { return &arr{a.dtype, dims, a.b} }

// ints returns the elements of an integer or bool array.
func (a *arr) ints() ([]int64, error) {
	if d := domainOf(a.dtype); d != intDomain && d != uintDomain {
		return nil, fmt.Errorf("is %s, expected an integer type", a.dtype)
	}
	return load[int64](a), nil
}

// scalarInt returns the only element of an integer array.
func (a *arr) scalarInt() (int64, error) {
	v, err := a.ints()
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fmt.Errorf("has %d elements, expected one", len(v))
	}
	return v[0], nil
}

// evalCall is one evaluation of a node.
type evalCall struct {
	opCall
	in   []*arr
	left int64 // bytes that outputs may still take
	work int64 // bytes that working memory may still take
}

// Working memory may take eight bytes for each byte of input and output, as
// bools computed with as int64 do, and this much in any case.
const minWork = 1 << 16

// at returns input i, nil if it is left out.
func (c *evalCall) at(i int) *arr {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// make allocates a zeroed output within the budget.
func (c *evalCall) make(dtype graph.DataType, dims []int64) (*arr, error) {
	n, err := graph.NumElements(dims)
	if err != nil {
		return nil, err
	}
	size := int64(dtype.Size())
	if size == 0 {
		return nil, fmt.Errorf("afc does not compute with %s tensors", dtype)
	}
	if n > c.left/size {
		return nil, fmt.Errorf("%w: %s%v", ErrTooLarge, dtype, dims)
	}
	c.left -= n * size
	return &arr{dtype, slices.Clone(dims), make([]byte, n*size)}, nil
}

// spend charges the working memory with n elements of eight bytes.
func (c *evalCall) spend(n int64) error {
	if n > c.work/8 {
		return fmt.Errorf("%w: %d elements", ErrTooLarge, n)
	}
	c.work -= 8 * n
	return nil
}

// scratch lets the next array be made from working memory.
func (c *evalCall) scratch(dtype graph.DataType, dims []int64) error {
	n, err := graph.NumElements(dims)
	if err != nil {
		return err
	}
	size := int64(dtype.Size())
	if n > c.work/max(size, 1) {
		return fmt.Errorf("%w: %s%v", ErrTooLarge, dtype, dims)
	}
	c.work -= n * size
	c.left += n * size
	return nil
}

// one makes the result of an operator with a single output.
func one(a *arr, err error) ([]*arr, error) {
	if err != nil {
		return nil, err
	}
	return []*arr{a}, nil
}
