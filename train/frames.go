package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// frames makes of videos what the stem reads: it runs what a model has before
// it.
type frames struct {
	session *ort.Session // nil: the stem reads clips as they are
	in      clips.Input
	asked   clips.Form // of videos
	form    clips.Form // of what the stem reads
}

// newFrames looks at what lies before a network's stem.
func newFrames(net *afblock.Network, size afblock.Size, threads int) (*frames, error) {
	f := &frames{form: clips.Form{Frames: net.Frames, Channels: net.Stem.Conv.In(), Height: size[0], Width: size[1]}}
	f.asked = f.form
	if net.Shell.Model() == nil {
		return f, nil
	}
	m := graph.NewModel("before the stem", net.Shell.Model().IRVersion, net.Shell.Model().Opset(""))
	m.Opsets = net.Shell.Model().Opsets
	out, err := net.Shell.Prefix(m.Graph, net)
	if err != nil {
		return nil, err
	}
	if f.in, err = clips.InputOf(m, clips.LayoutFrom(net.Shell.Clip().Layout.Axes()), net.Frames, f.form.Channels); err != nil {
		return nil, err
	}
	if f.in.Sample() != net.Frames {
		return nil, fmt.Errorf("input %s %s takes samples of %d frames; afc trains with clips of %d", f.in.Name, f.in.Shape, f.in.Sample(), net.Frames)
	}
	f.asked.Pixels = f.in.Pixels()
	out.Type = graph.TensorType(graph.Float32, graph.Shape(nil))
	m.Graph.AddOutput(out)
	f.session, err = ort.NewSession(m, ort.SessionOptions{Threads: threads})
	return f, err
}

func (f *frames) close() {
	if f != nil && f.session != nil {
		f.session.Close()
	}
}

// of returns the frames of a video, [T, C, H, W].
func (f *frames) of(ctx context.Context, videos clips.Videos, i int) ([]float32, error) {
	v, err := videos.Clip(ctx, i, f.asked)
	if err != nil {
		return nil, err
	}
	return f.prepared(ctx, v)
}

// random returns frames at random moments and places; nil of videos that have
// one clip each.
func (f *frames) random(ctx context.Context, videos clips.Videos, i int, rng *rand.Rand) ([]float32, error) {
	s, ok := videos.(clips.Sampler)
	if !ok {
		return nil, nil
	}
	v, err := s.Sample(ctx, i, f.asked, rng)
	if err != nil {
		return nil, err
	}
	return f.prepared(ctx, v)
}

func (f *frames) prepared(ctx context.Context, clip []float32) ([]float32, error) {
	if slices.ContainsFunc(clip, func(x float32) bool { return x-x != 0 }) {
		return nil, fmt.Errorf("values are not finite (NaN or infinite)")
	}
	if f.session == nil {
		return clip, nil
	}
	batch := slices.Repeat([][]float32{clip}, max(int(f.in.Batch()), 1))
	t, err := f.in.Tensor(batch, f.asked.Frames, [2]int{f.asked.Height, f.asked.Width})
	if err != nil {
		return nil, err
	}
	out, err := f.session.Run(ctx, t)
	if err != nil {
		return nil, err
	}
	v, err := out[0].Float32s()
	if err != nil {
		return nil, err
	}
	n := f.form.Frames * f.form.Channels * f.form.Height * f.form.Width
	if len(v) != n*len(batch) {
		return nil, fmt.Errorf("what lies before the stem makes %v of a clip, expected frames of %d×%d", out[0].Dims, f.form.Height, f.form.Width)
	}
	return v[:n], nil
}
