package clips

import (
	"image"
	"math"

	"golang.org/x/image/draw"
)

// Thumbnails are pictures of a clip's frames as a network takes them: the
// smallest of its values black, the largest white, and side pixels at most
// along the longer side. Where frames have no three colours, the first channel
// is shown in grey.
func Thumbnails(values []float32, form Form, side int) []image.Image {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, float64(v)), max(high, float64(v))
	}
	area := form.Height * form.Width
	out := make([]image.Image, form.Frames)
	for t := range out {
		img := image.NewRGBA(image.Rect(0, 0, form.Width, form.Height))
		for at := range area {
			for c := range 3 {
				channel := c
				if form.Channels != 3 {
					channel = 0
				}
				v := float64(values[(t*form.Channels+channel)*area+at])
				img.Pix[4*at+c] = uint8(255 * (v - low) / max(high-low, 1e-12))
			}
			img.Pix[4*at+3] = 255
		}
		out[t] = scaledDown(img, side)
	}
	return out
}

func scaledDown(img *image.RGBA, side int) image.Image {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	longer := max(w, h)
	if longer <= side {
		return img
	}
	small := image.NewRGBA(image.Rect(0, 0, max(1, w*side/longer), max(1, h*side/longer)))
	draw.ApproxBiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	return small
}
