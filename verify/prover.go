package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// Options are the choices of Verify.
type Options struct {
	Videos   clips.Videos // nil: clips.Random with seed 0
	Batch    int          // clips at once where the model takes any number; 0: 2
	Threads  int          // intra-op threads; 0: one a core
	Provider ort.Provider

	// Only and Skip name checks to run and not to run; Only nil: all.
	Only, Skip []string

	// Margin is given to the dial of a model that Measure runs; nil: nothing is.
	Margin *float32

	// Rounds are the timed rounds of the latency check; 0: 9.
	Rounds int
	// MinTop1 is the part of the clips, 0 to 1, on which the model must name
	// the source's first class; 0: measured, not judged.
	MinTop1 float64

	// Record keeps what the model answered, in the report; Recorded are answers to
	// hold it to, nil: none.
	Record   bool
	Recorded *Recording

	// Resident are the arguments with which this program, started anew, calls
	// ort.RunResident and ends, to measure the memory that a model takes; nil: it is
	// not measured.
	Resident []string

	// Progress is told which check runs; nil: nobody.
	Progress func(check string, done, total int)
}

// check is an entry of the table of checks. Run returns the row without its
// name; an error is a failure of the check, unless it says that the check does
// not apply or that ONNX Runtime is not there.
type check struct {
	name, title string
	run         func(*prover) (Check, error)
}

// CheckNames lists the checks in the order they run.
func CheckNames() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// Verify runs the checks on a subject. Checks that fail are rows of the
// report; an error means that nothing could be checked: ONNX Runtime or the
// provider is not there (*UnavailableError), a file cannot be read or no
// temporary one written (*fs.PathError), the context was cancelled, or the model
// takes no clips.
func Verify(ctx context.Context, s *Subject, opt Options) (*Report, error) {
	for _, name := range slices.Concat(opt.Only, opt.Skip) {
		if !slices.Contains(CheckNames(), name) {
			return nil, fmt.Errorf("unknown check %q: expected one of %s", name, strings.Join(CheckNames(), ", "))
		}
	}
	if err := ort.ProbeProvider(opt.Provider); err != nil {
		return nil, err
	}
	p, err := newProver(ctx, s, opt)
	if err != nil {
		return nil, err
	}
	defer p.sessions.close()
	chosen := slices.DeleteFunc(slices.Clone(checks), func(c check) bool {
		return c.name == recordedCheck && opt.Recorded == nil && !slices.Contains(opt.Only, c.name) ||
			opt.Only != nil && !slices.Contains(opt.Only, c.name) || slices.Contains(opt.Skip, c.name)
	})
	for i, c := range chosen {
		if opt.Progress != nil {
			opt.Progress(c.title, i, len(chosen))
		}
		keepInterim(p.r, chosen)
		row, err := c.run(p)
		var unavailable *ort.UnavailableError
		var file *fs.PathError
		reason, skipped := inapplicable(err)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &unavailable), errors.As(err, &file):
			return nil, err // says nothing about the model
		case skipped:
			row = Check{Status: Skip, Where: reason}
		case notHeld(err):
			row = Check{Status: Skip, Where: "the provider does not hold the whole model"}
		case err != nil:
			row = Check{Status: Fail, Limit: row.Limit, Where: err.Error()}
		}
		row.Name, row.Title = c.name, c.title
		p.r.Checks = append(p.r.Checks, row)
	}
	if opt.Record {
		if p.r.Recording, err = p.recording(); err != nil {
			return nil, err
		}
	}
	if why := p.unproved(); why != "" {
		p.r.Checks = append(p.r.Checks, Check{Name: "proof", Title: "something was proved of an AFNet", Status: Fail, Where: why})
	}
	return p.r, nil
}

// ofNetwork names the checks that look at the network in a file: where none of
// them ran, nothing was proved.
var ofNetwork = []string{
	"seal", "reference", "interpreter", "compiler", "dial", "masks", "none", "one", "all", "mixed", "cells", "tie", "skipping", "source", "identity", recordedCheck,
}

// unproved says why nothing was proved of an AFNet, "" if something was.
func (p *prover) unproved() string {
	for _, c := range p.r.Checks {
		if slices.Contains(ofNetwork, c.Name) && (c.Status == Pass || c.Status == Fail) {
			return ""
		}
	}
	switch {
	case p.s.Network == nil && p.s.SourceNetwork != nil:
		return p.s.Path + " is no AFNet that afc wrote: verify takes the source first, then the AFNet"
	case p.s.Network == nil:
		return p.s.Path + " is no AFNet that afc wrote; --same holds any two models together"
	}
	return "no check of this run looked at the network: " + strings.Join(ofNetwork, ", ") + " do"
}

