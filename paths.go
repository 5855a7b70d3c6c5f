package afc

import (
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/passes"
)

// path is what Convert starts from. Which options count depends on it.
type path struct {
	model    modelKind
	weights  weightsKind
	exported bool // the weights carry their network's structure: afc exported them
}

type modelKind int

const (
	noModel modelKind = iota
	sourceModel
	exportedModel // an AFNet that PyTorch, or another program, exported
	compiledModel // an AFNet that afc wrote
)

type weightsKind int

const (
	noWeights    weightsKind = iota
	plainWeights             // of a ResNet
	afWeights                // of an AFNet
)

// pathOf tells what an input is.
func pathOf(in passes.Input) path {
	var p path
	switch {
	case in.Model == nil:
	case compiled.Is(in.Model):
		p.model = compiledModel
	default:
		p.model = sourceModel
	}
	if sd := in.Weights; sd != nil {
		p.weights, p.exported = plainWeights, sd.Skeleton != ""
		for _, key := range sd.Names() {
			if strings.Contains(key, ".refine_module.") || strings.HasPrefix(key, "refine_module.") {
				p.weights = afWeights
			}
		}
	}
	return p
}

// optionRule says where an option of Convert counts: refused returns why it
// does not, "" where it does.
type optionRule struct {
	option  string
	set     func(*ConvertOptions) bool
	refused func(path) string
}

// convertRules are the options that do not count everywhere; the others do.
var convertRules = []optionRule{
	{"InputShapes", func(o *ConvertOptions) bool { return len(o.InputShapes) > 0 }, needsModel},
	{"SourceFrames", func(o *ConvertOptions) bool { return o.SourceFrames != 0 }, func(p path) string {
		if p.model == compiledModel {
			return "an AFNet that afc wrote says how many frames its clips have"
		}
		return needsModel(p)
	}},
	{"Size", func(o *ConvertOptions) bool { return o.Size != [2]int{} }, withoutModel},
	{"ShiftDiv", func(o *ConvertOptions) bool { return o.ShiftDiv != 0 }, func(p path) string {
		if p.exported && p.model == noModel {
			return "weights that afc exported say whether their network shifts"
		}
		return withoutModel(p)
	}},
	{"Navigation", func(o *ConvertOptions) bool { return o.Navigation != "" }, transplanted},
	{"Alpha", func(o *ConvertOptions) bool { return o.Alpha != 0 }, transplanted},
	{"FocalGroups", func(o *ConvertOptions) bool { return o.FocalGroups != 0 }, transplanted},
	{"GateOpen", func(o *ConvertOptions) bool { return o.GateOpen }, transplanted},
	{"StrideAt", func(o *ConvertOptions) bool { return o.StrideAt != "" }, func(p path) string {
		switch {
		case p.model == noModel || p.model == sourceModel:
			if p.weights == afWeights && p.exported {
				return "weights that afc exported say where their stages halve"
			}
			return ""
		}
		return transplanted(p)
	}},
}

func needsModel(p path) string {
	if p.model == noModel {
		return "it is about a model, and weights alone are given"
	}
	return ""
}

func withoutModel(p path) string {
	if p.model != noModel {
		return "it is for weights without a model; the model says it"
	}
	return ""
}

// transplanted refuses what shapes weights taken over from a plain network.
func transplanted(p path) string {
	switch {
	case p.model == compiledModel:
		return "an AFNet that afc wrote keeps its own; convert its source again to change it"
	case p.model == exportedModel:
		return "the model is an AFNet, which has its own"
	case p.weights == afWeights:
		return "trained AFNet weights say it themselves"
	}
	return ""
}

// counts refuses options that are set and do not count for the input.
func (o *ConvertOptions) counts(in passes.Input) error {
	if err := o.countsOn(pathOf(in)); err != nil {
		return err
	}
	switch {
	case o.CheckSeed != 0 && !o.Check:
		return optionf("CheckSeed", nil, "it goes with {Check}")
	case o.ExternalData && o.Output == "":
		return optionf("ExternalData", nil, "it goes with {Output}")
	}
	return nil
}

// accept refuses options that do not count where a source turns out to be an
// AFNet.
func (o *ConvertOptions) accept(in passes.Input) func(*afblock.Network) error {
	return func(source *afblock.Network) error {
		if len(source.Navigation()) == 0 {
			return nil
		}
		p := pathOf(in)
		p.model = exportedModel
		return o.countsOn(p)
	}
}

// countsOn refuses options that are set and do not count on a path.
func (o *ConvertOptions) countsOn(p path) error {
	for _, rule := range convertRules {
		if rule.set(o) {
			if why := rule.refused(p); why != "" {
				return &OptionError{Option: rule.option, Reason: why}
			}
		}
	}
	return nil
}
