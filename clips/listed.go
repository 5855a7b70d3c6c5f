package clips

import (
	"context"
	"fmt"
	"image"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// listed are videos of a list or a folder, sampled and prepared.
type listed struct {
	root     string
	videos   []video
	pre      Preprocessing
	sampling Sampling
	notes    []string // on how the list was read
	kept     keptShots
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

// decoder reads frames of a video, of the numbers given, from 0 on, ascending and
// each once, and shows them visit one by one.
type decoder func(ctx context.Context, v *video, numbers []int, visit func(i int, img image.Image) error) error

// clip makes clip i. Of a video that several clips or crops show, the frames of all
// of them are decoded once.
func (l *listed) clip(ctx context.Context, i int, form Form, decode decoder) ([]float32, error) {
	pre, err := l.fits(form)
	if err != nil {
		return nil, err
	}
	v, k, crop := l.of(i)
	numbers := l.sampling.frames(k, form.Frames, v.frames)
	var shots map[int]*image.RGBA
	if l.Views() == 1 {
		shots, err = shoot(ctx, v, numbers, pre, form, decode)
	} else {
		shots, err = l.kept.of(i/l.Views(), form, l.Views(), func() (map[int]*image.RGBA, error) {
			var all []int
			for k := range l.sampling.Clips {
				all = append(all, l.sampling.frames(k, form.Frames, v.frames)...)
			}
			return shoot(ctx, v, all, pre, form, decode)
		})
	}
	if err != nil {
		return nil, err
	}
	clip := make([]float32, 0, form.Frames*form.values())
	for _, n := range numbers {
		size := shots[n].Bounds().Size()
		clip = pre.appendNormalised(clip, shots[n], l.sampling.crop(crop, size.Y, size.X, form.Height, form.Width), form.Height, form.Width)
	}
	return clip, nil
}

// shoot decodes frames of a video and resizes them; they are returned by number.
func shoot(ctx context.Context, v *video, numbers []int, pre Preprocessing, form Form, decode decoder) (map[int]*image.RGBA, error) {
	once := slices.Compact(slices.Sorted(slices.Values(numbers)))
	shots := make(map[int]*image.RGBA, len(once))
	err := decode(ctx, v, once, func(i int, img image.Image) error {
		var err error
		shots[once[i]], err = pre.scaled(img, form.Height, form.Width)
		return err
	})
	return shots, err
}

// keptShots are the frames of the videos asked for last.
type keptShots struct {
	mutex  sync.Mutex
	videos []*videoShots
}

type videoShots struct {
	video int
	form  Form
	mutex sync.Mutex
	shots map[int]*image.RGBA // nil: not decoded yet
}

// of returns a video's frames, which make decodes where nobody has: whoever else
// asks for them waits. What failed is tried again. Views is how many clips in a row
// ask for one video: as many videos stay as Parallel asks for at once.
func (k *keptShots) of(video int, form Form, views int, make func() (map[int]*image.RGBA, error)) (map[int]*image.RGBA, error) {
	k.mutex.Lock()
	i := slices.IndexFunc(k.videos, func(v *videoShots) bool { return v.video == video && v.form == form })
	if i < 0 {
		i = len(k.videos)
		k.videos = append(k.videos, &videoShots{video: video, form: form})
	}
	v := k.videos[i]
	if most := runtime.GOMAXPROCS(0)/views + 2; len(k.videos) > most {
		k.videos = slices.Delete(k.videos, 0, 1)
	}
	k.mutex.Unlock()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.shots != nil {
		return v.shots, nil
	}
	shots, err := make()
	if err == nil {
		v.shots = shots
	}
	return shots, err
}
