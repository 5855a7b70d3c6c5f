package subject

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify"
)

// SetSource adds to a subject, in which net is the network, the model it was
// made from. Network is what was recognised in that model; if it is nil,
// unknown says why nothing was.
func SetSource(s *verify.Subject, net *afblock.Network, source *graph.Model, network *afblock.Network, unknown string) error {
	s.Source, s.SourceUnknown = source, unknown
	if network == nil {
		return nil
	}
	interpreted, err := interpret.New(network)
	if err != nil {
		return err
	}
	s.SourceNetwork, s.SourceFrames = interpreted, network.Frames
	if net != nil {
		s.Identity = func() (*graph.Model, error) { return identityOf(net, network) }
	}
	return nil
}

// identityOf writes what must equal the source of a network: the network itself
// with every frame selected and its gates open, or, where groups or strides keep
// that from being equal, a dense twin made of the source.
func identityOf(net, source *afblock.Network) (*graph.Model, error) {
	all, err := net.AllFocal()
	if err != nil && source != nil && originOf(net) == interpret.Transplanted {
		all, err = net.DenseTwin(source)
	}
	if err != nil {
		return nil, &verify.InapplicableError{Reason: err.Error()}
	}
	m, _, err := codegen.Lower(all, codegen.Options{Lowering: codegen.Mask})
	return m, err
}
