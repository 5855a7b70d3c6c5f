package clips

import (
	"fmt"
	"image"
	"strings"
)

// listed are videos of a list or a folder, sampled and prepared.
type listed struct {
	root     string
	videos   []video
	pre      Preprocessing
	sampling Sampling
	notes    []string // on how the list was read
}

// Len returns the number of clips: of videos, times their views.
func (l *listed) Len() int { return len(l.videos) * l.Views() }

// Views returns how many clips in a row show one video.
func (l *listed) Views() int { return l.sampling.views() }

// of returns the video that clip i shows, and which of its clips and crops.
func (l *listed) of(i int) (v *video, clip, crop int) {
	v, i = &l.videos[i/l.Views()], i%l.Views()
	return v, i / l.sampling.Crops, i % l.sampling.Crops
}

// Label returns the class of clip i, −1 where the list tells none or several.
func (l *listed) Label(i int) int {
	if v, _, _ := l.of(i); len(v.labels) == 1 {
		return v.labels[0]
	}
	return -1
}

func (l *listed) String() string {
	s := fmt.Sprintf("%d videos from %s", len(l.videos), l.root)
	several := 0
	for _, v := range l.videos {
		if len(v.labels) > 1 {
			several++
		}
	}
	if several > 0 {
		s += fmt.Sprintf(", %d of several labels, which count for none", several)
	}
	if l.Views() > 1 {
		s += fmt.Sprintf(", %s each", l.sampling)
	}
	return strings.Join(append([]string{s}, l.notes...), ", ")
}

// fits refuses forms that images do not have, and returns how to prepare frames
// for one.
func (l *listed) fits(form Form) (Preprocessing, error) {
	if form.Channels != 3 {
		return l.pre, fmt.Errorf("%s holds images, the model takes frames of %d channels: give prepared clips", l.root, form.Channels)
	}
	return l.pre.filled(form.Pixels)
}

// appendFrame prepares a frame of a video's k-th crop.
func (l *listed) appendFrame(clip []float32, pre Preprocessing, img image.Image, form Form, k int) ([]float32, error) {
	return pre.appendFrame(clip, img, form.Height, form.Width, func(height, width int) cutout {
		return l.sampling.crop(k, height, width, form.Height, form.Width)
	})
}
