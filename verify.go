package afc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/clips/ffmpeg"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
	"github.com/afc-project/afc/verify/subject"
)

// Runtime says how ONNX Runtime is to run models.
type Runtime struct {
	Batch    int          // clips at once where the model takes any number; 0: 2
	Threads  int          // of one run; 0: one a core
	Provider ort.Provider // zero: the CPU
}

func (r Runtime) options() verify.Options {
	return verify.Options{Batch: r.Batch, Threads: r.Threads, Provider: r.Provider}
}

// Clips says which clips models are run on: those of a file, or of a folder, or
// random ones.
type Clips struct {
	Input string // path of a .npy or .npz of clips as the network takes them, with "labels" if it has them

	// Videos is a folder of frames, CLASS/VIDEO/img_00001.jpg, or of video files,
	// CLASS/VIDEO.mp4, which ffmpeg decodes; or one video file.
	Videos string
	Read   clips.Options // how they are listed, named, sampled and prepared

	Random clips.Random // Count 0: 4
}

// videos returns the clips for a model, and tells step how far it is.
func (c Clips) videos(ctx context.Context, s *verify.Subject, step func(string)) (clips.Videos, error) {
	switch {
	case c.Input != "" && c.Videos != "":
		return nil, optionf("Input", nil, "it gives clips, and {Videos} too: choose one")
	case c.Input != "":
		form := clips.Form{Frames: s.Frames, Channels: s.Channels}
		if s.Model != nil {
			in, err := clips.InputOf(s.Model, s.Layout, s.Frames, s.Channels)
			form.Pixels = err == nil && in.Pixels()
		}
		v, err := clips.ReadArrays(c.Input, form, s.Layout)
		if err != nil {
			return nil, filef("%v", err)
		}
		return v, nil
	case c.Videos != "":
		c.Read.Progress = func(done, total int) { step(fmt.Sprintf("looking at video %d of %d", done, total)) }
		v, err := clips.Read(ctx, c.Videos, c.Read)
		switch {
		case errors.As(err, new(*ffmpeg.MissingError)), ctx.Err() != nil:
			return nil, err
		case err != nil:
			return nil, filef("%v", err)
		}
		return v, nil
	}
	if c.Random.Count == 0 {
		c.Random.Count = 4
	}
	return c.Random, nil
}

// VerifyOptions say what to prove.
type VerifyOptions struct {
	Model        string // path of an AFNet that afc wrote, or of any model
	Source       string // path of the model it was made from, "" for none
	SourceFrames int    // frames a clip of the source; 0: as its graph says
	Clips        Clips
	Run          Runtime

	Only, Skip []string // checks to run and not to run; Only nil: all
	// Require names checks that must pass: one that is skipped is a failure.
	Require []string
	Rounds  int // timed rounds of the latency check; 0: 9
	// MinTop1 is the part of the clips, 0 to 1, on which the model must name the
	// source's first class; 0: measured, not judged.
	MinTop1 float64
	// Resident are the arguments with which this program, started anew, calls
	// ort.RunResident and ends, to measure the memory that a model takes; nil:
	// it is not measured.
	Resident []string

	// Record keeps inputs and answers in the report, to be written; LoadOutputs is
	// the path of such a file, whose answers the model must give too.
	Record      bool
	LoadOutputs string

	Outputs  []string          // paths that the caller will write, which must not be the models' files
	Progress func(step string) // is told what is being done; nil: nobody
}

