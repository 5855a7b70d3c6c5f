package passes

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// recognizeNet reads the network off the model. Where the graph does not say T,
// a source has as many frames as its AFNet is asked to have.
func recognizeNet(s *State) error {
	opt := s.opt.Recognize
	opt.Default = s.opt.Frames
	net, err := recognize.Network(s.Model, opt)
	if err != nil {
		return err
	}
	if s.opt.Accept != nil {
		if err := s.opt.Accept(net); err != nil {
			return err
		}
	}
	s.Network = net
	return s.fromExport()
}

// fromExport takes over what the export of an AFNet has beside the network, and
// says what becomes of it.
func (s *State) fromExport() error {
	shell, ok := s.Network.Shell.(*recognize.Shell)
	if !ok || shell.Exported() == nil {
		return nil
	}
	s.exported = shell.Exported()
	if s.opt.KeepMasks {
		s.opt.Lower.MasksOutput = s.exported.Masks != nil
	}
	if masks := s.exported.Masks; masks != nil && (!s.opt.Lower.MasksOutput || !s.exported.Joined || masks[0] != names.Masks) {
		becomes := "left out"
		if s.opt.Lower.MasksOutput {
			becomes = fmt.Sprintf("one output %q, [N, blocks, T]", names.Masks)
		}
		s.note(nil, "the masks that the export puts out (%s) become %s", strings.Join(masks, ", "), becomes)
	}
	return s.sampling()
}

// sampling says what becomes of random numbers in an export's choices.
func (s *State) sampling() error {
	noise := s.exported.Noise
	if noise == nil {
		return nil
	}
	if s.opt.Lower.Sampling != compiled.Gumbel {
		s.note(nil, "the export chooses frames with random noise (%s and so on, %d nodes): it is left out, a frame is selected where its second logit is the larger", noise[0], len(noise))
		return nil
	}
	if !s.exported.Gumbel {
		return &graph.Error{File: s.Model.Path, Node: noise[0], Reason: "the noise in the export's choices is not Gumbel's, so it cannot become an input of that (--sampling gumbel); without it the noise is left out"}
	}
	s.note(nil, "the random noise in the export's choices (%s and so on, %d nodes) becomes the input %q", noise[0], len(noise), names.Noise)
	return nil
}

// recognizeIfAny is recognizeNet for a pipeline that also serves models that are
// no video ResNets: those keep their own structure.
func recognizeIfAny(s *State) error {
	err := recognizeNet(s)
	if refused := (*recognize.Error)(nil); errors.As(err, &refused) {
		s.note(nil, "%v; the model keeps its structure", err)
		s.noFrames = refused.NeedFrames
		return nil
	}
	if s.exported != nil {
		s.note(nil, "an AFNet, which computes frames that it has not selected; convert makes it skip them; here it keeps its structure")
		s.Network = nil
	}
	return err
}

// readBack reads the network of an AFNet, and what inputs and outputs it has
// beside clips and answer.
func readBack(s *State) error {
	net, file, err := compiled.ReadModel(s.Model)
	if err != nil {
		return err
	}
	if s.opt.KeepMasks {
		s.opt.Lower.MasksOutput = file.Masks
	}
	if s.opt.KeepSampling {
		s.opt.Lower.Sampling = file.Sampling
	}
	if s.opt.KeepDial {
		s.opt.Lower.Dial = file.Dial
	}
	if file.Dial {
		net = net.Undialled()
	}
	if s.opt.KeepPrecision {
		s.opt.Lower.Precision, s.opt.Lower.IO = file.Precision, file.IO
	}
	s.Network = net
	return nil
}

// loadWeights makes the network that trained weights describe: in the place of
// a recognised one; of the form of an AFNet that was read back; or, of weights
// alone, with what the options say.
func loadWeights(s *State) error {
	if s.weights == nil {
		return nil
	}
	s.changed(1)
	if w := s.weights; len(w.OtherKeys) > 0 {
		s.note(nil, "%s has weights under %s: taking %q (--weights-key)", w.File, strings.Join(append([]string{w.Key}, w.OtherKeys...), ", "), w.Key)
	}
	var err error
	switch source := s.Network; {
	case source == nil:
		if s.Network, err = s.described(s.opt.Checkpoint); err == nil {
			s.assume()
		}
	case compiled.Is(s.Model) || s.exported != nil:
		s.Network, err = weights.Replace(source, s.weights)
	default:
		opt := weights.OptionsFrom(source)
		opt.StrideAt, opt.Unselected, opt.Grid = s.opt.Checkpoint.StrideAt, s.opt.Checkpoint.Unselected, s.opt.Checkpoint.Grid
		if s.Network, err = s.described(opt); err == nil {
			err = s.Network.Adopt(source)
		}
	}
	return err
}