// prover is a verification under way. What several checks need is computed
// once.
type prover struct {
	ctx       context.Context
	s         *Subject
	opt       Options
	r         *Report
	input     clips.Input   // of the model
	frames    int           // a clip of the model has
	crops     int           // clips that the trunk gets of one sample of the model's input, 1 but for ten-crop and the like
	perSample int           // frames that one sample holds: of all crops, used or not
	channels  int           // of a frame
	h, w      int           // of a frame
	pixels    bool          // clips are of pixels, 0 to 255
	batches   [][][]float32 // of samples
	clips     [][]float32   // the first batch
	sessions  sessionCache

	sourceFrames int // a clip of the source has
	sourcePart   int // frames of it that the source takes at once, where these are fewer: images; else 0

	base      []*outcome                    // by batch, see baseline
	showing   map[*graph.Model]*graph.Model // see runShown
	blamed    bool                          // see blame
	seed      uint64                        // of Gumbel noise
	ref       *graph.Model
	refForced *graph.Model
}

// outcome is what a model answered for a batch of clips.
type outcome struct {
	names   []string // of the outputs, in order
	outputs map[string]*graph.Tensor
	masks   [][][]uint8 // [clip][block][frame]; nil where the model does not show them
	leads   []float64   // logit 1 − logit 0, likewise [clip][block][frame], flat; nil
	margins []float64   // the leads' magnitudes; nil

	cells     cellMasks     // nil where the model does not show them, or chooses whole frames
	cellLeads [][][]float64 // logit 1 − logit 0, likewise; nil for fixed cells
}

// maxBatches is how many batches of the videos the model is compared with its
// reference on; the other checks take the first.
const maxBatches = 4

// openSize is H and W of random clips where a model takes any: not square, so
// that one does not stand for the other.
var openSize = [2]int{176, 240}

func newProver(ctx context.Context, s *Subject, opt Options) (*prover, error) {
	if opt.Videos == nil {
		opt.Videos = clips.Random{Count: 2}
	}
	if opt.Videos.Len() == 0 {
		return nil, fmt.Errorf("%s: no videos to run on", opt.Videos)
	}
	p := &prover{ctx: ctx, s: s, opt: opt, r: newReport(opt.Provider), showing: map[*graph.Model]*graph.Model{}}
	p.r.Inputs = opt.Videos.String()
	p.addModel("model", s.Model, s.Path, s.Lowering)
	if s.Source != nil {
		p.addModel("source", s.Source, ort.ModelName(s.Source), "")
	}
	if p.channels = s.Channels; p.channels == 0 {
		p.channels = 3
	}
	in, err := p.clipsInput(s.Model, s.Frames)
	if err != nil {
		return nil, err
	}
	p.input = in
	n := in.Batch()
	if n == 0 {
		if n = int64(opt.Batch); n == 0 {
			n = 2
		}
	}
	size := s.Size
	if _, random := opt.Videos.(clips.Random); random && size == [2]int{} && in.Size("H") == 0 && in.Size("W") == 0 {
		size = openSize
	}
	p.opt.Videos = clips.Parallel(opt.Videos)
	p.h, p.w = in.FrameSize(size)
	p.pixels = in.Pixels()
	p.perSample, p.frames, p.crops = in.Sample(), in.Sample(), 1
	if s.Frames > 0 {
		p.frames, p.crops = s.Frames, p.perSample/s.Frames
	}
	if p.frames == 0 || s.TrunkIn == "" && p.frames*p.crops != p.perSample {
		return nil, fmt.Errorf("%s: input %s %s does not hold clips of %d frames of %d channels", s.Path, in.Name, in.Shape, p.frames, p.channels)
	}
	for i := 0; i < opt.Videos.Len() && len(p.batches) < maxBatches; i += int(n) {
		clips, err := p.videos(i, int(n), p.sample())
		if err != nil {
			return nil, err
		}
		if _, err := in.Tensor(clips, p.sample(), [2]int{p.h, p.w}); err != nil {
			return nil, fmt.Errorf("%s: for input %s of %s: %w", opt.Videos, in.Name, s.Path, err)
		}
		p.batches = append(p.batches, clips)
	}
	p.clips, p.base = p.batches[0], make([]*outcome, len(p.batches))
	if p.perSample != p.frames {
		if err := p.countCrops(); err != nil {
			return nil, err
		}
	}
	if s.Source != nil {
		p.sourceFrames, err = p.framesOfSource()
	}
	return p, err
}

