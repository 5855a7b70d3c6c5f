package fit

import (
	"context"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
)

// feeder arranges videos as a model's input takes them.
type feeder struct {
	name    string // of the input
	samples int    // that the input takes at once
	clips   int    // of T frames, in a sample: 1, or as many as it has crops

	in     clips.Input
	form   clips.Form
	frames int // of a sample
}

// newFeeder looks at the input of a network's model.
func newFeeder(m *graph.Model, net *afblock.Network) (*feeder, error) {
	channels := net.Stem.Conv.In()
	in, err := clips.InputOf(m, clips.LayoutFrom(net.Shell.Clip().Layout.Axes()), net.Frames, channels)
	if err != nil {
		return nil, err
	}
	n := in.Sample()
	if n%net.Frames != 0 {
		return nil, fmt.Errorf("input %s %s does not hold clips of %d frames", in.Name, in.Shape, net.Frames)
	}
	f := &feeder{name: in.Name, samples: max(int(in.Batch()), 1), clips: n / net.Frames, in: in, frames: n}
	f.form = clips.Form{Frames: n, Channels: channels, Pixels: in.Pixels()}
	f.form.Height, f.form.Width = in.FrameSize(net.Size)
	return f, nil
}

// each shows visit the videos, a batch at a time as the input takes it; of a
// batch, use are videos, and the last is repeated to fill it.
func (f *feeder) each(ctx context.Context, videos clips.Videos, visit func(first, use int, input *graph.Tensor) error) error {
	videos = clips.Parallel(videos)
	for i := 0; i < videos.Len(); i += f.samples {
		var batch [][]float32
		for k := range f.samples {
			if i+k < videos.Len() {
				v, err := videos.Clip(ctx, i+k, f.form)
				if err != nil {
					return err
				}
				batch = append(batch, v)
			} else {
				batch = append(batch, slices.Clone(batch[len(batch)-1]))
			}
		}
		t, err := f.in.Tensor(batch, f.frames, [2]int{f.form.Height, f.form.Width})
		if err != nil {
			return fmt.Errorf("%s: for input %s: %w", videos, f.name, err)
		}
		if err := visit(i, min(f.samples, videos.Len()-i), t); err != nil {
			return err
		}
	}
	return nil
}
