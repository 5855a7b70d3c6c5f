package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/verify/ort"
)

// Measured is what a model did with one clip.
type Measured struct {
	Masks  [][]uint8     // [block][frame]: 1 where the block computed the frame
	Cells  [][]uint8     // [block]: the cells of each frame, of those selected; nil for blocks of whole frames
	Scores []float64     // of each class
	Time   time.Duration // of the run, divided by the clips it had
	Form   clips.Form    // in which it took the clip
}

// Measure runs every video through a subject and reads which frames its focal
// blocks chose, if it has any. Models that fix a batch get their batches filled up with the
// last video; others get one clip at a time. The first run warms up, untimed.
func Measure(ctx context.Context, s *Subject, opt Options) ([]Measured, error) {
	if err := ort.ProbeProvider(opt.Provider); err != nil {
		return nil, err
	}
	opt.Batch = 1
	p, err := newProver(ctx, s, opt)
	if err != nil {
		return nil, err
	}
	defer p.sessions.close()
	shown := p.shown(s.Model)
	so, beside := dialled(p.optimised(), opt.Margin)
	if _, err := p.runGiven(s.Model, so, p.clips, beside); err != nil {
		return nil, err
	}
	var measured []Measured
	for i := 0; i < p.opt.Videos.Len(); i += len(p.clips) {
		if opt.Progress != nil {
			opt.Progress("clip", i, p.opt.Videos.Len())
		}
		batch, err := p.videos(i, len(p.clips), p.sample())
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := p.runGiven(s.Model, so, batch, beside); err != nil {
			return nil, err
		}
		each := time.Since(start) / time.Duration(len(batch))
		o, err := p.runGiven(shown, so, batch, beside)
		if err != nil {
			return nil, err
		}
		if err := p.readMasks(o, len(batch)); err != nil {
			return nil, err
		}
		if len(s.Blocks) == 0 {
			o.masks = make([][][]uint8, len(batch)*p.crops)
		}
		if o.masks == nil {
			return nil, fmt.Errorf("%s: it does not show its choices; convert it with --outputs masks", s.Path)
		}
		for k := range min(len(batch), p.opt.Videos.Len()-i) {
			scores, err := o.scoresOf(len(batch), k)
			if err != nil {
				return nil, err
			}
			measured = append(measured, Measured{o.masks[k*p.crops], o.selectedCellsOf(k * p.crops), scores, each, p.form(p.sample())})
		}
	}
	return measured, nil
}

// SourceScores runs every video through a subject's source and returns the
// scores of each class, by clip.
func SourceScores(ctx context.Context, s *Subject, opt Options) ([][]float64, error) {
	opt.Batch = 1
	p, err := newProver(ctx, s, opt)
	if err != nil {
		return nil, err
	}
	defer p.sessions.close()
	return p.scores(s.Source, p.sourceFrames)
}