// described is the network that the weights describe.
func (s *State) described(opt weights.Options) (*afblock.Network, error) {
	opt.Frames = cmp.Or(s.opt.Frames, opt.Frames)
	net, err := weights.FromStateDict(s.weights, opt)
	if err == nil && s.opt.Unselected != nil {
		net.Unselected = *s.opt.Unselected
	}
	return net, err
}

// assume takes for granted, with a note, what neither weights nor options say.
func (s *State) assume() {
	if s.Network.Size[0] == 0 {
		s.Network.Size = [2]int{afblock.UsualSide, afblock.UsualSide}
		s.note(nil, "%s does not say how large frames are: taking %d×%d (--size)", s.weights.File, afblock.UsualSide, afblock.UsualSide)
	}
	if s.weights.Skeleton != "" || s.opt.Checkpoint.ShiftDiv > 0 {
		return
	}
	if slices.ContainsFunc(s.Network.Stages, shifts) {
		s.note(nil, "%s does not say whether the network shifts: an %s shifts 1/8 of the channels in every block (--shift --shift-div N)", s.weights.File, s.Network.Backbone())
	} else {
		s.note(nil, "%s does not say whether the network shifts: taking no temporal shift (--shift)", s.weights.File)
	}
}

// rewriteAF turns a plain network into an AFNet, if the caller wants one. Of a
// source that is one already it makes what that allows.
func rewriteAF(s *State) error {
	if s.exported != nil {
		return relower(s)
	}
	if s.opt.Rewrite == nil || len(s.Network.Navigation()) > 0 {
		return nil
	}
	opt := *s.opt.Rewrite
	opt.Frames = cmp.Or(s.opt.Frames, opt.Frames)
	if s.opt.Unselected != nil {
		opt.Unselected = *s.opt.Unselected
	}
	net, err := afblock.Rewrite(s.Network, opt)
	if err != nil {
		return err
	}
	s.source, s.Network = s.Network, net
	s.changed(1)
	return nil
}

// fixCells gives focal blocks cells inside the frames. Of a checkpoint that
// has trained ones the grid is used already, and nothing is left to do.
func fixCells(s *State) error {
	grid := s.opt.Checkpoint.Grid
	if len(grid) == 0 {
		return nil
	}
	trained := slices.ContainsFunc(s.Network.Navigation(), func(n *afblock.Navigation) bool { return n.Cells != nil && n.Cells.Fixed == nil })
	told := s.weights != nil && s.weights.Skeleton == "" && (s.Model == nil || !compiled.Is(s.Model))
	switch {
	case trained && s.opt.Cells != nil:
		return &graph.Error{Reason: "the network has trained cells, which --spatial-pattern would replace: leave it out"}
	case trained && told:
		return nil
	case trained:
		return &graph.Error{Reason: "the network has trained cells and says how many: leave out --spatial"}
	case len(s.Network.Navigation()) == 0:
		return &graph.Error{Reason: "the network has no focal branch that could compute cells: leave out --spatial"}
	}
	pattern := afblock.CellPattern{Kind: "center", Ratio: 0.5}
	if s.opt.Cells != nil {
		pattern = *s.opt.Cells
	}
	net, err := s.Network.FixCells(grid, pattern)
	if err != nil {
		return &graph.Error{Reason: "--spatial: " + err.Error()}
	}
	s.Network = net
	s.changed(1)
	return nil
}

// fitWeights has the caller fit an AFNet to its source, if it wants to.
func fitWeights(s *State) error {
	if s.opt.Fit == nil || s.source == nil {
		return nil
	}
	net, err := s.opt.Fit(s.source, s.Network)
	if err != nil {
		return err
	}
	s.Network = net
	s.changed(1)
	return nil
}

// relower makes the changes that an AFNet allows without being rewritten.
func relower(s *State) error {
	if s.opt.Frames > 0 {
		net, err := s.Network.WithFrames(s.opt.Frames)
		if err != nil {
			return err
		}
		s.Network = net
	}
	if u := s.opt.Unselected; u != nil && *u != s.Network.Unselected {
		s.Network.Unselected = *u
		s.changed(1)
	}
	return nil
}

// lower writes the network as a model. In the place of a source it carries on
// what the source says about itself.
func lower(s *State) error {
	if s.opt.Lower.Dial {
		s.Network = s.Network.Dialled()
	}
	m, choice, err := codegen.Lower(s.Network, s.opt.Lower)
	if err != nil {
		return err
	}
	s.choice = choice
	if s.Model != nil && !compiled.Is(s.Model) {
		s.lowered(m)
		return nil
	}
	s.Model = m
	s.changed(1)
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
	m.SetMeta(names.OptimizedKey, s.pass)
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
