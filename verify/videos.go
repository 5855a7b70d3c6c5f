package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Videos are clips to run models on. Models of different frame counts see the
// same videos, sampled each in its own way.
type Videos interface {
	// Len returns the number of videos.
	Len() int
	// Clip returns video i as frames·3·h·w values, frame by frame, R before G
	// before B, ready for the network.
	Clip(ctx context.Context, i, frames, h, w int) ([]float32, error)
	// Label returns the class of video i, -1 if it is not known.
	Label(i int) int
	// String says in a few words what the videos are.
	String() string
}

// Distribution is what random pixels are drawn from.
type Distribution string

const (
	// Normal has mean 0 and deviation 1, like normalised video.
	Normal Distribution = "normal"
	// Uniform lies in [0, 1).
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
func (r Random) Clip(_ context.Context, i, frames, h, w int) ([]float32, error) {
	clip := make([]float32, 0, frames*3*h*w)
	for t := range frames {
		frame := middle(t, frames, randomLength)
		rng := rand.New(rand.NewPCG(r.Seed, uint64(i)<<32|uint64(frame)))
		for range 3 * h * w {
			switch r.Distribution {
			case Uniform:
				clip = append(clip, rng.Float32())
			case Normal, "":
				clip = append(clip, float32(rng.NormFloat64()))
			default:
				return nil, fmt.Errorf("unknown distribution %q: expected %s or %s", r.Distribution, Normal, Uniform)
			}
		}
	}
	return clip, nil
}
