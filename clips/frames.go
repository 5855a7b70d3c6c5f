package clips

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Frames are videos that were unpacked to folders of images.
type Frames struct {
	root, template string
	pre            Preprocessing
	videos         []frameFolder
}

type frameFolder struct {
	path   string
	frames int
	label  int
}

// FrameTemplate is how TSN's tools name the frames of a video, from 1 on.
const FrameTemplate = "img_%05d.jpg"

// ReadFrames lists videos under root: those of an annotation file with lines
// "path frames label", path relative to root; or, where list is "", every
// CLASS/VIDEO folder, classes numbered in the order of their names. Template
// is FrameTemplate if empty.
func ReadFrames(root, list, template string, pre Preprocessing) (*Frames, error) {
	if template == "" {
		template = FrameTemplate
	}
	f := &Frames{root: root, template: template, pre: pre}
	var err error
	if list != "" {
		f.videos, err = readAnnotations(root, list)
	} else {
		f.videos, err = findVideos(root, template)
	}
	if err != nil {
		return nil, err
	}
	if len(f.videos) == 0 {
		return nil, fmt.Errorf("%s: no videos: expected folders CLASS/VIDEO with %s, or an annotation list", root, fmt.Sprintf(template, 1))
	}
	return f, nil
}

func findVideos(root, template string) ([]frameFolder, error) {
	classes, err := folders(root)
	if err != nil {
		return nil, err
	}
	var videos []frameFolder
	for label, class := range classes {
		names, err := folders(filepath.Join(root, class))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			v := frameFolder{path: filepath.Join(root, class, name), label: label}
			for v.frames = 0; ; v.frames++ {
				if _, err := os.Stat(filepath.Join(v.path, fmt.Sprintf(template, v.frames+1))); err != nil {
					break
				}
			}
			if v.frames > 0 {
				videos = append(videos, v)
			}
		}
	}
	return videos, nil
}

func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Len returns the number of videos.
func (f *Frames) Len() int { return len(f.videos) }

// Label returns the class of video i.
func (f *Frames) Label(i int) int { return f.videos[i].label }

func (f *Frames) String() string { return fmt.Sprintf("%d videos from %s", len(f.videos), f.root) }

// Clip reads the middle frames of equal segments of video i and prepares them.
func (f *Frames) Clip(ctx context.Context, i int, form Form) ([]float32, error) {
	if form.Channels != 3 {
		return nil, fmt.Errorf("%s holds images, the model takes frames of %d channels: give prepared clips", f.root, form.Channels)
	}
	pre, err := f.pre.filled(form.Pixels)
	if err != nil {
		return nil, err
	}
	v := f.videos[i]
	clip := make([]float32, 0, form.Frames*form.values())
	for t := range form.Frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := filepath.Join(v.path, fmt.Sprintf(f.template, 1+middle(t, form.Frames, v.frames)))
		img, err := readImage(path)
		if err != nil {
			return nil, err
		}
		if clip, err = pre.appendFrame(clip, img, form.Height, form.Width); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return clip, nil
}
