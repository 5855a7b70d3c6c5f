//go:build cgo

package ort

import (
	"context"
	"fmt"
	"reflect"
	"runtime"

	native "github.com/yalue/onnxruntime_go"

	"github.com/afc-project/afc/graph"
)

func (e *ortEngine) bind(inputs, outputs []*graph.Tensor) (binding, error) {
	in, err := e.values("input", inputs)
	if err != nil {
		return nil, err
	}
	if outputs == nil {
		return &ortBinding{e, in}, nil
	}
	out, err := e.values("output", outputs)
	if err != nil {
		destroy(in)
		return nil, err
	}
	b := &ioBinding{e: e, values: append(in, out...), outputs: outputs}
	if err := b.bind(len(in)); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// values makes runtime values over tensors.
func (e *ortEngine) values(kind string, tensors []*graph.Tensor) ([]native.Value, error) {
	var values []native.Value
	for i, t := range tensors {
		v, err := newValue(t)
		if err != nil {
			destroy(values)
			return nil, &RunError{e.name, fmt.Sprintf("bind %s %d", kind, i), err.Error()}
		}
		values = append(values, v)
	}
	return values, nil
}

func destroy(values []native.Value) {
	for _, v := range values {
		// Where the binding cannot take an output over (a scalar), it leaves a
		// nil tensor in the interface.
		if v != nil && !reflect.ValueOf(v).IsNil() {
			v.Destroy()
		}
	}
}

// ortBinding holds inputs as runtime values in main memory. Every run moves
// them to the provider and allocates the outputs.
type ortBinding struct {
	e      *ortEngine
	inputs []native.Value
}

func (b *ortBinding) release() {
	destroy(b.inputs)
	b.inputs = nil
}

func (b *ortBinding) run(ctx context.Context) ([]*graph.Tensor, error) {
	outputs := make([]native.Value, len(b.e.outputs))
	defer func() { destroy(outputs) }()
	// The binding sizes the buffer of a 16-bit output it allocates itself in
	// elements, not bytes; give it one where the shape is known.
	for i, o := range b.e.outputs {
		if dt := o.Type.Elem; (dt == graph.Float16 || dt == graph.BFloat16) && o.Type.Shape.Static() {
			n, err := (&graph.Tensor{Dims: o.Type.Shape.Dims()}).NumElements()
			if err != nil {
				return nil, &RunError{b.e.name, "allocate output " + o.Name, err.Error()}
			}
			if outputs[i], err = native.NewCustomDataTensor(o.Type.Shape.Dims(), make([]byte, 2*n), native.TensorElementDataType(dt)); err != nil {
				return nil, &RunError{b.e.name, "allocate output " + o.Name, err.Error()}
			}
		}
	}
	opts, err := native.NewRunOptions()
	if err != nil {
		return nil, &RunError{b.e.name, "run", err.Error()}
	}
	defer opts.Destroy()
	stop := context.AfterFunc(ctx, func() { opts.Terminate() })
	err = b.e.session.RunWithOptions(b.inputs, outputs, opts)
	runtime.KeepAlive(b.inputs)
	if !stop() {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &RunError{b.e.name, "run", runtimeText(err)}
	}
	tensors := make([]*graph.Tensor, len(outputs))
	for i, v := range outputs {
		if tensors[i], err = tensorOf(v); err != nil {
			return nil, &RunError{b.e.name, "read output " + b.e.outputs[i].Name, err.Error()}
		}
	}
	return tensors, nil
}

// ioBinding is the runtime's IO binding. Binding an input moves it to the
// device of the nodes that read it; the outputs are bound in main memory, where
// the runtime copies them before a run returns. onnxruntime_go offers neither
// outputs that stay on a device nor run options beside a binding.
type ioBinding struct {
	e       *ortEngine
	io      *native.IoBinding
	values  []native.Value // inputs, then outputs: what the runtime points at
	outputs []*graph.Tensor
}

func (b *ioBinding) bind(inputs int) (err error) {
	if b.io, err = b.e.session.CreateIoBinding(); err != nil {
		return &RunError{b.e.name, "bind", err.Error()}
	}
	for i, v := range b.values {
		if i < inputs {
			err = b.io.BindInput(b.e.inputs[i].Name, v)
		} else {
			err = b.io.BindOutput(b.e.outputs[i-inputs].Name, v)
		}
		if err != nil {
			return &RunError{b.e.name, "bind", err.Error()}
		}
	}
	return nil
}

func (b *ioBinding) release() {
	if b.io != nil {
		b.io.Destroy()
	}
	destroy(b.values)
	b.values = nil
}

func (b *ioBinding) run(ctx context.Context) ([]*graph.Tensor, error) {
	err := b.e.session.RunWithBinding(b.io)
	runtime.KeepAlive(b)
	if err != nil {
		return nil, &RunError{b.e.name, "run", runtimeText(err)}
	}
	return b.outputs, ctx.Err()
}
