package clips

import (
	"context"
	"image"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/image/draw"
)

// Sampler are videos of which training sees other moments and other parts of
// the frames each time.
type Sampler interface {
	// Sample returns a clip as Videos.Clip does, of a random frame of each segment
	// and a random part of the frames. The same numbers give the same clip.
	Sample(ctx context.Context, i int, form Form, rng *rand.Rand) ([]float32, error)
}

// jitter are the shares of the shorter side that a crop takes (TSN's).
var jitter = []float64{1, 0.875, 0.75, 0.66}

// Sample takes frames of a folder.
func (f *Frames) Sample(ctx context.Context, i int, form Form, rng *rand.Rand) ([]float32, error) {
	return f.sample(ctx, i, form, rng, f.decode)
}

// Sample takes frames of a video file.
func (f *Files) Sample(ctx context.Context, i int, form Form, rng *rand.Rand) ([]float32, error) {
	return f.sample(ctx, i, form, rng, f.decode)
}

// sample crops each frame of a clip alike: one of TSN's sizes, at a random place.
func (l *listed) sample(ctx context.Context, i int, form Form, rng *rand.Rand, decode decoder) ([]float32, error) {
	pre, err := l.fits(form)
	if err != nil {
		return nil, err
	}
	v, _, _ := l.of(i)
	crop := randomCrop(rng)
	numbers := make([]int, form.Frames) // ascending: segment by segment
	for t := range numbers {
		at := float64(v.frames) * (float64(t) + rng.Float64()) / float64(form.Frames)
		numbers[t] = min(int(at), v.frames-1)
	}
	once := slices.Compact(slices.Clone(numbers))
	parts := make(map[int][]float32, len(once))
	err = decode(ctx, v, once, func(i int, img image.Image) error {
		if err := proportions(img); err != nil {
			return err
		}
		parts[once[i]] = pre.appendPart(make([]float32, 0, form.values()), img, crop.of(img.Bounds().Size(), form), form)
		return nil
	})
	if err != nil {
		return nil, err
	}
	clip := make([]float32, 0, form.Frames*form.values())
	for _, n := range numbers {
		clip = append(clip, parts[n]...)
	}
	return clip, nil
}

// crop is a part of a frame: a share of what fits, and where it lies, 0 to 1.
type crop struct{ share, x, y float64 }

func randomCrop(rng *rand.Rand) crop {
	return crop{jitter[rng.IntN(len(jitter))], rng.Float64(), rng.Float64()}
}

// of is the part of an image, in the proportions of the form.
func (c crop) of(size image.Point, form Form) image.Rectangle {
	fit := c.share * min(float64(size.X)/float64(form.Width), float64(size.Y)/float64(form.Height))
	w, h := max(int(math.Round(fit*float64(form.Width))), 1), max(int(math.Round(fit*float64(form.Height))), 1)
	left, top := int(c.x*float64(size.X-w)+0.5), int(c.y*float64(size.Y-h)+0.5)
	return image.Rect(left, top, left+w, top+h)
}

// appendPart resizes a part of an image to the form and normalises it.
func (p Preprocessing) appendPart(clip []float32, img image.Image, part image.Rectangle, form Form) []float32 {
	scaled := image.NewRGBA(image.Rect(0, 0, form.Width, form.Height))
	draw.BiLinear.Scale(scaled, scaled.Bounds(), img, part.Add(img.Bounds().Min), draw.Src, nil)
	return p.appendNormalised(clip, scaled, cutout{}, form.Height, form.Width)
}
