package ffmpeg

import (
	"bufio"
	"fmt"
	"image"
	"io"
	"strings"
)

// most is how many pixels of an image are taken, more than maxPixels lets ffmpeg
// decode.
const most = 1 << 27

// readPPM reads an image as ffmpeg writes it: lines "P6", "width height", "255",
// and three bytes a pixel. At the end of the stream it returns io.EOF.
func readPPM(r *bufio.Reader) (image.Image, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	var header strings.Builder
	for range 3 {
		line, err := r.ReadSlice('\n') // of the reader's buffer at most
		if err != nil {
			return nil, fmt.Errorf("ffmpeg gives no image: %w", io.ErrUnexpectedEOF)
		}
		header.Write(line)
	}
	var w, h int
	if _, err := fmt.Sscanf(header.String(), "P6\n%d %d\n255\n", &w, &h); err != nil || w < 1 || h < 1 || w > most/h {
		return nil, fmt.Errorf("ffmpeg gives no image, but %.40q", header.String())
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	row := make([]byte, 3*w)
	for y := range h {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, fmt.Errorf("an image of %d×%d breaks off: %w", w, h, io.ErrUnexpectedEOF)
		}
		out := img.Pix[y*img.Stride:]
		for x := range w {
			out[4*x], out[4*x+1], out[4*x+2], out[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 255
		}
	}
	return img, nil
}
