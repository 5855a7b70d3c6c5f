package subject

import (
	"bytes"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/clips"
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
	s.SourceNetwork, s.SourceFrames, s.SourceLayout = interpreted, network.Frames, clips.LayoutFrom(network.Shell.Clip().Layout.Axes())
	if shell, ok := network.Shell.(*recognize.Shell); ok && shell.Exported() != nil && net != nil {
		s.Export = &verify.Export{Model: shell.Steady(), Retrained: net.Exporter == "" || net.Tune != nil || net.Fit != nil}
		if e := shell.Exported(); e.Joined {
			s.Export.Masks = e.Masks[0]
		}
		s.Export.Differs, s.Export.Tensors = differs(net, network)
	}
	if net != nil {
		s.Identity = func() (*graph.Model, error) { return identityOf(net, network) }
	}
	return nil
}

// differs says in what a network is not another, tensor by tensor; "" where it is
// that, and how many tensors were compared.
func differs(net, other *afblock.Network) (where string, tensors int) {
	if a, b := weights.Of(net).JSON(nil), weights.Of(other).JSON(nil); a != b {
		return "its structure is not the export's", 0
	}
	theirs := map[string]*graph.Tensor{}
	for key, at := range other.Tensors() {
		theirs[key] = *at
	}
	for key, at := range net.Tensors() {
		if !equal(*at, theirs[key]) {
			return key + " is not the export's", tensors
		}
		tensors++
	}
	return "", tensors
}

// equal reports whether two tensors hold the same numbers, in whichever type of
// floats.
func equal(a, b *graph.Tensor) bool {
	if b == nil || !slices.Equal(a.Dims, b.Dims) {
		return false
	}
	if a.DType == b.DType {
		x, err1 := a.Bytes()
		y, err2 := b.Bytes()
		return err1 == nil && err2 == nil && bytes.Equal(x, y)
	}
	x, err1 := a.Float32s()
	y, err2 := b.Float32s()
	return err1 == nil && err2 == nil && slices.Equal(x, y)
}

// identityOf writes what must equal the source of a network: the network itself
// with every frame selected and its gates open, or, where groups or strides keep
// that from being equal, a dense twin made of the source.
func identityOf(net, source *afblock.Network) (*graph.Model, error) {
	if originOf(net) == interpret.Adapted {
		return nil, &verify.InapplicableError{Reason: "its weights were fitted or tuned: with every frame selected they are no longer the source's"}
	}
	all, err := net.Identity()
	if err != nil && source != nil && originOf(net) == interpret.Transplanted {
		all, err = net.IdentityFrom(source)
	}
	if err != nil {
		return nil, &verify.InapplicableError{Reason: err.Error()}
	}
	m, _, err := codegen.Lower(all, codegen.Options{Lowering: codegen.Mask})
	return m, err
}
