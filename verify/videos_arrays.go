package verify

import (
	"context"
	"fmt"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
)

// Arrays are clips from a NumPy file, ready for the network.
type Arrays struct {
	path   string
	clips  []float32
	count  int
	frames int // a clip
	h, w   int
	labels []int // nil: none
}

// ReadArrays reads clips from a .npy file, or from a .npz archive the first
// array of four or five dimensions, with its "labels", if it has them. Clips
// are [N, T, 3, H, W], [N, T·3, H, W] or, with frames a clip, [N·T, 3, H, W].
func ReadArrays(path string, frames int) (*Arrays, error) {
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
			if err := a.arrange(array.Tensor, frames); err != nil {
				return nil, fmt.Errorf("%s: array %q %v: %w", path, array.Name, array.Tensor.Dims, err)
			}
		}
	}
	if a.clips == nil {
		return nil, fmt.Errorf("%s: no array of clips: expected [N, T, 3, H, W], [N, T·3, H, W] or [N·T, 3, H, W]", path)
	}
	if a.labels != nil && len(a.labels) != a.count {
		return nil, fmt.Errorf("%s: %d labels for %d clips", path, len(a.labels), a.count)
	}
	return a, nil
}

func (a *Arrays) arrange(t *graph.Tensor, frames int) error {
	d := t.Dims
	n := len(d)
	switch {
	case n == 5 && d[2] == 3:
		a.count, a.frames = int(d[0]), int(d[1])
	case n == 4 && d[1] == 3 && frames > 0 && d[0]%int64(frames) == 0:
		a.count, a.frames = int(d[0])/frames, frames
	case n == 4 && d[1] > 3 && d[1]%3 == 0:
		a.count, a.frames = int(d[0]), int(d[1]/3)
	default:
		return fmt.Errorf("expected [N, T, 3, H, W], [N, T·3, H, W] or, at %d frames a clip, [N·T, 3, H, W]", frames)
	}
	a.h, a.w = int(d[n-2]), int(d[n-1])
	if a.count == 0 || a.frames == 0 || a.h == 0 || a.w == 0 {
		return fmt.Errorf("it is empty")
	}
	var err error
	a.clips, err = t.Float32s()
	return err
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
	return fmt.Sprintf("%d clips of %d frames of %d×%d from %s", a.count, a.frames, a.h, a.w, a.path)
}

// Clip returns clip i, frames taken at the middles of equal segments where the
// model takes another number than the file holds.
func (a *Arrays) Clip(_ context.Context, i, frames, h, w int) ([]float32, error) {
	if h != a.h || w != a.w {
		return nil, fmt.Errorf("%s holds frames of %d×%d, the model takes %d×%d", a.path, a.h, a.w, h, w)
	}
	size := 3 * h * w
	clip := make([]float32, 0, frames*size)
	for t := range frames {
		at := (i*a.frames + middle(t, frames, a.frames)) * size
		clip = append(clip, a.clips[at:at+size]...)
	}
	return clip, nil
}

// middle returns the frame, of length many, in the middle of segment t of
// segments many. TSN's and TSM's tests sample so.
func middle(t, segments, length int) int { return (2*t + 1) * length / (2 * segments) }
