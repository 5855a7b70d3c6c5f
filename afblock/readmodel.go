package afblock

import (
	"fmt"
	"iter"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Compiled reports whether afc wrote the model.
func Compiled(m *graph.Model) bool { return m.Meta(structureKey) != "" }

// ReadModel makes the network of a model that afc wrote, from its metadata and
// its initializers. The network's source is what the model has around the
// trunk, unless that is afc's own standard input and output.
func ReadModel(m *graph.Model) (*Network, FileInfo, error) {
	fail := func(node, format string, args ...any) (*Network, FileInfo, error) {
		return nil, FileInfo{}, &graph.Error{File: m.Path, Node: node, Reason: fmt.Sprintf(format, args...)}
	}
	if !Compiled(m) {
		return fail("", "expected an AFNet that afc wrote, found no metadata %s", structureKey)
	}
	net, file, err := decodeStructure(m.Meta(structureKey))
	if err != nil {
		return fail("", "%v", err)
	}
	if file == nil {
		return fail("", "metadata %s does not describe a file", structureKey)
	}
	sd, err := Reassemble(weightsOf(m, net))
	if err != nil {
		return fail("", "%v", err)
	}
	// Initializers bear the keys without the prefix; what else there is
	// belongs to the source around the trunk.
	keys := net.Keys
	net.Keys = KeyStyle{FC: net.Head.Key}
	if err := bindSome(net, sd); err != nil {
		err.File = m.Path
		return nil, FileInfo{}, err
	}
	net.Keys = keys
	if _, err := net.StateDict(); err != nil {
		return fail("", "metadata %s: %v", structureKey, err)
	}
	if file.TrunkIn != "" {
		in, out := m.Graph.Value(file.TrunkIn), m.Graph.Value(file.TrunkOut)
		if in == nil || out == nil {
			return fail("", "the trunk's ends %q and %q, which its metadata names, are not in the graph", file.TrunkIn, file.TrunkOut)
		}
		shell, in, out, err := net.shell(m, in, out)
		if err == nil {
			net.Source, err = sourceAt(shell, in, out, net.Frames)
		}
		if err != nil {
			return fail("", "what lies around the trunk: %v", err)
		}
	}
	return net, *file, nil
}

// weightsOf lists the initializers, those of subgraphs too, that bear keys of
// the network.
func weightsOf(m *graph.Model, net *Network) []NamedTensor {
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
	for g := range graphsOf(m.Graph) {
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

// graphsOf iterates over a graph and all graphs inside its nodes.
func graphsOf(g *graph.Graph) iter.Seq[*graph.Graph] {
	return func(yield func(*graph.Graph) bool) {
		var walk func(*graph.Graph) bool
		walk = func(g *graph.Graph) bool {
			if !yield(g) {
				return false
			}
			for n := range g.Nodes() {
				for _, sub := range n.Subgraphs() {
					if !walk(sub) {
						return false
					}
				}
			}
			return true
		}
		walk(g)
	}
}

// WithFrames returns the network for clips of another number of frames. Fixed
// navigation patterns are made anew; trained navigation has weights for each
// frame and is refused.
func (net *Network) WithFrames(frames int) (*Network, error) {
	if frames == net.Frames {
		return net, nil
	}
	if frames < 1 {
		return nil, &graph.Error{Reason: fmt.Sprintf("frames a clip: expected 1 or more, found %d", frames)}
	}
	out := net.Clone()
	out.Frames = frames
	for i, n := range out.AllNavigation() {
		if n.Fixed == nil {
			return nil, &graph.Error{Node: n.Key, Reason: fmt.Sprintf(
				"this navigation was trained for clips of %d frames and has weights for each; it cannot serve %d", net.Frames, frames)}
		}
		n.Fixed.spell(n, frames, i)
	}
	return out, nil
}
