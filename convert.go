package afc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
)

// ConvertOptions say what to convert, and into what. Model or Weights, or both,
// must be given: a source model; a source model with trained AFNet weights for
// its place, or with those of a plain ResNet; weights alone; an AFNet that afc
// wrote, with fine-tuned weights or without. Which options count depends on
// that: the others are refused if they are set.
type ConvertOptions struct {
	Model   string // path of an ONNX model, "" for none
	Weights string // path of a .pth, .pth.tar, .safetensors or .npz checkpoint, "" for none

	// WeightsKey is the key of the checkpoint's dictionary of tensors, such as
	// "state_dict_ema"; "": state_dict, or what else it has.
	WeightsKey string

	Output       string // path to write; "": the model is in the report alone
	ExternalData bool   // weights in a file beside Output; always so above 2 GB

	// InputShapes fix open sizes of the model's inputs: "video:1,8,3,224,224",
	// or the sizes alone where there is one input.
	InputShapes  []string
	SourceFrames int    // frames a clip of the source; 0: as its graph says
	Frames       int    // frames a clip of the AFNet, T; 0: as the source or weights have it
	Size         [2]int // height and width of frames of weights alone; 0: 224
	ShiftDiv     int    // weights alone shift 1/ShiftDiv of the channels either way; 0: none

	Navigation  string // frames that transplanted weights select: "uniform:R", "all", "none"; "": uniform:0.5
	Alpha       int    // channel reduction of the ample branch; 0: 2
	FocalGroups int    // groups of the focal convolutions, 1 or 2; 0: 2
	StrideAt    string // where stages halve: "fusion" (AFNet) or "source"; "": fusion
	GateOpen    bool   // open the gate fully to the focal branch
	Unselected  string // what a skipped frame answers: "bias" (F(0)) or "zero"; "": bias, or as an AFNet has it

	// Spatial is how many cells a side the frames of each AF module have, or one
	// number for all, of which focal blocks compute those that trained weights
	// choose or that SpatialPattern says: "center:R", the share R nearest to the
	// middle, "checker" or "all" ("": center:0.5). nil: whole frames.
	Spatial        []int
	SpatialPattern string

	Lowering codegen.Lowering // how the focal branch is written; "": as Target runs it best
	Target   codegen.Target   // where the model is to run; "": cpu
	Budget   []int            // frames that blocks compute, of topk: one number, or one a block
	Sampling string           // "argmax", or "gumbel" for an input of noise; "": argmax, or as an AFNet has it
	Dial     *bool            // an input "margin" by which callers choose how many frames are computed; nil: none, or as an AFNet has it
	Outputs  []string         // further outputs: "masks"; nil: none, or as an AFNet has it

	Form
	PassOptions

	origin string // of the source
}

// PassOptions steer the passes of Convert and Optimize.
type PassOptions struct {
	StopAfter string   // end with this pass, and write the model as it is then
	SkipPass  []string // leave these passes out
	DumpDir   string   // write the model as text after each pass into this folder
	// Check verifies structure and promises after each pass, with the order of
	// nodes shuffled by CheckSeed.
	Check     bool
	CheckSeed uint64

	Progress func(step string) // is told what is being done; nil: nobody
}

func (o PassOptions) step(text string) {
	if o.Progress != nil {
		o.Progress(text)
	}
}

// passes returns the options as the pipeline takes them.
func (o PassOptions) passes(doing string) passes.Options {
	return passes.Options{
		StopAfter: o.StopAfter, Skip: o.SkipPass, DumpDir: o.DumpDir, Check: o.Check, Seed: o.CheckSeed,
		Progress: func(pass string) { o.step(doing + ": " + pass) },
	}
}

