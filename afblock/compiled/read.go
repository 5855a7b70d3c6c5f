package compiled

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/key"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
)

// Is reports whether afc wrote the model.
func Is(m *graph.Model) bool { return m.Meta(key.Network) != "" }

// ReadModel makes the network of a model that afc wrote, from its metadata and
// its initializers. The network's source is what the model has around the
// trunk, unless that is afc's own standard input and output.
func ReadModel(m *graph.Model) (*afblock.Network, FileInfo, error) {
	fail := func(node, format string, args ...any) (*afblock.Network, FileInfo, error) {
		return nil, FileInfo{}, &graph.Error{File: m.Path, Node: node, Reason: fmt.Sprintf(format, args...)}
	}
	if !Is(m) {
		return fail("", "expected an AFNet that afc wrote, found no metadata %s", key.Network)
	}
	net, said, err := weights.DecodeStructure(m.Meta(key.Network))
	if err != nil {
		return fail("", "%v", err)
	}
	var file *FileInfo
	if said != nil {
		if err := json.Unmarshal(said, &file); err != nil {
			return fail("", "metadata %s: %v", key.Network, err)
		}
	}
	if file == nil {
		return fail("", "metadata %s does not describe a file", key.Network)
	}
	sd, err := Reassemble(weightsOf(m, net))
	if err != nil {
		return fail("", "%v", err)
	}
	// Initializers bear the keys without the prefix; what else there is
	// belongs to the source around the trunk.
	keys := net.Keys
	net.Keys = afblock.KeyStyle{FC: net.Head.Key}
	if err := weights.BindSome(net, sd); err != nil {
		err.File = m.Path
		return nil, FileInfo{}, err
	}
	net.Keys = keys
	if _, err := weights.Export(net); err != nil {
		return fail("", "metadata %s: %v", key.Network, err)
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

// weightsOf lists the initializers, those of subgraphs too, that bear keys of
// the network.
func weightsOf(m *graph.Model, net *afblock.Network) []NamedTensor {
	stems := map[string]bool{net.Head.Key: true}
	for c := range net.AllConvs() {
		stems[c.Key] = true
		if c.BN != nil {
			stems[c.BN.Key] = true
		}
	}
	for _, n := range net.AllNavigation() {
		stems[n.Key2] = true
	}
	for _, s := range net.Stages {
		if s.AF != nil {
			stems[s.AF.Gate.Key1], stems[s.AF.Gate.Key2] = true, true
		}
	}
	var out []NamedTensor
	for g := range m.Graph.AllGraphs() {
		for _, v := range g.Initializers() {
			key := v.Name()
			if i := strings.IndexAny(key, "[!"); i >= 0 {
				key = key[:i]
			}
			if dot := strings.LastIndexByte(key, '.'); dot >= 0 && stems[key[:dot]] {
				out = append(out, NamedTensor{v.Name(), v.Initializer()})
			}
		}
	}
	return out
}
