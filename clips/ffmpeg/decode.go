package ffmpeg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ErrNoFrames says that nothing of a file decodes.
var ErrNoFrames = errors.New("no frame of it decodes")

// Count decodes a file and returns how many frames that gives. What ffmpeg
// complains about on the way is no error where there are frames.
func (t *Tool) Count(ctx context.Context, path string) (frames int, complaint string, err error) {
	args := append(slices.Clone(t.passthrough), "-progress", "pipe:1", "-nostats", "-f", "null", "-")
	complaint, err = t.run(ctx, path, args, func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if n, ok := strings.CutPrefix(lines.Text(), "frame="); ok {
				var err error
				if frames, err = strconv.Atoi(strings.TrimSpace(n)); err != nil {
					return fmt.Errorf("ffmpeg says %q", lines.Text())
				}
			}
		}
		return lines.Err()
	})
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case frames > 0 && err != nil && complaint == "":
		return frames, err.Error(), nil
	case frames > 0: // what decodes of a file that breaks off
		return frames, complaint, nil
	case err == nil:
		err = ErrNoFrames
	}
	return 0, complaint, err
}

// Frames decodes the frames of the given numbers, from 0 on, ascending and each
// once, and shows them visit one by one.
func (t *Tool) Frames(ctx context.Context, path string, numbers []int, visit func(i int, img image.Image) error) error {
	if len(numbers) == 0 {
		return nil
	}
	chosen := make([]string, len(numbers))
	for i, n := range numbers {
		chosen[i] = fmt.Sprintf("eq(n,%d)", n)
	}
	args := append(slices.Clone(t.passthrough),
		"-vf", "select='"+strings.Join(chosen, "+")+"'", "-frames:v", strconv.Itoa(len(numbers)),
		"-sws_flags", "bilinear+accurate_rnd+full_chroma_int+bitexact", "-pix_fmt", "rgb24",
		"-c:v", "ppm", "-f", "image2pipe", "pipe:1")
	seen := 0
	complaint, err := t.run(ctx, path, args, func(r io.Reader) error {
		in := bufio.NewReader(r)
		for {
			img, err := readPPM(in)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if seen == len(numbers) {
				return errors.New("ffmpeg gives more frames than were asked for")
			}
			if err := visit(seen, img); err != nil {
				return err
			}
			seen++
		}
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case seen == len(numbers):
		return err
	case err == nil && complaint != "":
		err = errors.New(complaint)
	case err == nil:
		err = fmt.Errorf("it has %d of %d frames asked for, up to frame %d", seen, len(numbers), numbers[len(numbers)-1])
	}
	return err
}
