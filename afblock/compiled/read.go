package compiled

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/half"
	"github.com/afc-project/afc/graph/op"
)

// Is reports whether afc wrote the model.
func Is(m *graph.Model) bool { return m.Meta(names.NetworkKey) != "" }

// ReadModel makes the network of a model that afc wrote, from its metadata and
// its initializers. The network's source is what the model has around the
// trunk, unless that is afc's own standard input and output.
func ReadModel(m *graph.Model) (*afblock.Network, FileInfo, error) {
	fail := func(node, format string, args ...any) (*afblock.Network, FileInfo, error) {
		return nil, FileInfo{}, &graph.Error{File: m.Path, Node: node, Reason: fmt.Sprintf(format, args...)}
	}
	if !Is(m) {
		return fail("", "expected an AFNet that afc wrote, found no metadata %s", names.NetworkKey)
	}
	sk, said, err := weights.Parse(m.Meta(names.NetworkKey))
	if err != nil {
		return fail("", "%v", err)
	}
	var file *FileInfo
	if said != nil {
		if err := json.Unmarshal(said, &file); err != nil {
			return fail("", "metadata %s: %v", names.NetworkKey, err)
		}
	}
	if file == nil {
		return fail("", "metadata %s does not describe a file", names.NetworkKey)
	}
	if m, err = inFloat32(m, file); err != nil {
		return nil, FileInfo{}, err
	}
	stored := weightsOf(m)
	net, err := sk.BindAmong(stored)
	if stored.err != nil {
		return fail("", "%v", stored.err)
	}
	if err != nil {
		if e := (*checkpoint.Error)(nil); errors.As(err, &e) {
			e.File = m.Path
		}
		return nil, FileInfo{}, err
	}
	if _, err := weights.Export(net); err != nil {
		return fail("", "metadata %s: %v", names.NetworkKey, err)
	}
	if err := typed(m); err != nil {
		return nil, FileInfo{}, err
	}
	if file.TrunkIn != "" {
		in, out := m.Graph.Value(file.TrunkIn), m.Graph.Value(file.TrunkOut)
		if in == nil || out == nil {
			return fail("", "the trunk's ends %q and %q, which its metadata names, are not in the graph", file.TrunkIn, file.TrunkOut)
		}
		if net.Shell, err = recognize.ShellOf(net, m, in, out); err != nil {
			return fail("", "what lies around the trunk: %v", err)
		}
	}
	return net, *file, nil
}

// inFloat32 returns the model as it was before it was made to compute in half
// precision; weights stay rounded.
func inFloat32(m *graph.Model, file *FileInfo) (*graph.Model, error) {
	for _, p := range []Precision{file.Precision, file.IO} {
		if p != FP32 && p != FP16 {
			return nil, &graph.Error{File: m.Path, Reason: fmt.Sprintf("metadata %s: precision %q is not known", names.NetworkKey, p)}
		}
	}
	if file.Precision == FP32 {
		return m, nil
	}
	wide := m.Clone()
	if _, err := half.Widen(wide); err != nil {
		return nil, err
	}
	op.Infer(wide)
	half.Bypass(wide)
	return wide, nil
}

// typed refuses a model without outputs, and inputs and outputs whose type, of
// inputs the rank too, is not told: nothing can be said of how it takes clips.
func typed(m *graph.Model) error {
	if len(m.Graph.Outputs()) == 0 {
		return &graph.Error{File: m.Path, Reason: "an AFNet that has no output"}
	}
	for _, v := range slices.Concat(m.DataInputs(), m.Graph.Outputs()) {
		if v.Type.Elem == graph.Undefined || v.IsInput() && v.Type.Shape == nil {
			return &graph.Error{File: m.Path, Node: v.Name(), Reason: "an input or output of an AFNet that has no type of a tensor"}
		}
	}
	return nil
}

// weightsOf gathers the initializers, those of subgraphs too, by the keys of
// the state dict that their names begin with. What else there is belongs to the
// source around the trunk; nobody asks for it.
func weightsOf(m *graph.Model) *stored {
	s := &stored{pieces: map[string][]NamedTensor{}}
	for g := range m.Graph.AllGraphs() {
		for _, v := range g.Initializers() {
			key := v.Name()
			if i := strings.IndexByte(key, '['); i >= 0 {
				key = key[:i]
			}
			s.pieces[key] = append(s.pieces[key], NamedTensor{v.Name(), v.Initializer()})
		}
	}
	return s
}

// stored is the weights in a compiled model, put together as they are asked for.
type stored struct {
	pieces map[string][]NamedTensor
	err    error // the first of what does not fit together
}

// Tensor returns the whole tensor of a key, nil if there is none.
func (s *stored) Tensor(key string) *graph.Tensor {
	if s.pieces[key] == nil {
		return nil
	}
	t, err := Reassemble(s.pieces[key])
	if err != nil && s.err == nil {
		s.err = err
	}
	return t
}
