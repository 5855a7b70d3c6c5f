package passes

import (
	"errors"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/key"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// recognizeNet reads the network off the model.
func recognizeNet(s *State) error {
	net, err := recognize.Network(s.Model, s.opt.Recognize)
	if err != nil {
		return err
	}
	s.Network = net
	return nil
}

// recognizeIfAny is recognizeNet for a pipeline that also serves models that are
// no video ResNets: those keep their own structure.
func recognizeIfAny(s *State) error {
	err := recognizeNet(s)
	if refused := (*recognize.Error)(nil); errors.As(err, &refused) {
		s.note(nil, "%v; the model keeps its structure", err)
		return nil
	}
	return err
}

// rewriteAF turns the network into an AFNet as the caller decides.
func rewriteAF(s *State) error {
	if s.opt.Rewrite == nil {
		return nil
	}
	net, err := s.opt.Rewrite(s.Network)
	if err != nil {
		return err
	}
	s.Network = net
	s.changed(1)
	return nil
}

// lower writes the network as a model again.
func lower(s *State) error {
	m, _, err := codegen.Lower(s.Network, s.opt.Lower)
	if err != nil {
		return err
	}
	s.lowered(m)
	return nil
}

// splitStream writes a network with temporal shift in the form that ONNX
// Runtime runs fastest. A network without shift keeps its structure, which has
// nothing to gain.
func splitStream(s *State) error {
	net := s.Network
	if net == nil || !slices.ContainsFunc(net.Stages, shifts) {
		return nil
	}
	m, err := codegen.LowerPlain(net)
	if err != nil {
		s.note(nil, "the shift keeps its form: %v", err)
		return nil
	}
	s.lowered(m)
	m.SetMeta(key.Optimized, s.pass)
	return nil
}

func shifts(st *afblock.Stage) bool {
	return slices.ContainsFunc(st.Blocks, func(b *afblock.Block) bool { return b.Shift != nil })
}

// lowered puts m in the place of the model, with what the old one says about
// itself. What passes noted on nodes of the old one no longer matters.
func (s *State) lowered(m *graph.Model) {
	s.notes = slices.DeleteFunc(s.notes, func(n Note) bool { return n.Node != "" })
	old := s.Model
	m.ProducerName, m.ProducerVersion = old.ProducerName, old.ProducerVersion
	m.Domain, m.ModelVersion, m.Doc, m.Path = old.Domain, old.ModelVersion, old.Doc, old.Path
	written := m.Metadata
	m.Metadata = slices.Clone(old.Metadata)
	for _, p := range written {
		m.SetMeta(p.Key, p.Value)
	}
	m.Graph.Name, m.Graph.Doc, m.Graph.Metadata = old.Graph.Name, old.Graph.Doc, old.Graph.Metadata
	for _, o := range old.Opsets {
		if m.Opset(o.Domain) == 0 {
			m.Opsets = append(m.Opsets, o)
		}
	}
	for n := range nodes(m) {
		s.stamp(n)
	}
	s.Model = m
	s.changed(1)
}
