package ort

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// OptLevel is how far ONNX Runtime optimises a graph when it loads it.
type OptLevel int

// The levels of ONNX Runtime. OptAll is the runtime's default and ours.
const (
	OptAll OptLevel = iota // with layout changes (NCHWc)
	OptNone
)

// SessionOptions are the choices of a session. The zero value is ONNX
// Runtime's defaults on the CPU.
type SessionOptions struct {
	Threads  int // intra-op threads; 0: one a core
	OptLevel OptLevel
	Provider Provider // zero: cpu

	// Outputs are the outputs to compute, in order; nil: all.
	Outputs []string

	// Given are inputs that have a value by default and that runs give all the same,
	// behind the others.
	Given []string

	// ProfilePrefix turns profiling on; the trace is written to
	// PREFIX_TIME.json when the session closes. Use Session.EndProfile.
	ProfilePrefix string

	// NoArena gives memory back when a run ends. Left to itself a session keeps
	// the most that a run of it took, rounded up to powers of two.
	NoArena bool

	// OptimizedPath is where the runtime writes the graph it optimised, "" for
	// nowhere.
	OptimizedPath string

	// Config are session configuration entries (onnxruntime_session_options_config_keys.h).
	Config map[string]string
}

// IO describes an input or output of a session.
type IO struct {
	Name string
	Type graph.Type
}

// Session is a model loaded into ONNX Runtime. Its methods may be used from
// several goroutines; Close waits for runs under way.
type Session struct {
	// Model names the model in messages.
	Model string
	// Warnings are what ONNX Runtime logged while it loaded the model, at
	// level warning and above, without time stamps.
	Warnings []string

	inputs  []IO
	outputs []IO
	options SessionOptions
	narrow  map[string]graph.DataType // outputs that the runtime computes as float32 in place of these types

	mu     sync.RWMutex // readers run, the writer closes
	engine engine       // nil when closed
}

// engine is what a build provides: ONNX Runtime through cgo, or nothing.
type engine interface {
	// bind makes runtime values of inputs, in session order. With outputs, the
	// inputs are moved to where the model takes them, once, and every run
	// writes the outputs; nil leaves inputs and outputs in main memory, moved
	// and allocated by every run.
	bind(inputs, outputs []*graph.Tensor) (binding, error)
	close() error
}

// binding is a set of inputs that the runtime holds, ready to run again.
type binding interface {
	run(ctx context.Context) ([]*graph.Tensor, error)
	release()
}

// modelSource is an encoded model, in a file or in memory, and its interface.
// Folder is where external data of a model in memory lies.
type modelSource struct {
	name    string
	path    string // "" for a model in memory
	data    []byte
	folder  string
	inputs  []IO
	outputs []IO
}

// RunError is a failure of ONNX Runtime on a model.
type RunError struct {
	Model string
	Call  string // "load", "run", "bind input X"
	Text  string // what the runtime said
}

func (e *RunError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Model, e.Call, e.Text) }

// Inputs describes the session's inputs in order.
func (s *Session) Inputs() []IO { return s.inputs }

// Outputs describes the outputs the session computes, in order.
func (s *Session) Outputs() []IO {
	if s.narrow == nil {
		return s.outputs
	}
	outputs := slices.Clone(s.outputs)
	for i, o := range outputs {
		if dt, ok := s.narrow[o.Name]; ok {
			outputs[i].Type = graph.TensorType(dt, o.Type.Shape)
		}
	}
	return outputs
}

// Run computes the outputs from inputs in session order. Cancelling the
// context stops the run at the next node.
func (s *Session) Run(ctx context.Context, inputs ...*graph.Tensor) ([]*graph.Tensor, error) {
	b, err := s.Bind(inputs...)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	return b.Run(ctx)
}

// RunNamed computes the outputs, by name, from inputs by name.
func (s *Session) RunNamed(ctx context.Context, inputs map[string]*graph.Tensor) (map[string]*graph.Tensor, error) {
	ordered := make([]*graph.Tensor, len(s.inputs))
	for i, in := range s.inputs {
		if ordered[i] = inputs[in.Name]; ordered[i] == nil {
			return nil, &RunError{s.Model, "run", fmt.Sprintf("input %q is not given", in.Name)}
		}
	}
	if len(inputs) > len(ordered) {
		for name := range inputs {
			if !slices.ContainsFunc(s.inputs, func(io IO) bool { return io.Name == name }) {
				return nil, &RunError{s.Model, "run", fmt.Sprintf("the model has no input %q; it has %s", name, ioNames(s.inputs))}
			}
		}
	}
	out, err := s.Run(ctx, ordered...)
	if err != nil {
		return nil, err
	}
	named := make(map[string]*graph.Tensor, len(out))
	for i, t := range out {
		named[s.outputs[i].Name] = t
	}
	return named, nil
}

