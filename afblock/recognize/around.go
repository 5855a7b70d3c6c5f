package recognize

import (
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// ShellOf reads what lies around a network's trunk in a model that afc wrote,
// between what its stem reads and what its last stage makes.
func ShellOf(net *afblock.Network, m *graph.Model, in, out *graph.Value) (afblock.Shell, error) {
	around, in, out, err := shellModel(net, m, in, out)
	if err != nil {
		return nil, err
	}
	s, err := sourceAt(around, in, out, net.Frames)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// shellModel returns a model like m in which pools and one 1×1 convolution of zeros,
// with the trunk's strides, stand in for the trunk between two values, and
// those values in it. What lies around an AFNet can be looked at in it without
// following shapes through branches that depend on the data.
func shellModel(net *afblock.Network, m *graph.Model, in, out *graph.Value) (s *graph.Model, shellIn, shellOut *graph.Value, err error) {
	clip, err := clipInputs(m)
	if err != nil {
		return nil, nil, nil, err
	}
	s = &graph.Model{
		IRVersion: m.IRVersion, Opsets: m.Opsets, ProducerName: m.ProducerName, ProducerVersion: m.ProducerVersion,
		Domain: m.Domain, ModelVersion: m.ModelVersion, Doc: m.Doc, Path: m.Path, Graph: graph.NewGraph(m.Graph.Name),
	}
	for _, p := range m.Metadata {
		if p.Key != names.NetworkKey && p.Key != names.NoteKey {
			s.Metadata = append(s.Metadata, p)
		}
	}
	s.Graph.Doc = m.Graph.Doc
	c := newCopier(s.Graph, nil)
	v := s.Graph.AddInput(clip[0].Name(), clip[0].Type)
	v.Doc = clip[0].Doc
	c.vals[clip[0]] = v
	if err := c.region(m.Graph, in); err != nil {
		return nil, nil, nil, err
	}
	shellIn = c.vals[in]
	shellOut = standIn(net, s.Graph, shellIn, out.Name())
	c.vals[out] = shellOut
	answer := m.Graph.Outputs()[0]
	if err := c.region(m.Graph, answer); err != nil {
		return nil, nil, nil, err
	}
	s.Graph.AddOutput(c.vals[answer])
	if got := c.vals[answer]; got.Name() != answer.Name() {
		return nil, nil, nil, fmt.Errorf("output %q: its copy is named %q", answer.Name(), got.Name())
	}
	c.vals[answer].Type, c.vals[answer].Doc = answer.Type, answer.Doc
	op.Infer(s) // value types are not stored
	return s, shellIn, shellOut, nil
}

// standIn makes a map of the trunk's size and channels of what the stem reads.
func standIn(net *afblock.Network, g *graph.Graph, x *graph.Value, name string) *graph.Value {
	channels := int64(net.Stem.Conv.In())
	pool := func(w afblock.Window) {
		k, s, p := int64(w.Kernel), int64(w.Stride), int64(w.Pad)
		x = g.NewNode("MaxPool", "afc.stand_in", []*graph.Value{x}, 1, graph.Ints("kernel_shape", k, k),
			graph.Ints("strides", s, s), graph.Ints("pads", p, p, p, p)).Output(0)
	}
	out := int64(0)
	for u := range net.Walk(net.Size) {
		if u.Part == afblock.PartHead {
			out = int64(u.In.C)
		}
		if !u.MainLine() {
			continue
		}
		for _, l := range u.Layers {
			switch l := l.(type) {
			case *afblock.Conv:
				if l.Stride > 1 {
					pool(l.Window())
				}
			case afblock.MaxPool:
				pool(afblock.Window(l))
			}
		}
	}
	zero := g.NewInitializer("afc.stand_in_weight", graph.Float32s([]int64{out, channels, 1, 1}, make([]float32, out*channels)...))
	return g.AddNode("Conv", "", "afc.stand_in", []*graph.Value{x, zero}, []string{g.NewName(name)}).Output(0)
}