// Verify proves on ONNX Runtime that a model computes what it should, and times
// it. Checks that fail are rows of the report. A model may crash the runtime,
// and this process with it: package verify has a Guard against that.
func Verify(ctx context.Context, opt VerifyOptions) (*verify.Report, error) {
	step := PassOptions{Progress: opt.Progress}.step
	if opt.SourceFrames != 0 && opt.Source == "" {
		return nil, optionf("SourceFrames", nil, "it goes with a source")
	}
	step("reading " + opt.Model)
	s, net, err := subjectOf(opt.Model, opt.Outputs...)
	if err != nil {
		return nil, err
	}
	vopt := opt.Run.options()
	if vopt.Videos, err = opt.Clips.videos(ctx, s, step); err != nil {
		return nil, err
	}
	if opt.Source != "" {
		step("reading " + opt.Source)
		if err := sourceOf(s, net, opt.Source, opt.SourceFrames, opt.Outputs...); err != nil {
			return nil, err
		}
	}
	vopt.Only, vopt.Skip, vopt.Rounds, vopt.MinTop1, vopt.Resident = opt.Only, opt.Skip, opt.Rounds, opt.MinTop1, opt.Resident
	vopt.Record = opt.Record
	if vopt.Recorded, err = recording(opt.LoadOutputs); err != nil {
		return nil, err
	}
	vopt.Progress = func(check string, done, total int) { step(fmt.Sprintf("check %d of %d: %s", done+1, total, check)) }
	r, err := verify.Verify(ctx, s, vopt)
	if err != nil {
		return nil, err
	}
	if net != nil && r.Masks != nil {
		if r.Cost, err = costAt(s, net, r.Masks.BlockRatios(), opt.Source, opt.SourceFrames); err != nil {
			return nil, err
		}
	}
	return r, require(r, opt.Require)
}

// costAt is what a clip takes at shares of frames selected, and what one of the
// source takes.
func costAt(s *verify.Subject, net *afblock.Network, ratios []float64, source string, frames int) (*verify.Cost, error) {
	size := net.FrameSize()
	cost, err := net.Cost(afblock.CostOptions{Size: size, Ratios: executedRatios(s, ratios)})
	if err != nil {
		return nil, err
	}
	out := &verify.Cost{GMACs: cost.Total().MACs / 1e9}
	if source == "" {
		return out, nil
	}
	m, err := openModel(source)
	if err != nil {
		return nil, err
	}
	if src, _, err := networkOf(m, recognize.Options{Frames: frames}); err == nil { // of another kind of network no cost is known
		if cost, err = src.Cost(afblock.CostOptions{Size: size}); err != nil {
			return nil, err
		}
		out.Source = cost.Total().MACs / 1e9
	}
	return out, nil
}

// require makes failures of checks that must pass and were skipped.
func require(r *verify.Report, names []string) error {
	for _, name := range names {
		i := slices.IndexFunc(r.Checks, func(c verify.Check) bool { return c.Name == name })
		if i < 0 {
			return optionf("Require", name, "this check did not run")
		}
		if c := &r.Checks[i]; c.Status == verify.Skip {
			c.Status, c.Where = verify.Fail, "required, but skipped: "+c.Where
		}
	}
	return nil
}

// recording reads the answers to hold a model to, nil where no path is given.
func recording(path string) (*verify.Recording, error) {
	if path == "" {
		return nil, nil
	}
	r, err := verify.ReadRecording(path)
	if err != nil {
		return nil, filef("%v", err)
	}
	return r, nil
}

// SameOptions say which models to hold together.
type SameOptions struct {
	A, B         string   // paths; A "": LoadOutputs stands for it; B "": A's answers are recorded alone
	InputShapes  []string // fix open sizes of their inputs: "video:1,8,3,224,224", or the sizes alone
	SourceFrames int      // frames a clip, where A has frames in the batch and does not say; 0: it does
	Run          Runtime

	Input        string // path of a .npy or .npz of inputs by name; "": random ones
	Seed         uint64
	Distribution clips.Distribution
	Iterations   int                         // how many random inputs to compare; 0: 1
	Tolerances   map[string]verify.Tolerance // by output, "" for all
	Bisect       bool                        // name the first value that differs

	Record      bool   // keep inputs and A's answers in the report, to be written
	LoadOutputs string // path of such a file

	Outputs  []string          // paths that the caller will write, which must not be the models' files
	Progress func(step string) // is told what is being done; nil: nobody
}

