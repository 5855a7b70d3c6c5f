package clips

import (
	"context"
	"fmt"
)

// Videos are clips to run models on. Models of different frame counts see the
// same videos, sampled each in its own way.
type Videos interface {
	// Len returns the number of videos, of clips where a video has several (see
	// Views).
	Len() int
	// Clip returns video i as [T, C, H, W] values of the form, R before G
	// before B where there are three channels.
	Clip(ctx context.Context, i int, form Form) ([]float32, error)
	// Label returns the class of video i, -1 if it is not known.
	Label(i int) int
	// String says in a few words what the videos are.
	String() string
}

// Form is what a network takes for a clip.
type Form struct {
	Frames, Channels, Height, Width int

	// Pixels asks for whole numbers of 0 to 255, as images are decoded;
	// otherwise values are as the network expects them after normalisation.
	Pixels bool
}

// values is how many values a frame has.
func (f Form) values() int { return f.Channels * f.Height * f.Width }

// MaxValues is how many values the clips of one run may have, 4 GB of float32: a
// model's file may say any size.
const MaxValues = 1 << 30

// Fits refuses as many clips of the form as no run has.
func (f Form) Fits(clips int) error {
	if float64(clips)*float64(f.Frames)*float64(f.Channels)*float64(f.Height)*float64(f.Width) > MaxValues {
		return fmt.Errorf("%d clips of %d frames of %d×%d×%d are more than the %d values of the largest run", clips, f.Frames, f.Channels, f.Height, f.Width, MaxValues)
	}
	return nil
}

// middle returns the frame, of length many, in the middle of segment t of
// segments many. TSN's and TSM's tests sample so.
func middle(t, segments, length int) int { return (2*t + 1) * length / (2 * segments) }
