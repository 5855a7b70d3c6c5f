package clips

import (
	"context"
	"fmt"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/numpy"
)

// Arrays are clips from a NumPy file, ready for the network.
type Arrays struct {
	path     string
	clips    []float32 // [N, T, C, H, W]
	count    int
	frames   int // a clip
	channels int
	h, w     int
	labels   []int // nil: none
	raw      bool  // pixels, 0 to 255, for a network that takes others
}

// ReadArrays reads clips from a .npy file, or from a .npz archive the first
// array of four or five dimensions, with its "labels", if it has them. Clips
// lie in it as in the input of a network that takes the form, in the layout given
// if it fits; the form's frame size is not looked at, and frames need not be known
// (0) where they have an axis of their own.
func ReadArrays(path string, form Form, layout Layout) (*Arrays, error) {
	arrays, err := numpy.ReadFile(path)
	if err != nil {
		return nil, err
	}
	a := &Arrays{path: path}
	for _, array := range arrays {
		switch n := len(array.Tensor.Dims); {
		case array.Name == "labels":
			labels, err := array.Tensor.Int64s()
			if err != nil {
				return nil, fmt.Errorf("%s: labels: %w", path, err)
			}
			for _, l := range labels {
				a.labels = append(a.labels, int(l))
			}
		case (n == 4 || n == 5) && a.clips == nil:
			if err := a.take(array.Tensor, form, layout); err != nil {
				return nil, fmt.Errorf("%s: array %q %v: %w", path, array.Name, array.Tensor.Dims, err)
			}
		}
	}
	if a.clips == nil {
		return nil, fmt.Errorf("%s: no array of clips: expected one of 4 or 5 dimensions, such as [N, T, %d, H, W]", path, form.Channels)
	}
	if a.labels != nil && len(a.labels) != a.count {
		return nil, fmt.Errorf("%s: %d labels for %d clips", path, len(a.labels), a.count)
	}
	return a, nil
}

func (a *Arrays) take(t *graph.Tensor, form Form, layout Layout) error {
	frames, channels := form.Frames, form.Channels
	in := Input{Shape: graph.ShapeOf(t.Dims...), Layout: layout, Frames: frames, Channels: channels}
	if !layout.holds(in.Shape, frames, channels) {
		in.Layout = LayoutOf(in.Shape, frames, channels)
	}
	if in.Layout == nil {
		return fmt.Errorf("it holds no clips of frames with %d channels", channels)
	}
	a.count, a.frames, a.channels = int(in.Batch()), in.Sample(), channels
	a.h, a.w = int(in.Size("H")), int(in.Size("W"))
	size := Sizes{int64(a.count), int64(a.frames), int64(channels), int64(a.h), int64(a.w)}
	n, err := t.NumElements()
	switch {
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("it is empty")
	case n != size.elements():
		return fmt.Errorf("it holds no clips of %d frames", frames)
	}
	a.raw = t.DType == graph.Uint8 && !form.Pixels
	t, err = op.Cast(t, graph.Float32)
	if err != nil {
		return err
	}
	clips, err := t.Float32s()
	if err != nil {
		return err
	}
	a.clips = in.Layout.Back(clips, size)
	return nil
}

// Len returns the number of clips.
func (a *Arrays) Len() int { return a.count }

// Label returns the class of clip i, -1 without labels.
func (a *Arrays) Label(i int) int {
	if a.labels == nil {
		return -1
	}
	return a.labels[i]
}

func (a *Arrays) String() string {
	s := fmt.Sprintf("%d clips of %d frames of %d×%d from %s", a.count, a.frames, a.h, a.w, a.path)
	if a.raw {
		s += " (uint8: given as they are, 0 to 255, not normalised, to a model that takes floats)"
	}
	return s
}

// Clip returns clip i, frames taken at the middles of equal segments where the
// model takes another number than the file holds.
func (a *Arrays) Clip(_ context.Context, i int, form Form) ([]float32, error) {
	if form.Channels != a.channels || form.Height != a.h || form.Width != a.w {
		return nil, fmt.Errorf("%s holds frames of %d×%d×%d, the model takes %d×%d×%d", a.path, a.channels, a.h, a.w, form.Channels, form.Height, form.Width)
	}
	size := form.values()
	clip := make([]float32, 0, form.Frames*size)
	for t := range form.Frames {
		at := (i*a.frames + middle(t, form.Frames, a.frames)) * size
		clip = append(clip, a.clips[at:at+size]...)
	}
	return clip, nil
}
