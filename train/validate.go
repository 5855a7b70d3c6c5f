package train

import (
	"context"
	"fmt"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/agreement"
	"github.com/afc-project/afc/verify/ort"
)

// Score is how a network does on clips.
type Score struct {
	Clips    int     `json:"clips"`
	Selected float64 `json:"selected"` // part of the frames
	// Right is the part of the clips whose class it names; nil where labels are
	// not known.
	Right *float64 `json:"top1,omitempty"`
	// Agrees is the part with the source's first class, and Error the squared error
	// of the scores, in parts of the spread of the source's; nil without a source.
	Agrees *float64 `json:"agreement,omitempty"`
	Error  *float64 `json:"error,omitempty"`
	// Frames are the shares of the clips of which each block selects each frame,
	// [block][frame].
	Frames [][]float64 `json:"-"`
}

func (s *Score) String() string {
	text := fmt.Sprintf("on %d clips, %.0f %% of the frames", s.Clips, 100*s.Selected)
	if s.Right != nil {
		text += fmt.Sprintf(", top-1 %.1f %%", 100**s.Right)
	}
	if s.Agrees != nil {
		text += fmt.Sprintf(", source's first class %.1f %%, error of scores %.4f", 100**s.Agrees, *s.Error)
	}
	return text
}

// better reports whether s is to be kept rather than the other: by classes where
// labels are learned, else by the distance from the source.
func (s *Score) better(than *Score, labels bool) bool {
	switch {
	case than == nil:
		return true
	case labels && s.Right != nil && than.Right != nil:
		return *s.Right > *than.Right
	case s.Error != nil && than.Error != nil:
		return *s.Error < *than.Error
	case s.Right != nil && than.Right != nil:
		return *s.Right > *than.Right
	}
	return false
}

// validator runs a network with weights as they are on clips.
type validator struct {
	net     *afblock.Network
	session *ort.Session
	frames  *frames
	videos  clips.Videos
	batch   int
	masks   func(clip int) []float32 // of a clip, where they are given
	teacher *teacher
}

func (v *validator) close() {
	if v != nil {
		v.session.Close()
	}
}

// score runs all clips.
func (v *validator) score(ctx context.Context, at vectors) (*Score, error) {
	var got, want [][]float64
	selected, choices := 0.0, 0
	frames := make([][]float64, len(v.net.Navigation()))
	for b := range frames {
		frames[b] = make([]float64, v.net.Frames)
	}
	for first := 0; first < v.videos.Len(); first += v.batch {
		use := min(v.batch, v.videos.Len()-first)
		list, err := v.read(ctx, first, use)
		if err != nil {
			return nil, err
		}
		scores, chosen, err := v.run(ctx, at, first, list)
		if err != nil {
			return nil, err
		}
		blocks := len(chosen) / v.batch
		for i, c := range chosen[:use*blocks] {
			selected += float64(c)
			frames[i%blocks/v.net.Frames][i%v.net.Frames] += float64(c) / float64(v.videos.Len())
			choices++
		}
		got = append(got, scores[:use]...)
		for i := range use {
			if v.teacher != nil {
				t, err := v.teacher.scores(ctx, list[i])
				if err != nil {
					return nil, err
				}
				want = append(want, meanRows(t, v.net.Frames))
			}
		}
	}
	s := &Score{Clips: v.videos.Len(), Selected: selected / float64(max(choices, 1)), Frames: frames}
	s.Right = agreement.Right(got, v.videos.Label)
	if want != nil {
		s.compare(got, want)
	}
	return s, nil
}

// read reads clips; the last fills up the batch.
func (v *validator) read(ctx context.Context, first, use int) ([]shown, error) {
	list := make([]shown, v.batch)
	for i := range list {
		if i >= use {
			list[i] = list[use-1]
			continue
		}
		x, err := v.frames.of(ctx, v.videos, first+i)
		if err != nil {
			return nil, fmt.Errorf("clip %d of %s: %w", first+i, v.videos, err)
		}
		list[i] = shown{video: -1 - (first + i), again: true, frames: x} // below zero: not those trained on
	}
	return list, nil
}

// run returns the clips' scores and choices.
func (v *validator) run(ctx context.Context, at vectors, first int, list []shown) ([][]float64, []float32, error) {
	f := v.frames.form
	var x, masks []float32
	for i, s := range list {
		x = append(x, s.frames...)
		if v.masks != nil {
			masks = append(masks, v.masks(first+i)...)
		}
	}
	in := map[string]*graph.Tensor{
		FramesIn:  graph.Float32s([]int64{int64(len(list) * f.Frames), int64(f.Channels), int64(f.Height), int64(f.Width)}, x...),
		WeightsIn: at.weights,
	}
	if at.statistics != nil {
		in[StatsIn] = at.statistics
	}
	blocks := len(v.net.Navigation())
	if v.masks != nil {
		in[MasksIn] = graph.Float32s([]int64{int64(len(list)), int64(blocks), int64(f.Frames)}, masks...)
	}
	out, err := v.session.RunNamed(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	frames, err := out["frame_scores"].Float32s()
	if err != nil {
		return nil, nil, err
	}
	var scores [][]float64
	per := len(frames) / len(list)
	for i := range list {
		scores = append(scores, meanRows(frames[i*per:(i+1)*per], f.Frames))
	}
	if out[ChoicesOut] == nil {
		return scores, nil, nil
	}
	chosen, err := out[ChoicesOut].Float32s()
	return scores, chosen, err
}

// meanRows is the mean of a number of rows.
func meanRows(x []float32, rows int) []float64 {
	n := len(x) / rows
	out := make([]float64, n)
	for i, v := range x {
		out[i%n] += float64(v) / float64(rows)
	}
	return out
}

// compare compares scores with the source's.
func (s *Score) compare(got, want [][]float64) {
	same, lost := agreement.Compare(got, want)
	s.Agrees, s.Error = &same, &lost
}
