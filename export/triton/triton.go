package triton

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Target is where the server runs the model.
type Target string

// The execution providers of Triton's ONNX Runtime backend.
const (
	CPU      Target = "cpu"
	CUDA     Target = "cuda"
	TensorRT Target = "tensorrt"
)

// Targets are all of them, the default first.
var Targets = []Target{CPU, CUDA, TensorRT}

// Options say what a model does not.
type Options struct {
	Name      string // of the model in the repository
	Target    Target
	Instances int // copies that serve requests at once, at least 1
	// MaxBatch is how many clips the server may put into one run, at least 1.
	// A model whose first dimensions do not count clips is not batched.
	MaxBatch int
}

// named is what Triton takes for a model's name: it becomes a folder and a part
// of addresses.
var named = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// types are Triton's names of element types.
var types = map[graph.DataType]string{
	graph.Bool: "TYPE_BOOL", graph.Uint8: "TYPE_UINT8", graph.Uint16: "TYPE_UINT16", graph.Uint32: "TYPE_UINT32", graph.Uint64: "TYPE_UINT64",
	graph.Int8: "TYPE_INT8", graph.Int16: "TYPE_INT16", graph.Int32: "TYPE_INT32", graph.Int64: "TYPE_INT64",
	graph.Float16: "TYPE_FP16", graph.Float32: "TYPE_FP32", graph.Float64: "TYPE_FP64", graph.BFloat16: "TYPE_BF16", graph.String: "TYPE_STRING",
}

// Config returns config.pbtxt of a model. It fails, naming the value, where
// Triton cannot say an element type or the file says no shape.
func Config(m *graph.Model, opt Options) (string, error) {
	if !named.MatchString(opt.Name) {
		return "", fmt.Errorf("%q is no name for a Triton model: use letters, digits, dot, dash and underscore", opt.Name)
	}
	if opt.Instances < 1 || opt.MaxBatch < 1 {
		return "", fmt.Errorf("a Triton model has at least one instance and one clip a run, not %d and %d", opt.Instances, opt.MaxBatch)
	}
	inputs := m.DataInputs()
	c := &config{options: opt, batched: Batched(m)}
	c.head()
	for _, in := range inputs {
		c.value("input", in)
	}
	if len(inputs) == 0 || len(m.Graph.Outputs()) == 0 {
		return "", errors.New("the model has no inputs or no outputs: there is nothing to serve")
	}
	for _, out := range m.Graph.Outputs() {
		c.value("output", out)
	}
	c.warmUp(inputs)
	return c.text.String(), c.err
}

// Batched reports whether the server may choose how many clips a run has: all
// inputs and outputs share one open first dimension. (Where frames of all clips
// share the first axis of the input, the answer's is another.)
func Batched(m *graph.Model) bool {
	var symbol string
	for _, v := range slices.Concat(m.DataInputs(), m.Graph.Outputs()) {
		if len(v.Type.Shape) == 0 || v.Type.Shape[0].Known() || v.Type.Shape[0].Param == "" {
			return false
		}
		if symbol == "" {
			symbol = v.Type.Shape[0].Param
		}
		if v.Type.Shape[0].Param != symbol {
			return false
		}
	}
	return symbol != ""
}

// config collects the text, and the first error.
type config struct {
	options Options
	batched bool // the server makes batches along the first dimension
	text    strings.Builder
	err     error
}

func (c *config) line(format string, args ...any) { fmt.Fprintf(&c.text, format+"\n", args...) }

func (c *config) head() {
	c.line("name: %s", quote(c.options.Name))
	c.line(`backend: "onnxruntime"`)
	if c.batched {
		c.line("max_batch_size: %d", c.options.MaxBatch)
		c.line("dynamic_batching { max_queue_delay_microseconds: 1000 }")
	} else {
		c.line("max_batch_size: 0")
	}
	kind := "KIND_GPU"
	if c.options.Target == CPU {
		kind = "KIND_CPU"
	}
	c.line("instance_group [ { count: %d kind: %s } ]", c.options.Instances, kind)
	c.line("version_policy { latest { num_versions: 1 } }")
	if c.options.Target == TensorRT {
		c.line(`optimization { execution_accelerators { gpu_execution_accelerator [ { name: "tensorrt" } ] } }`)
	}
}

// value describes an input or output; the batch dimension is not named.
func (c *config) value(field string, v *graph.Value) {
	dtype := c.dtype(v)
	c.line("%s [ { name: %s data_type: %s dims: [ %s ] } ]", field, quote(v.Name()), dtype, join(c.dims(v)))
}

// warmUp runs one clip of zeros before the server says it is ready. Open
// dimensions besides the batch have no size to run, so such a model gets none.
func (c *config) warmUp(inputs []*graph.Value) {
	for _, in := range inputs {
		for _, d := range c.dims(in) {
			if d < 0 {
				return
			}
		}
	}
	c.line("model_warmup [ {")
	c.line(`  name: "zeros"`)
	c.line("  batch_size: %d", map[bool]int{true: 1}[c.batched])
	for _, in := range inputs {
		c.line("  inputs { key: %s value { data_type: %s dims: [ %s ] zero_data: true } }", quote(in.Name()), c.dtype(in), join(c.dims(in)))
	}
	c.line("} ]")
}

func (c *config) dtype(v *graph.Value) string {
	name, ok := types[v.Type.Elem]
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%q is of type %s, which Triton does not know", v.Name(), v.Type.Elem)
	}
	return name
}

// dims are the sizes that Triton is told, -1 where open.
func (c *config) dims(v *graph.Value) []int64 {
	if !v.Type.Shape.Ranked() && c.err == nil {
		c.err = fmt.Errorf("the file does not say the shape of %q, which Triton must be told", v.Name())
	}
	shape := v.Type.Shape
	if c.batched {
		shape = shape[1:]
	}
	out := make([]int64, len(shape))
	for i, d := range shape {
		out[i] = d.Size
	}
	return out
}

func join(dims []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(dims), " ", ", "), "[]")
}

// quote writes a string as protobuf's text format has it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' || c < ' ' || c >= 0x7f {
			fmt.Fprintf(&b, `\%03o`, c)
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}