func ioNames(ios []IO) string { return strings.Join(names(ios), ", ") }

func names(ios []IO) []string {
	out := make([]string, len(ios))
	for i, io := range ios {
		out[i] = io.Name
	}
	return out
}

// Bound is a session with its inputs handed over, ready to run again.
type Bound struct {
	s *Session
	b binding
}

// Bind hands inputs over, in session order, after checking their number, types
// and fixed dimensions. Release the result before the session is closed.
func (s *Session) Bind(inputs ...*graph.Tensor) (*Bound, error) { return s.bind(inputs, nil) }

// BindIO hands inputs over for good: they are moved to the provider's device
// now, and changing them later need not be seen. Every run writes outputs,
// tensors in session order as an earlier run on such inputs returned them, and
// ends when they are back in main memory, which a device has to be done for.
// Such runs cannot be cancelled in their middle.
func (s *Session) BindIO(inputs, outputs []*graph.Tensor) (*Bound, error) {
	if len(outputs) != len(s.outputs) {
		return nil, &RunError{s.Model, "bind", fmt.Sprintf("%d outputs given, the session computes %d (%s)", len(outputs), len(s.outputs), ioNames(s.outputs))}
	}
	return s.bind(inputs, outputs)
}

func (s *Session) bind(inputs, outputs []*graph.Tensor) (*Bound, error) {
	if len(inputs) != len(s.inputs) {
		return nil, &RunError{s.Model, "bind", fmt.Sprintf("%d inputs given, the model takes %d (%s)", len(inputs), len(s.inputs), ioNames(s.inputs))}
	}
	for i, t := range inputs {
		if err := s.inputs[i].accepts(t); err != nil {
			return nil, &RunError{s.Model, "bind input " + s.inputs[i].Name, err.Error()}
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil {
		return nil, &RunError{s.Model, "bind", "the session is closed"}
	}
	wide := slices.Clone(outputs)
	for i, t := range outputs {
		if _, ok := s.narrow[s.outputs[i].Name]; ok {
			var err error
			if wide[i], err = op.Cast(t, graph.Float32); err != nil {
				return nil, &RunError{s.Model, "bind", err.Error()}
			}
		}
	}
	b, err := s.engine.bind(inputs, wide)
	if err != nil {
		return nil, err
	}
	return &Bound{s, b}, nil
}

func (io IO) accepts(t *graph.Tensor) error {
	if t.DType != io.Type.Elem {
		return fmt.Errorf("the model takes %s, given %s%v", io.Type, t.DType, t.Dims)
	}
	if !io.Type.Shape.Ranked() {
		return nil
	}
	if len(t.Dims) != len(io.Type.Shape) {
		return fmt.Errorf("the model takes %s, given shape %v", io.Type, t.Dims)
	}
	for i, d := range io.Type.Shape {
		if d.Known() && d.Size != t.Dims[i] {
			return fmt.Errorf("the model takes %s, given shape %v", io.Type, t.Dims)
		}
	}
	return nil
}

// Run computes the session's outputs.
func (b *Bound) Run(ctx context.Context) ([]*graph.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	if b.s.engine == nil {
		return nil, &RunError{b.s.Model, "run", "the session is closed"}
	}
	Doing("running %s", b.s.Model)
	out, err := b.b.run(ctx)
	if err != nil {
		return nil, err
	}
	for i, t := range out {
		if dt, ok := b.s.narrow[b.s.outputs[i].Name]; ok {
			if out[i], err = op.Cast(t, dt); err != nil {
				return nil, &RunError{b.s.Model, "run", err.Error()}
			}
		}
	}
	return out, nil
}

// Release gives the inputs, and the outputs of BindIO, back.
func (b *Bound) Release() { b.b.release() }

// Close frees the session. Closing twice is allowed.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return nil
	}
	err := s.engine.close()
	s.engine = nil
	return err
}
