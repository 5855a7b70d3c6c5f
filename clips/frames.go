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
	root     string
	template template
	pre      Preprocessing
	first    int // number of the first frame; −1: found out for each video
	videos   []video
}

// FrameTemplate is how TSN's tools name the frames of a video, from 1 on.
const FrameTemplate = "img_%05d.jpg"

// FrameOptions say which folders of frames are videos and how they are read.
type FrameOptions struct {
	// List is an annotation file with lines "path frames label", path relative to
	// the root; "": every folder CLASS/VIDEO, classes numbered in the order of
	// their names.
	List string
	ListOptions
	Template string // of frames' names; "": FrameTemplate
	// First is the number of a video's first frame; nil: 1, or 0 where there is a
	// frame of that number and the list leaves no other way.
	First *int
	Preprocessing
}

// ReadFrames lists videos under root.
func ReadFrames(root string, opt FrameOptions) (*Frames, error) {
	f := &Frames{root: root, pre: opt.Preprocessing, first: -1}
	if opt.Template == "" {
		opt.Template = FrameTemplate
	}
	if opt.First != nil {
		f.first = *opt.First
	}
	var err error
	if f.template, err = parseTemplate(opt.Template); err != nil {
		return nil, err
	}
	if opt.List != "" {
		f.videos, err = readList(root, opt.List, opt.ListOptions)
	} else {
		f.videos, err = f.find()
	}
	if err != nil {
		return nil, err
	}
	if len(f.videos) == 0 {
		return nil, fmt.Errorf("%s: no videos: expected folders CLASS/VIDEO with %s, or an annotation list", root, f.template.path("", max(f.first, 1)))
	}
	return f, nil
}

// find lists the folders CLASS/VIDEO that hold frames.
func (f *Frames) find() ([]video, error) {
	classes, err := folders(f.root)
	if err != nil {
		return nil, err
	}
	var videos []video
	for label, class := range classes {
		names, err := folders(filepath.Join(f.root, class))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			v := video{path: filepath.Join(f.root, class, name), first: f.first, labels: []int{label}}
			if v.first < 0 {
				if v.first = 1; f.has(v, 0) {
					v.first = 0
				}
			}
			for f.has(v, v.first+v.frames) {
				v.frames++
			}
			if v.frames > 0 {
				videos = append(videos, v)
			}
		}
	}
	return videos, nil
}

// has reports whether a video has a frame of number n.
func (f *Frames) has(v video, n int) bool {
	_, err := os.Stat(f.template.path(v.path, n))
	return err == nil
}

// firstOf returns the number of a video's first frame. A list tells how many
// frames there are: where they are counted from 0, the last is one less.
func (f *Frames) firstOf(v video) int {
	switch {
	case v.first >= 0:
		return v.first
	case f.first >= 0:
		return f.first
	case f.has(v, 0) && !f.has(v, v.frames):
		return 0
	}
	return 1
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

// Label returns the class of video i, −1 where the list tells none or several.
func (f *Frames) Label(i int) int {
	if l := f.videos[i].labels; len(l) == 1 {
		return l[0]
	}
	return -1
}

func (f *Frames) String() string {
	s := fmt.Sprintf("%d videos from %s", len(f.videos), f.root)
	several := 0
	for _, v := range f.videos {
		if len(v.labels) > 1 {
			several++
		}
	}
	if several > 0 {
		s += fmt.Sprintf(", %d of several labels, which count for none", several)
	}
	return s
}

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
	first := f.firstOf(v)
	clip := make([]float32, 0, form.Frames*form.values())
	for t := range form.Frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := f.template.path(v.path, first+middle(t, form.Frames, v.frames))
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