// Same holds two models, whatever they are, to the same outputs.
func Same(ctx context.Context, opt SameOptions) (*verify.Report, error) {
	step := PassOptions{Progress: opt.Progress}.step
	vopt := verify.SameOptions{
		Seed: opt.Seed, Distribution: opt.Distribution, Iterations: opt.Iterations, Tolerances: opt.Tolerances, Bisect: opt.Bisect,
		Session: ort.SessionOptions{Threads: opt.Run.Threads, Provider: opt.Run.Provider}, Batch: int64(max(opt.Run.Batch, 1)),
		Progress: func(what string, done, total int) { step(fmt.Sprintf("%s (%d of %d)", what, done+1, total)) },
	}
	var err error
	if vopt.Inputs, err = namedInputs(opt.Input); err != nil {
		return nil, err
	}
	var models [2]*graph.Model
	vopt.Record = opt.Record
	if vopt.Recorded, err = recording(opt.LoadOutputs); err != nil {
		return nil, err
	}
	for i, path := range []string{opt.A, opt.B} {
		if path == "" {
			continue
		}
		step("reading " + path)
		if models[i], err = openModel(path, opt.Outputs...); err != nil {
			return nil, err
		}
		if err := setInputShapes(models[i], opt.InputShapes); err != nil {
			return nil, err
		}
	}
	if facts := clipsOf(opt.A, opt.SourceFrames); facts.folded {
		vopt.Batch *= int64(facts.frames) // whole clips of them
	}
	return verify.Same(ctx, models[0], models[1], vopt)
}

// namedInputs reads the arrays of a NumPy file as inputs by their names, those
// of a lone array under "".
func namedInputs(path string) (map[string]*graph.Tensor, error) {
	if path == "" {
		return nil, nil
	}
	arrays, err := numpy.ReadFile(path)
	if err != nil {
		return nil, filef("%v", err)
	}
	inputs := map[string]*graph.Tensor{}
	for _, array := range arrays {
		inputs[array.Name] = array.Tensor
	}
	return inputs, nil
}

// subjectOf reads what there is to verify about a file, and the network in it,
// nil if afc did not write it; outputs as in openModel.
func subjectOf(path string, outputs ...string) (*verify.Subject, *afblock.Network, error) {
	m, err := openModel(path, outputs...)
	if err != nil {
		return nil, nil, err
	}
	if !compiled.Is(m) {
		facts := clipsOf(path, 0)
		return &verify.Subject{Model: m, Path: path, Frames: facts.frames, Channels: facts.channels, Layout: facts.layout}, nil, nil
	}
	return subject.Of(m)
}

// sourceOf adds to a subject the model it was made from; outputs as in
// openModel.
func sourceOf(s *verify.Subject, net *afblock.Network, path string, frames int, outputs ...string) error {
	m, err := openModel(path, outputs...)
	if err != nil {
		return err
	}
	if compiled.Is(m) {
		return filef("%s, given as the source, is an AFNet that afc wrote: the source stands first, then the AFNet", path)
	}
	canonical, err := openModel(path)
	if err != nil {
		return err
	}
	unknown, how := "", recognize.Options{Frames: frames}
	if net != nil {
		how.Default = net.Frames // where the source takes any, or says none
	}
	network, _, err := networkOf(canonical, how)
	if err != nil {
		unknown = err.Error()
	}
	s.SourceFrames = frames
	return subject.SetSource(s, net, m, network, unknown)
}

// clipFacts is what recognition says of the clips a model takes.
type clipFacts struct {
	frames   int  // 0: it is for the model's input to say
	channels int  // 3 where recognition says nothing
	folded   bool // frames are rows of the batch
	layout   clips.Layout
}

// clipsOf says what clips a model file takes that afc did not write. Given
// frames decide. What is not recognised can be verified too.
func clipsOf(path string, frames int) clipFacts {
	given := clipFacts{frames: frames, channels: 3}
	m, err := openModel(path)
	if err != nil {
		return given
	}
	defer m.Close()
	net, _, err := networkOf(m, recognize.Options{Frames: frames})
	if err != nil {
		return given
	}
	return clipFacts{net.Frames, net.Stem.Conv.In(), net.Shell.Clip().Segments == 0, layoutOf(net)}
}

// layoutOf is how a network's input holds clips, nil where nobody knows.
func layoutOf(net *afblock.Network) clips.Layout {
	return clips.LayoutFrom(net.Shell.Clip().Layout.Axes())
}
