package clips

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
)

// Distribution is what random pixels are drawn from.
type Distribution string

const (
	// Normal has mean 0 and deviation 1, like normalised video.
	Normal Distribution = "normal"
	// Uniform lies in [0, 1), pixels in 0 to 255.
	Uniform Distribution = "uniform"
)

// Random are videos of independent random pixels: the same for the same seed
// on every machine.
type Random struct {
	Count        int
	Seed         uint64
	Distribution Distribution // "": Normal
}

// randomLength is the number of frames of a random video; clips take them at
// the middles of equal segments.
const randomLength = 96

// Len returns the number of videos.
func (r Random) Len() int { return r.Count }

// Label returns -1: random videos have no class.
func (r Random) Label(int) int { return -1 }

func (r Random) String() string {
	d := r.Distribution
	if d == "" {
		d = Normal
	}
	return fmt.Sprintf("%d random clips (%s, seed %d)", r.Count, d, r.Seed)
}

// Clip returns the middle frames of equal segments of video i.
func (r Random) Clip(_ context.Context, i int, form Form) ([]float32, error) {
	if r.Distribution != Normal && r.Distribution != Uniform && r.Distribution != "" {
		return nil, fmt.Errorf("unknown distribution %q: expected %s or %s", r.Distribution, Normal, Uniform)
	}
	clip := make([]float32, 0, form.Frames*form.values())
	for t := range form.Frames {
		frame := middle(t, form.Frames, randomLength)
		rng := rand.New(rand.NewPCG(r.Seed, uint64(i)<<32|uint64(frame)))
		for range form.values() {
			clip = append(clip, r.draw(rng, form.Pixels))
		}
	}
	return clip, nil
}

// draw draws a value. Of pixels, the normal ones are those whose normalised
// values the others are, with ImageNet's mean and deviation, about.
func (r Random) draw(rng *rand.Rand, pixel bool) float32 {
	switch {
	case r.Distribution == Uniform && pixel:
		return float32(rng.IntN(256))
	case r.Distribution == Uniform:
		return rng.Float32()
	case pixel:
		return float32(math.Round(min(max(116+57*rng.NormFloat64(), 0), 255)))
	}
	return float32(rng.NormFloat64())
}
