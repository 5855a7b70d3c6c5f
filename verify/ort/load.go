package ort

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// maxInMemory is the most bytes of a model that is given to the runtime whole.
var maxInMemory int64 = graph.MaxFileSize

// NewSession loads a model. It is encoded first: the runtime sees what a file
// would hold. Of a model too large for one file, the runtime reads the weights
// that are still where they were read from.
func NewSession(m *graph.Model, opt SessionOptions) (*Session, error) {
	m, narrow := widened(m)
	size, err := m.EncodedSize()
	if err != nil {
		return nil, err
	}
	src := modelSource{name: ModelName(m)}
	if size > maxInMemory {
		src.data, src.folder, err = m.EncodeReferring()
	} else {
		src.data, err = graph.EncodeBytes(m)
	}
	if err != nil {
		return nil, err
	}
	s, err := newSession(m, src, opt)
	if err == nil {
		s.narrow = narrow
	}
	return s, err
}

// widened returns a model whose outputs of 16 bits and open size are float32, and
// by name what they were: the binding allocates half the room that such outputs
// take. Nothing is lost on the way there and back.
func widened(m *graph.Model) (*graph.Model, map[string]graph.DataType) {
	narrow := map[string]graph.DataType{}
	typed := m.Graph.Outputs()
	if slices.ContainsFunc(typed, func(v *graph.Value) bool { return v.Type.Elem == graph.Undefined }) {
		inferred := m.Clone()
		op.Infer(inferred)
		typed = inferred.Graph.Outputs()
	}
	for i, v := range typed {
		declared := m.Graph.Outputs()[i].Type
		if dt := v.Type.Elem; (dt == graph.Float16 || dt == graph.BFloat16) && !(declared.Elem == dt && declared.Shape.Static()) {
			narrow[v.Name()] = dt
		}
	}
	if len(narrow) == 0 {
		return m, nil
	}
	m = m.Clone()
	for i, v := range m.Graph.Outputs() {
		name := v.Name()
		if _, ok := narrow[name]; !ok {
			continue
		}
		wide := m.Graph.NewNode("Cast", "afc.widened", []*graph.Value{v}, 1, graph.Int("to", int64(graph.Float32))).Output(0)
		wide.Type = graph.TensorType(graph.Float32, v.Type.Shape)
		m.Graph.SetOutput(i, wide)
		v.Rename(m.Graph.NewName(name + ".narrow"))
		wide.Rename(name)
	}
	return m, narrow
}

// ModelName is how messages name a model: its path, or its graph's name.
func ModelName(m *graph.Model) string {
	if m.Path != "" {
		return m.Path
	}
	return m.Graph.Name
}

// OpenSession loads a model file. The runtime reads the file itself; afc
// decodes it for the interface only.
func OpenSession(path string, opt SessionOptions) (*Session, error) {
	m, err := graph.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newSession(m, modelSource{name: path, path: path}, opt)
}

// newSession loads src, whose interface m has.
func newSession(m *graph.Model, src modelSource, opt SessionOptions) (*Session, error) {
	for _, v := range m.DataInputs() {
		src.inputs = append(src.inputs, IO{v.Name(), v.Type})
	}
	for _, name := range opt.Given {
		v := m.Graph.Value(name)
		if v == nil || !v.IsInput() || v.Initializer() == nil {
			return nil, &RunError{src.name, "load", fmt.Sprintf("the model has no input %q with a default", name)}
		}
		src.inputs = append(src.inputs, IO{v.Name(), v.Type})
	}
	for _, v := range m.Graph.Outputs() {
		src.outputs = append(src.outputs, IO{v.Name(), v.Type})
	}
	if opt.Outputs != nil {
		var err error
		if src.outputs, err = selectOutputs(src, opt.Outputs); err != nil {
			return nil, err
		}
	}
	if len(src.inputs) == 0 || len(src.outputs) == 0 {
		return nil, &RunError{src.name, "load", fmt.Sprintf("the model has %d inputs and %d outputs, afc runs models with at least one of each", len(src.inputs), len(src.outputs))}
	}
	Doing("loading %s into ONNX Runtime", src.name)
	engine, warnings, err := open(src, opt)
	if err != nil {
		return nil, err
	}
	return &Session{Model: src.name, Warnings: warnings, inputs: src.inputs, outputs: src.outputs, options: opt, engine: engine}, nil
}

func selectOutputs(src modelSource, names []string) ([]IO, error) {
	selected := make([]IO, len(names))
	for i, name := range names {
		k := slices.IndexFunc(src.outputs, func(io IO) bool { return io.Name == name })
		if k < 0 {
			return nil, &RunError{src.name, "load", fmt.Sprintf("the model has no output %q; it has %s", name, ioNames(src.outputs))}
		}
		selected[i] = src.outputs[k]
	}
	return selected, nil
}
