package afc

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/explain"
	"github.com/afc-project/afc/verify"
)

// ExplainOptions say what to look at.
type ExplainOptions struct {
	Model        string // path of an AFNet that afc wrote
	Source       string // path of the model it was made from, run beside it; "": none
	SourceFrames int    // frames a clip of the source, where its graph does not say
	Clips        Clips
	Run          Runtime

	Progress func(step string) // is told what is being done; nil: nobody
}

// Explain runs clips through an AFNet and its source, and reports what each
// block computed of each frame, what was answered, and what it cost.
func Explain(ctx context.Context, opt ExplainOptions) (*explain.Report, error) {
	step := PassOptions{Progress: opt.Progress}.step
	step("reading " + opt.Model)
	s, net, err := subjectOf(opt.Model)
	if err != nil {
		return nil, err
	}
	if len(s.Blocks) == 0 {
		return nil, filef("%s: no block of it selects frames; explain takes an AFNet that afc wrote", opt.Model)
	}
	e := &explanation{opt: opt, net: net, subject: s}
	e.run = opt.Run.options()
	if e.run.Videos, err = opt.Clips.videos(ctx, s, step); err != nil {
		return nil, err
	}
	e.run.Progress = func(what string, done, total int) { step(fmt.Sprintf("%s %d of %d", what, done+1, total)) }
	return e.report(ctx)
}

// explanation is one run of Explain.
type explanation struct {
	opt     ExplainOptions
	net     *afblock.Network
	subject *verify.Subject
	run     verify.Options
}

func (e *explanation) report(ctx context.Context) (*explain.Report, error) {
	measured, err := verify.Measure(ctx, e.subject, e.run)
	if err != nil {
		return nil, err
	}
	r := &explain.Report{Model: e.opt.Model, Source: e.opt.Source, Input: e.run.Videos.String(), Frames: e.net.Frames}
	for _, stage := range e.net.Stages {
		if stage.AF != nil {
			r.Stages = append(r.Stages, stageNames(stage))
		}
	}
	answers, err := e.source(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Time, err = e.time(ctx); err != nil {
		return nil, err
	}
	r.Threads = e.opt.Run.Threads
	for i, m := range measured {
		c := explain.Clip{Name: fmt.Sprintf("clip %d", i+1), Label: e.run.Videos.Label(i), Answer: largest(m.Scores), Source: -1}
		if answers != nil {
			c.Source = largest(answers[i])
		}
		for _, block := range m.Masks {
			c.Computed = append(c.Computed, bools(block))
		}
		if e.net.HasCells() {
			for b, block := range m.Cells {
				c.Cells = append(c.Cells, cellRows(block, len(m.Masks[b])))
			}
		}
		if c.MACs, err = e.cost(m); err != nil {
			return nil, err
		}
		if i < explain.MostClips {
			values, err := e.run.Videos.Clip(ctx, i, m.Form)
			if err != nil {
				return nil, err
			}
			c.Thumbnails = clips.Thumbnails(values, m.Form, thumbnailSide)[:min(m.Form.Frames, e.net.Frames)]
		}
		r.Clips = append(r.Clips, c)
	}
	return r, nil
}

// stageNames names an AF module's focal blocks in the paper's words.
func stageNames(stage *afblock.Stage) explain.Stage {
	out := explain.Stage{Name: stage.Name}
	for i := range stage.AF.Focal {
		out.Blocks = append(out.Blocks, fmt.Sprintf("%s focal %d", stage.Name, i+1))
	}
	return out
}

// source runs the source, if there is one, and returns its scores by clip.
func (e *explanation) source(ctx context.Context, r *explain.Report) ([][]float64, error) {
	if e.opt.Source == "" {
		return nil, nil
	}
	src, err := openModel(e.opt.Source)
	if err != nil {
		return nil, err
	}
	e.subject.Source, e.subject.SourceFrames = src, e.opt.SourceFrames
	again, err := openModel(e.opt.Source)
	if err != nil {
		return nil, err
	}
	if net, _, err := networkOf(again, recognize.Options{Frames: e.opt.SourceFrames}); err == nil { // of another kind of network no cost is known
		e.subject.SourceLayout = layoutOf(net)
		cost, err := net.Cost(afblock.CostOptions{Size: e.net.FrameSize()})
		if err != nil {
			return nil, err
		}
		r.SourceMACs = cost.Total().MACs
	}
	scores, err := verify.SourceScores(ctx, e.subject, e.run)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.opt.Source, err)
	}
	return scores, nil
}

// timedRounds are those in which the AFNet and its source are timed in turns.
const timedRounds = 9

// time is the part of the source's time that the AFNet takes for the first clips, 0
// without a source.
func (e *explanation) time(ctx context.Context) (float64, error) {
	if e.opt.Source == "" {
		return 0, nil
	}
	src, _, err := subjectOf(e.opt.Source)
	if err != nil {
		return 0, err
	}
	if e.opt.SourceFrames > 0 {
		src.Frames = e.opt.SourceFrames
	}
	if src.Frames == 1 {
		return 0, nil // it takes images: no run of it is a clip
	}
	run := e.run
	run.Rounds = timedRounds
	run.Progress("timing", 0, 1)
	times, err := verify.Race(ctx, []*verify.Subject{src, e.subject}, run)
	if err != nil {
		return 0, err
	}
	return times[1].Ratio, nil
}

// cost is what a clip with these choices takes.
func (e *explanation) cost(m verify.Measured) (float64, error) {
	frames, cells := sharesOf(e.net, m)
	cost, err := e.net.Cost(afblock.CostOptions{Size: e.net.FrameSize(), Ratios: frames, Cells: cells})
	if err != nil {
		return 0, err
	}
	return cost.Total().MACs, nil
}

// cellRows cuts the cells of a block's frames into rows, [frame][row][cell]; nil
// of a block that chooses whole frames.
func cellRows(cells []uint8, frames int) [][][]bool {
	if cells == nil {
		return nil
	}
	each := len(cells) / frames
	grid := int(math.Round(math.Sqrt(float64(each))))
	var out [][][]bool
	for frame := range slices.Chunk(cells, each) {
		var rows [][]bool
		for row := range slices.Chunk(frame, grid) {
			rows = append(rows, bools(row))
		}
		out = append(out, rows)
	}
	return out
}

// largest is the class of the largest score, -1 of none.
func largest(scores []float64) int {
	if len(scores) == 0 {
		return -1
	}
	return slices.Index(scores, slices.Max(scores))
}

func bools(bits []uint8) []bool {
	out := make([]bool, len(bits))
	for i, b := range bits {
		out[i] = b != 0
	}
	return out
}

// thumbnailSide is the longer side of a thumbnail, in pixels.
const thumbnailSide = 96

// PageName is where the page about a model goes if nobody says: beside it.
func PageName(model string) string { return strings.TrimSuffix(model, ".onnx") + ".explain.html" }
