package subject

import (
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/half"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify"
)

// Of says what there is to prove about a model that afc wrote, and returns the
// network in it.
func Of(m *graph.Model) (*verify.Subject, *afblock.Network, error) {
	net, file, err := compiled.ReadModel(m)
	if err != nil {
		return nil, nil, err
	}
	interpreted, err := interpret.New(net)
	if err != nil {
		return nil, nil, err
	}
	s := &verify.Subject{
		Model: m, Path: m.Path, Lowering: file.Lowering, Budget: file.Budget, Masks: file.Masks, Dial: file.Dial,
		Frames: net.Frames, Channels: net.Stem.Conv.In(), Layout: clips.LayoutFrom(net.Shell.Clip().Layout.Axes()), Size: net.Size, Blocks: compiled.FocalBlocks(net), Stages: stagesOf(net),
		FineTune: net.FineTune, Probabilities: net.Head.Softmax,
		Network: interpreted, TrunkIn: file.TrunkIn, TrunkOut: file.TrunkOut, Origin: originOf(net),
	}
	if net.Fit != nil {
		s.Fitted = net.Fit.String()
	}
	if file.Precision == compiled.FP16 {
		s.Unit, s.Rounding = half.Unit, half.Drift(m.Graph)
	}
	s.Variant = func(v interpret.Variant) (*verify.Variant, error) { return variantOf(net, codegen.OptionsOf(file), v) }
	s.Reference = func(masksIn bool) (*graph.Model, error) {
		if masksIn && len(s.Blocks) == 0 {
			return nil, &verify.InapplicableError{Reason: "no block chooses frames"}
		}
		m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask, MasksInput: masksIn, MasksOutput: len(s.Blocks) > 0})
		return m, err
	}
	s.Identity = func() (*graph.Model, error) { return identityOf(net, nil) }
	return s, net, nil
}

func stagesOf(net *afblock.Network) []string {
	var stages []string
	for _, s := range net.Stages {
		stages = append(stages, s.Name)
	}
	return stages
}

// originOf says where a network's weights come from: trained navigation comes
// with trained weights, a fixed pattern with the source's or fitted ones.
func originOf(net *afblock.Network) interpret.Origin {
	for _, n := range net.Navigation() {
		if n.Fixed == nil {
			return interpret.Trained
		}
	}
	if net.FineTune {
		return interpret.Transplanted
	}
	return interpret.Adapted
}

// variantOf writes a variant of a network with a file's options.
func variantOf(net *afblock.Network, opt codegen.Options, v interpret.Variant) (*verify.Variant, error) {
	other := interpret.Randomised(net, v)
	opt.Budget = slices.Clone(opt.Budget)
	for i, n := range opt.Budget {
		opt.Budget[i] = min(n, other.Frames)
	}
	blocks := compiled.FocalBlocks(other)
	opt.MasksOutput = len(blocks) > 0
	m, _, err := codegen.Lower(other, opt)
	if err != nil {
		return nil, err
	}
	if opt.Precision == compiled.FP16 {
		if _, err := half.Narrow(m, opt.IO == compiled.FP16); err != nil {
			return nil, err
		}
	}
	interpreted, err := interpret.New(other)
	return &verify.Variant{Model: m, Network: interpreted, Blocks: blocks, Budget: opt.Budget, Masks: opt.MasksOutput}, err
}
