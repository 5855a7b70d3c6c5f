package clips

import (
	"fmt"
	"image"

	"golang.org/x/image/draw"
)

// Preprocessing is how frames become the network's input, as TSN and TSM do it
// when they test.
type Preprocessing struct {
	// Scale is the length the shorter side is resized to, with antialiasing;
	// 0: 256/224 of the crop's. Then the middle is cropped.
	Scale int
	// Mean and Std are subtracted from and divided into the channels R, G, B,
	// of values 0 to 255; Std zero: ImageNet's, or none where the network takes
	// pixels.
	Mean, Std [3]float32
	BGR       bool // channels in the order B, G, R
}

var (
	imageNetMean = [3]float32{123.675, 116.28, 103.53}
	imageNetStd  = [3]float32{58.395, 57.12, 57.375}
)

// filled returns p with what it leaves open. Pixels are not normalised: a model
// that takes them does so itself.
func (p Preprocessing) filled(pixels bool) (Preprocessing, error) {
	switch given := p.Std != [3]float32{}; {
	case given && pixels:
		return p, fmt.Errorf("the model takes pixels of 0 to 255 and normalises them itself: leave mean and deviation out")
	case pixels:
		p.Std = [3]float32{1, 1, 1}
	case !given:
		p.Mean, p.Std = imageNetMean, imageNetStd
	}
	return p, nil
}

// maxAspect bounds how long a frame may be for its width: resizing takes memory
// by the longer side.
const maxAspect = 16

// scaled resizes an image of which crops of h×w are to be taken.
func (p Preprocessing) scaled(img image.Image, h, w int) (*image.RGBA, error) {
	if err := proportions(img); err != nil {
		return nil, err
	}
	size := img.Bounds().Size()
	short := p.Scale
	if short == 0 {
		short = max(h, w) * 256 / 224
	}
	sw, sh := short, short
	if size.X > size.Y {
		sw = size.X * short / size.Y
	} else {
		sh = size.Y * short / size.X
	}
	if sw < w || sh < h {
		return nil, fmt.Errorf("resized to %d×%d it does not cover the crop of %d×%d: choose a larger scale", sh, sw, h, w)
	}
	scaled := image.NewRGBA(image.Rect(0, 0, sw, sh))
	draw.BiLinear.Scale(scaled, scaled.Bounds(), img, img.Bounds(), draw.Src, nil)
	return scaled, nil
}

// proportions refuses images that no frames are.
func proportions(img image.Image) error {
	size := img.Bounds().Size()
	if size.X == 0 || size.Y == 0 {
		return fmt.Errorf("the image is empty")
	}
	if max(size.X, size.Y) > maxAspect*min(size.X, size.Y) {
		return fmt.Errorf("the image has %d×%d pixels; frames may be %d times as long as wide at most", size.X, size.Y, maxAspect)
	}
	return nil
}

// appendNormalised adds the three channels of a part of an image.
func (p Preprocessing) appendNormalised(clip []float32, scaled *image.RGBA, at cutout, h, w int) []float32 {
	for c := range 3 {
		source := c
		if p.BGR {
			source = 2 - c
		}
		for y := range h {
			row := scaled.Pix[scaled.PixOffset(at.x, at.y+y):]
			for x := range w {
				column := x
				if at.mirrored {
					column = w - 1 - x
				}
				clip = append(clip, (float32(row[4*column+source])-p.Mean[source])/p.Std[source])
			}
		}
	}
	return clip
}
