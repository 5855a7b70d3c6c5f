package fit

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/agreement"
	"github.com/afc-project/afc/verify/ort"
)

// Control is how a fitted network answers under some selection of frames,
// beside its source, on the same clips.
type Control struct {
	Name     string  `json:"name"`
	Selected float64 `json:"selected"`  // part of the frames
	Top1     float64 `json:"agreement"` // part of the clips with the source's first class
	// Error is the squared difference of the scores, in parts of the spread of
	// the source's.
	Error float64 `json:"error"`
	// Right is the part of the clips whose class it names, as the source's
	// Result.SourceRight; absent without labels.
	Right *float64 `json:"right,omitempty"`
}

// The selections that a network is measured under. Schedule is what its
// navigation says.
var controls = []struct {
	name string
	pick func(rng *rand.Rand, schedule []bool) []bool
}{
	{"schedule", func(_ *rand.Rand, s []bool) []bool { return s }},
	{"schedule, frames shuffled", func(rng *rand.Rand, s []bool) []bool {
		out := slices.Clone(s)
		rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out
	}},
	{"all", func(_ *rand.Rand, s []bool) []bool { return repeated(true, len(s)) }},
	{"none", func(_ *rand.Rand, s []bool) []bool { return repeated(false, len(s)) }},
}

func repeated(v bool, n int) []bool { return slices.Repeat([]bool{v}, n) }

// measure runs both networks on videos, one sample or batch at a time.
func measure(ctx context.Context, net, teacher *afblock.Network, videos clips.Videos, opt Options) ([]Control, *float64, error) {
	if videos.Len() == 0 {
		return nil, nil, nil
	}
	theirs, err := newScorer(ctx, teacher, opt)
	if err != nil {
		return nil, nil, err
	}
	defer theirs.close()
	want, err := theirs.scores(videos, nil)
	if err != nil {
		return nil, nil, err
	}
	ours, err := newScorer(ctx, net, opt)
	if err != nil {
		return nil, nil, err
	}
	defer ours.close()
	var out []Control
	for i, c := range controls {
		if i > 0 && ours.blocks == 0 {
			break // nothing but the schedule, or every frame, can be selected
		}
		rng := rand.New(rand.NewPCG(opt.Seed, uint64(100+i)))
		selected, frames := 0, 0
		got, err := ours.scores(videos, func() []float32 {
			var masks []float32
			for block, n := range net.Navigation() {
				for _, s := range c.pick(rng, n.Fixed.Select(net.Frames, block)) {
					bit := float32(0)
					if s {
						bit, selected = 1, selected+1
					}
					masks, frames = append(masks, bit), frames+1
				}
			}
			return masks
		})
		if err != nil {
			return nil, nil, err
		}
		r := compare(got, want)
		r.Right = agreement.Right(got, videos.Label)
		r.Name, r.Selected = c.name, float64(selected)/float64(max(frames, 1))
		if p := net.Schedule(); p != nil {
			r.Selected = float64(p.Count(net.Frames)) / float64(net.Frames)
		}
		out = append(out, r)
	}
	return out, agreement.Right(want, videos.Label), nil
}

// compare compares scores [clips][classes].
func compare(got, want [][]float64) Control {
	var r Control
	r.Top1, r.Error = agreement.Compare(got, want)
	return r
}

// scorer runs a whole network.
type scorer struct {
	ctx     context.Context
	session *ort.Session
	feed    *feeder
	blocks  int
	frames  int
	classes int
}

func newScorer(ctx context.Context, net *afblock.Network, opt Options) (*scorer, error) {
	m, err := lowered(net)
	if err != nil {
		return nil, err
	}
	s := &scorer{ctx: ctx, frames: net.Frames, classes: int(net.Head.FC.Weight.Dims[0])}
	for range net.Navigation() {
		s.blocks++
	}
	if s.feed, err = newFeeder(m, net); err != nil {
		return nil, err
	}
	s.session, err = ort.NewSession(m, ort.SessionOptions{Threads: opt.Threads})
	return s, err
}

func (s *scorer) close() { s.session.Close() }

// scores returns each video's scores, averaged where the network gives several
// rows of them. masks makes the choices for one clip, [blocks][frames].
func (s *scorer) scores(videos clips.Videos, masks func() []float32) ([][]float64, error) {
	var out [][]float64
	err := s.feed.each(s.ctx, videos, func(_, use int, input *graph.Tensor) error {
		var chosen []float32
		if masks != nil {
			for range s.feed.samples * s.feed.clips {
				chosen = append(chosen, masks()...)
			}
		}
		rows, err := s.run(input, chosen)
		if err != nil {
			return err
		}
		out = append(out, rows[:use]...)
		return nil
	})
	return out, err
}

func (s *scorer) run(input *graph.Tensor, masks []float32) ([][]float64, error) {
	inputs, samples := map[string]*graph.Tensor{s.feed.name: input}, s.feed.samples
	if s.blocks > 0 {
		inputs[names.MasksIn] = tensorOf(masks, samples*s.feed.clips, s.blocks, s.frames)
	}
	named, err := s.session.RunNamed(s.ctx, inputs)
	if err != nil {
		return nil, err
	}
	t, err := op.Cast(named[s.session.Outputs()[0].Name], graph.Float32)
	if err != nil {
		return nil, err
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	per := len(v) / samples
	if per == 0 || per%s.classes != 0 {
		return nil, fmt.Errorf("%s: output %v does not hold scores of %d classes", s.session.Model, t.Dims, s.classes)
	}
	out := make([][]float64, samples)
	for i := range out {
		out[i] = make([]float64, s.classes)
		for k, x := range v[i*per : (i+1)*per] {
			if math.IsNaN(float64(x)) {
				return nil, errNotFinite
			}
			out[i][k%s.classes] += float64(x) * float64(s.classes) / float64(per)
		}
	}
	return out, nil
}