// countCrops finds how many clips the trunk gets of a sample, by what it reads:
// a sample may hold several crops, or frames that the model leaves out.
func (p *prover) countCrops() error {
	if v := p.s.Model.Graph.Value(p.s.TrunkIn); v == nil || v.Producer() == nil {
		return nil
	}
	o, err := p.runTrial(p.s.Model, trial{clips: p.clips}, p.s.TrunkIn)
	if err != nil {
		return err
	}
	rows := o.outputs[p.s.TrunkIn].Dims[0]
	if p.crops = int(rows) / (len(p.clips) * p.frames); p.crops == 0 || int(rows) != p.crops*len(p.clips)*p.frames {
		return fmt.Errorf("%s: its trunk reads %d frames of %d clips of %d", p.s.Path, rows, len(p.clips), p.frames)
	}
	return nil
}

// framesOfSource returns how many frames one sample of the source's input has.
func (p *prover) framesOfSource() (int, error) {
	in, err := p.clipsInput(p.s.Source, p.s.SourceFrames)
	if err != nil {
		return 0, err
	}
	if t := in.Sample(); t > 0 && in.Layout[0] != "NT" {
		return t, nil
	}
	frames := p.sample() // its input does not say: as the model has
	if p.s.SourceFrames > 0 {
		frames = p.s.SourceFrames * p.crops
	}
	if d := in.Shape[0]; in.Layout[0] == "NT" && d.Known() && d.Size > 0 && int(d.Size) < frames && frames%int(d.Size) == 0 {
		p.sourcePart = int(d.Size)
	}
	return frames, nil
}

// sample is how many frames one sample of the model's input has.
func (p *prover) sample() int { return p.perSample }

