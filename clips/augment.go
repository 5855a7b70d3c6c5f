package clips

import (
	"context"
	"fmt"
	"image"
	"math"
	"math/rand/v2"

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

// Sample crops each frame of a clip alike: one of TSN's sizes, at a random place.
func (f *Frames) Sample(ctx context.Context, i int, form Form, rng *rand.Rand) ([]float32, error) {
	if form.Channels != 3 {
		return nil, fmt.Errorf("%s holds images, the model takes frames of %d channels: give prepared clips", f.root, form.Channels)
	}
	pre, err := f.pre.filled(form.Pixels)
	if err != nil {
		return nil, err
	}
	v, _, _ := f.of(i)
	crop := randomCrop(rng)
	clip := make([]float32, 0, form.Frames*form.values())
	for t := range form.Frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := float64(v.frames) * (float64(t) + rng.Float64()) / float64(form.Frames)
		path := f.template.path(v.path, f.firstOf(*v)+min(int(at), v.frames-1))
		img, err := readImage(path)
		if err != nil {
			return nil, err
		}
		if err := proportions(img); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		clip = pre.appendPart(clip, img, crop.of(img.Bounds().Size(), form), form)
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