// RewriteReport is what Convert and Optimize did.
type RewriteReport struct {
	Output   string        `json:"output"`
	Network  *NetworkFacts `json:"network,omitempty"`
	Before   *passes.Stats `json:"before,omitempty"` // absent for weights alone
	After    passes.Stats  `json:"after"`
	Size     int64         `json:"file_bytes"`
	Data     string        `json:"external_data,omitempty"` // path of the weights
	Steps    []passes.Ran  `json:"steps,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // what was taken for granted or left, and why
	Elapsed  time.Duration `json:"elapsed_ns"`
	FineTune bool          `json:"fine_tune,omitempty"` // weights were transplanted, not trained

	Model *graph.Model `json:"-"` // what was written
}

// NetworkFacts is what Convert says of the network it wrote.
type NetworkFacts struct {
	Frames   int    `json:"frames"`
	Lowering string `json:"lowering"`
	Reason   string `json:"lowering_reason"`
	// Schedule is the pattern of frames that blocks compute without ample branches:
	// such a network is no AFNet.
	Schedule string `json:"schedule,omitempty"`
}

// Convert rewrites a network into an AFNet and writes it as standard ONNX.
func Convert(ctx context.Context, opt ConvertOptions) (*RewriteReport, error) {
	start := time.Now()
	if opt.Model == "" && opt.Weights == "" {
		return nil, filef("nothing to convert: give a model, weights, or both")
	}
	if opt.Weights == "" && opt.WeightsKey != "" {
		return nil, optionf("WeightsKey", nil, "it goes with {Weights}")
	}
	popt, err := opt.pipeline()
	if err != nil {
		return nil, err
	}
	if opt.Output != "" {
		if err := Writable(opt.Output, opt.Model, opt.Weights); err != nil {
			return nil, err
		}
	}
	in, err := opt.read()
	if err != nil {
		return nil, err
	}
	if err := opt.counts(in); err != nil {
		return nil, err
	}
	if in.Model != nil {
		if err := setInputShapes(in.Model, opt.InputShapes); err != nil {
			return nil, err
		}
	}
	popt.Accept = opt.accept(in)
	result, err := passes.Run(passes.ToConvert, in, popt)
	if err != nil {
		return nil, passFailed(err, opt.PassOptions)
	}
	r, err := opt.report(ctx, result)
	if err != nil {
		return nil, err
	}
	r.Elapsed = time.Since(start)
	return r, nil
}

// report writes the AFNet and says what was done.
func (o *ConvertOptions) report(ctx context.Context, result *passes.Result) (*RewriteReport, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result.Model.ProducerName, result.Model.ProducerVersion = "afc", Version
	if compiled.Is(result.Model) && o.origin != "" {
		result.Model.SetMeta(names.SourceKey, o.origin)
	}
	r, err := newReport(ctx, result, o.Output, o.ExternalData, o.PassOptions)
	if err != nil {
		return nil, err
	}
	if net := result.Network; net != nil && result.Choice.Lowering != "" {
		r.FineTune = net.FineTune
		r.Network = &NetworkFacts{Frames: net.Frames, Lowering: string(result.Choice.Lowering), Reason: result.Choice.Reason}
		if p := net.Schedule(); p != nil {
			r.Network.Schedule = p.String()
		}
	}
	return r, nil
}

// read reads the files to convert.
func (o *ConvertOptions) read() (in passes.Input, err error) {
	if o.Model != "" {
		o.step("reading " + o.Model)
		if in.Model, err = openModel(o.Model, o.Output); err != nil {
			return in, err
		}
		o.origin = in.Model.Meta(names.SourceKey) // of an AFNet again
		if !compiled.Is(in.Model) {
			if o.origin, err = originOf(o.Model); err != nil {
				return in, err
			}
		}
	}
	if o.Weights != "" {
		o.step("reading " + o.Weights)
		if err := Readable(o.Weights); err != nil {
			return in, err
		}
		in.Weights, err = checkpoint.ReadKey(o.Weights, o.WeightsKey)
		if no := (*checkpoint.KeyError)(nil); errors.As(err, &no) {
			return in, optionf("WeightsKey", o.WeightsKey, "%v", no)
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

// pipeline checks the options' values and returns them as the pipeline takes
// them.
func (o *ConvertOptions) pipeline() (passes.Options, error) {
	p := o.PassOptions.passes("converting")
	p.Frames = o.Frames
	p.Recognize.Frames = o.SourceFrames
	p.KeepMasks, p.KeepSampling, p.KeepDial = o.Outputs == nil, o.Sampling == "", o.Dial == nil
	var err error
	if p.Lower, err = o.lowering(); err != nil {
		return p, err
	}
	if err := o.Form.apply(&p); err != nil {
		return p, err
	}
	rewrite := afblock.RewriteOptions{Alpha: o.Alpha, Groups: o.FocalGroups, GateOpen: o.GateOpen}
	navigation := o.Navigation
	if navigation == "" {
		navigation = "uniform:0.5"
	}
	if rewrite.Navigation, err = afblock.ParsePattern(navigation); err != nil {
		return p, &OptionError{"Navigation", o.Navigation, "expected uniform:R with R from 0 to 1, all or none"}
	}
	if rewrite.StrideAt, err = parseStrideAt(o.StrideAt); err != nil {
		return p, err
	}
	if o.Unselected != "" {
		u, err := parseUnselected(o.Unselected)
		if err != nil {
			return p, err
		}
		p.Unselected = &u
	}
	switch {
	case o.Frames < 0:
		return p, optionf("Frames", o.Frames, "a clip has at least one frame")
	case o.SourceFrames < 0:
		return p, optionf("SourceFrames", o.SourceFrames, "a clip has at least one frame")
	case o.Size[0] < 0 || o.Size[1] < 0 || (o.Size[0] == 0) != (o.Size[1] == 0):
		return p, optionf("Size", o.Size, "expected height and width")
	case o.ShiftDiv < 0 || o.ShiftDiv == 1:
		return p, optionf("ShiftDiv", o.ShiftDiv, "expected 2 or more")
	}
	if err := checkModule(o.Alpha, o.FocalGroups); err != nil {
		return p, err
	}
	p.Rewrite = &rewrite
	p.Checkpoint = weights.Options{Size: o.Size, ShiftDiv: o.ShiftDiv, StrideAt: rewrite.StrideAt, Grid: o.Spatial}
	p.Cells, err = o.cells()
	return p, err
}

// cells returns the cells that are chosen in all frames alike, if that is told.
func (o *ConvertOptions) cells() (*afblock.CellPattern, error) {
	for _, n := range o.Spatial {
		if n < 1 || n > afblock.MaxGrid {
			return nil, optionf("Spatial", o.Spatial, "expected cells a side, 1 to %d, one number a module or one for all", afblock.MaxGrid)
		}
	}
	if o.SpatialPattern == "" {
		return nil, nil
	}
	p, err := afblock.ParseCellPattern(o.SpatialPattern)
	switch {
	case err != nil:
		return nil, optionf("SpatialPattern", o.SpatialPattern, "expected center:R with R from 0 to 1, checker or all")
	case o.Spatial == nil:
		return nil, optionf("SpatialPattern", nil, "it goes with {Spatial}")
	}
	return &p, nil
}

// checkModule refuses values of options that shape an AF module.
func checkModule(alpha, groups int) error {
	switch {
	case alpha < 0:
		return optionf("Alpha", alpha, "expected 1 or more")
	case groups < 0 || groups > 2:
		return optionf("FocalGroups", groups, "expected 1 or 2")
	}
	return nil
}

// lowering returns how the AFNet is written.
func (o *ConvertOptions) lowering() (codegen.Options, error) {
	opt := codegen.Options{Lowering: o.Lowering, Target: o.Target, Budget: o.Budget}
	if err := checkLowering(o.Lowering, o.Budget); err != nil {
		return opt, err
	}
	switch {
	case o.Target != "" && !slices.Contains(codegen.Targets, o.Target):
		return opt, optionf("Target", o.Target, "expected one of %s", List(codegen.Targets))
	case o.Target != "" && o.Lowering != "":
		return opt, optionf("Target", o.Target, "it chooses the lowering, which is given as %s: choose one of them", o.Lowering)
	}
	for _, name := range o.Outputs {
		if name != "masks" {
			return opt, optionf("Outputs", name, "expected masks")
		}
		opt.MasksOutput = true
	}
	opt.Dial = o.Dial != nil && *o.Dial
	if o.Sampling != "" {
		var err error
		if opt.Sampling, err = compiled.ParseSampling(o.Sampling); err != nil {
			return opt, optionf("Sampling", o.Sampling, "expected argmax or gumbel")
		}
	}
	return opt, nil
}

// checkLowering refuses a lowering that there is not, and a budget where it
// does not go.
func checkLowering(lowering codegen.Lowering, budget []int) error {
	switch {
	case lowering != "" && !slices.Contains(codegen.Lowerings, lowering):
		return optionf("Lowering", lowering, "expected one of %s", List(codegen.Lowerings))
	case lowering == codegen.TopK && budget == nil:
		return optionf("Lowering", lowering, "needs the frames that blocks compute: {Budget}")
	case lowering != codegen.TopK && lowering != "" && budget != nil:
		return optionf("Budget", nil, "it goes with {Lowering} topk, not %s", lowering)
	}
	return nil
}

func parseStrideAt(s string) (afblock.StrideAt, error) {
	switch s {
	case "", "fusion":
		return afblock.StrideFusion, nil
	case "source":
		return afblock.StrideSource, nil
	}
	return 0, optionf("StrideAt", s, "expected fusion or source")
}

func parseUnselected(s string) (afblock.Unselected, error) {
	for _, u := range []afblock.Unselected{afblock.UnselectedBias, afblock.UnselectedZero} {
		if s == u.String() {
			return u, nil
		}
	}
	return 0, optionf("Unselected", s, "expected bias or zero")
}

// newReport writes the model a pipeline made and says what was done.
func newReport(ctx context.Context, result *passes.Result, out string, external bool, opt PassOptions) (*RewriteReport, error) {
	r := &RewriteReport{Output: out, Before: result.Before, After: result.After(), Steps: result.Steps, Model: result.Model}
	for _, n := range result.Notes {
		r.Notes = append(r.Notes, n.String())
	}
	if out == "" {
		return r, nil
	}
	opt.step("writing " + out)
	w, err := writeModel(ctx, result.Model, out, external)
	r.Size, r.Data = w.size, w.data
	return r, err
}