// videos returns n clips from the i-th on, the last again and again where there
// are fewer.
func (p *prover) videos(i, n, frames int) ([][]float32, error) {
	if err := p.form(frames).Fits(n); err != nil {
		return nil, fmt.Errorf("%s: its input: %w", p.s.Path, err)
	}
	batch := make([][]float32, n)
	for k := range batch {
		var err error
		if batch[k], err = p.opt.Videos.Clip(p.ctx, min(i+k, p.opt.Videos.Len()-1), p.form(frames)); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

func (p *prover) addModel(role string, m *graph.Model, path, lowering string) {
	p.r.Models = append(p.r.Models, ModelInfo{
		Role: role, Path: filepath.ToSlash(path), Nodes: countNodes(m.Graph), Opset: m.Opset(""), Lowering: lowering,
	})
}

func countNodes(g *graph.Graph) int {
	n := 0
	for range g.AllNodes() {
		n++
	}
	return n
}

// reference returns the mask lowering of the network in the file.
func (p *prover) reference(masksIn bool) (*graph.Model, error) {
	if p.s.Reference == nil {
		return nil, &InapplicableError{"the model is not an AFNet that afc wrote"}
	}
	kept := &p.ref
	if masksIn {
		kept = &p.refForced
	}
	if *kept == nil {
		m, err := p.s.Reference(masksIn)
		if err != nil {
			return nil, err
		}
		*kept = m
	}
	return *kept, nil
}

// unoptimised is how models are run where they are compared: as they are
// written.
func (p *prover) unoptimised() ort.SessionOptions {
	return ort.SessionOptions{Threads: p.opt.Threads, OptLevel: ort.OptNone}
}

// optimised is how users run models, on the provider.
func (p *prover) optimised() ort.SessionOptions {
	return ort.SessionOptions{Threads: p.opt.Threads, Provider: p.opt.Provider}
}

// run runs a model on clips.
func (p *prover) run(m *graph.Model, so ort.SessionOptions, clips [][]float32) (*outcome, error) {
	if m == p.s.Source && p.sourcePart > 0 {
		return p.runInParts(so, clips)
	}
	return p.runWhole(m, so, clips)
}

// runInParts runs the source on the parts of clips that it takes at once; their
// answers follow one another.
func (p *prover) runInParts(so ort.SessionOptions, clips [][]float32) (*outcome, error) {
	var all *outcome
	for _, clip := range clips {
		for part := range slices.Chunk(clip, p.sourcePart*p.channels*p.h*p.w) {
			o, err := p.runWhole(p.s.Source, so, [][]float32{part})
			if err != nil {
				return nil, err
			}
			if all == nil {
				all = o
				continue
			}
			for _, name := range o.names {
				if all.outputs[name], err = behind(all.outputs[name], o.outputs[name]); err != nil {
					return nil, fmt.Errorf("output %q: %w", name, err)
				}
			}
		}
	}
	return all, nil
}

// behind joins two tensors along their first axis.
func behind(a, b *graph.Tensor) (*graph.Tensor, error) {
	x, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	y, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if len(a.Dims) == 0 || len(a.Dims) != len(b.Dims) || !slices.Equal(a.Dims[1:], b.Dims[1:]) {
		return nil, fmt.Errorf("%v does not follow %v", b.Dims, a.Dims)
	}
	dims := slices.Clone(a.Dims)
	dims[0] += b.Dims[0]
	return graph.NewTensor(a.DType, dims, slices.Concat(x, y))
}

// runWhole runs a model on clips, all in one.
func (p *prover) runWhole(m *graph.Model, so ort.SessionOptions, clips [][]float32) (*outcome, error) {
	return p.runGiven(m, so, clips, nil)
}

// runGiven runs a model on clips, with inputs beside them by name.
func (p *prover) runGiven(m *graph.Model, so ort.SessionOptions, clips [][]float32, beside map[string]*graph.Tensor) (*outcome, error) {
	s, err := p.sessions.open(m, so)
	if err != nil {
		return nil, err
	}
	inputs, err := p.inputs(m, s, clips, beside)
	if err != nil {
		return nil, err
	}
	return p.runSession(s, inputs)
}

func (p *prover) runSession(s *ort.Session, inputs []*graph.Tensor) (*outcome, error) {
	out, err := s.Run(p.ctx, inputs...)
	if err != nil {
		return nil, err
	}
	o := &outcome{outputs: map[string]*graph.Tensor{}}
	for i, name := range outputNames(s) {
		o.names = append(o.names, name)
		o.outputs[name] = out[i]
	}
	return o, nil
}

func outputNames(s *ort.Session) []string {
	names := make([]string, len(s.Outputs()))
	for i, io := range s.Outputs() {
		names[i] = io.Name
	}
	return names
}

// inputs arranges clips as a model takes them. Choices go to the inputs of their
// names; inputs beside those get zeros.
func (p *prover) inputs(m *graph.Model, s *ort.Session, clips [][]float32, choices map[string]*graph.Tensor) ([]*graph.Tensor, error) {
	frames := len(clips[0]) / (p.channels * p.h * p.w)
	in, err := p.clipsInput(m, frames)
	if err != nil {
		return nil, err
	}
	n := int64(len(clips))
	if fixed := in.Batch(); fixed != 0 && fixed != n {
		return nil, &InapplicableError{fmt.Sprintf("%s takes batches of %d clips only", ort.ModelName(m), fixed)}
	}
	inputs := make([]*graph.Tensor, len(s.Inputs()))
	for i, io := range s.Inputs() {
		switch {
		case i == in.Index:
			inputs[i], err = in.Tensor(clips, frames, [2]int{p.h, p.w})
		case choices[io.Name] != nil:
			inputs[i] = choices[io.Name]
		default:
			inputs[i], err = zeros(io.Type, n)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: input %s %s: %w", ort.ModelName(m), io.Name, io.Type, err)
		}
	}
	return inputs, nil
}

// zeros makes a tensor of a type whose open dimensions are n.
func zeros(t graph.Type, n int64) (*graph.Tensor, error) {
	dims := t.Shape.Dims()
	for k := range dims {
		if dims[k] < 0 {
			dims[k] = n
		}
	}
	return graph.NewTensor(t.Elem, dims, make([]byte, int(product(dims))*t.Elem.Size()))
}

// sessionCache keeps the sessions last used: loading a large model takes
// longer than running it.
type sessionCache struct{ entries []cachedSession }

type cachedSession struct {
	m       *graph.Model
	key     string
	session *ort.Session
}

const cachedSessions = 3

func (c *sessionCache) open(m *graph.Model, so ort.SessionOptions) (*ort.Session, error) {
	key := fmt.Sprintf("%+v", so)
	for i, e := range c.entries {
		if e.m == m && e.key == key {
			c.entries = append(slices.Delete(c.entries, i, i+1), e)
			return e.session, nil
		}
	}
	if len(c.entries) == cachedSessions {
		c.entries[0].session.Close()
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	s, err := ort.NewSession(m, so)
	if err != nil {
		return nil, err
	}
	c.entries = append(c.entries, cachedSession{m, key, s})
	return s, nil
}

func (c *sessionCache) close() {
	for _, e := range c.entries {
		e.session.Close()
	}
	c.entries = nil
}

// form is what the models take for a clip of so many frames.
func (p *prover) form(frames int) clips.Form {
	return clips.Form{Frames: frames, Channels: p.channels, Height: p.h, Width: p.w, Pixels: p.pixels}
}
