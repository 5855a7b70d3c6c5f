package clips

import (
	"fmt"
	"slices"
)

// Sampling says which clips of a video, and which crops of their frames, its
// scores are the mean of. The zero value is one clip of the middle frames of
// equal segments, cropped in the middle: what TSN's and TSM's papers call
// 1 clip × 1 crop.
type Sampling struct {
	// Clips of a video; 0: 1, or 10 of Dense. The k-th of N takes the frames of
	// equal segments that lie k/N of a segment further than the middles, in a
	// circle: the second of 2 takes their first ones, as TSM's --twice_sample.
	Clips int
	// Crops: 1; 3 along the longer side; 5, of the corners and the middle; 10,
	// those and the same mirrored. 0: 1.
	Crops int
	// Dense takes clips from windows of 64 frames that begin at equal distances,
	// as TSM's --dense_sample does on Kinetics.
	Dense bool
}

// cropCounts are the numbers of crops that there are rules for.
var cropCounts = []int{1, 3, 5, 10}

// maxClips bounds the clips of a video.
const maxClips = 100

// filled returns s with what it leaves open.
func (s Sampling) filled() (Sampling, error) {
	switch {
	case s.Clips == 0 && s.Dense:
		s.Clips = 10
	case s.Clips == 0:
		s.Clips = 1
	}
	if s.Crops == 0 {
		s.Crops = 1
	}
	if s.Clips < 1 || s.Clips > maxClips {
		return s, fmt.Errorf("%d clips per video: expected 1 to %d", s.Clips, maxClips)
	}
	if !slices.Contains(cropCounts, s.Crops) {
		return s, fmt.Errorf("%d crops: expected 1, 3, 5 or 10", s.Crops)
	}
	return s, nil
}

// views is how many clips and crops of a video there are.
func (s Sampling) views() int { return s.Clips * s.Crops }

func (s Sampling) String() string {
	dense := ""
	if s.Dense {
		dense = ", of windows of 64 frames"
	}
	return fmt.Sprintf("%d clips × %d crops%s", s.Clips, s.Crops, dense)
}

// window is how many frames of a video a clip of Dense spreads over.
const window = 64

// frames are the numbers of the frames, from 0 on, of clip k of a video of
// length many.
func (s Sampling) frames(k, frames, length int) []int {
	at := make([]int, frames)
	for t := range at {
		if !s.Dense { // segment t and (1/2 + k/N) mod 1
			n := s.Clips
			at[t] = (2*n*t + (n+2*k)%(2*n)) * length / (2 * n * frames)
			continue
		}
		last := max(length-window, 0) // where the last window begins
		start := last / 2
		if s.Clips > 1 {
			start = k * last / (s.Clips - 1)
		}
		at[t] = (t*max(window/frames, 1) + start) % length
	}
	return at
}

// cutout is where a crop lies in an image.
type cutout struct {
	x, y     int
	mirrored bool
}

// crop returns the k-th crop of h×w of an image of height×width that covers it,
// in quarters of what is left, as TSM's GroupFullResSample and GroupOverSample
// have them.
func (s Sampling) crop(k, height, width, h, w int) cutout {
	right, down := width-w, height-h
	quarterX, quarterY := right/4, down/4
	switch {
	case s.Crops == 1:
		return cutout{right / 2, down / 2, false}
	case s.Crops == 3 && right >= down:
		return cutout{[]int{0, 4, 2}[k] * quarterX, 2 * quarterY, false}
	case s.Crops == 3:
		return cutout{2 * quarterX, []int{0, 4, 2}[k] * quarterY, false}
	}
	corner := k % 5
	return cutout{[]int{0, 4, 0, 4, 2}[corner] * quarterX, []int{0, 0, 4, 4, 2}[corner] * quarterY, k >= 5}
}

// Views returns how many clips in a row show one video, whose scores are the
// mean of theirs: 1 unless the videos are sampled otherwise.
func Views(v Videos) int {
	if v, ok := v.(interface{ Views() int }); ok {
		return v.Views()
	}
	return 1
}

// OfVideos returns the means of scores [clips][classes] over the views of each
// video.
func OfVideos(v Videos, scores [][]float64) [][]float64 {
	views := Views(v)
	if views == 1 {
		return scores
	}
	var out [][]float64
	for group := range slices.Chunk(scores, views) {
		mean := make([]float64, len(group[0]))
		for _, row := range group {
			for class, x := range row {
				mean[class] += x
			}
		}
		for class := range mean {
			mean[class] /= float64(len(group))
		}
		out = append(out, mean)
	}
	return out
}
