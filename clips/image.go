package clips

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // frames are JPEG or PNG files
	_ "image/png"
	"os"

	"github.com/afc-project/afc/internal/limits"
)

func readImage(path string) (image.Image, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // a device may have no end
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	img, err := decodeImage(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}

// decodeImage decodes an image that does not take far more memory than its
// file's size allows.
func decodeImage(raw []byte) (image.Image, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	need := int64(config.Width+15) * int64(config.Height+15) * pixelBytes(raw, format, config.ColorModel)
	if err := limits.NewAllowance(int64(len(raw))).Take(need); err != nil {
		return nil, fmt.Errorf("an image of %d×%d pixels in %d bytes %w", config.Width, config.Height, len(raw), err)
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	return img, err
}

// pixelBytes is the most that the standard library's decoders allocate for a
// pixel, all in all.
func pixelBytes(raw []byte, format string, model color.Model) int64 {
	if format == "png" {
		n := int64(4)
		switch model {
		case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model: // grey gets alpha from a later chunk
			n = 8
		}
		if interlace := 28; len(raw) > interlace && raw[interlace] != 0 {
			n *= 2 // the passes, beside the image
		}
		return n
	}
	n, components := int64(3), int64(3)
	if model == color.CMYKModel {
		n, components = 8, 4
	}
	if bytes.Contains(raw, []byte("Adobe")) || model == color.RGBAModel {
		n += 4 // may be RGB, which is converted
	}
	if bytes.Contains(raw, []byte{0xff, 0xc2}) { // progressive: coefficients of 4 bytes, until the end
		n += 4 * components
	}
	return n
}
