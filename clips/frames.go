package clips

import (
	"context"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
)

// Frames are videos that were unpacked to folders of images.
type Frames struct {
	listed
	template template
	first    int    // number of the first frame; −1: found out for each video
	list     string // path of the list that names the videos, "" without one
}

// FrameTemplate is how TSN's tools name the frames of a video, from 1 on.
const FrameTemplate = "img_%05d.jpg"

// ReadFrames lists videos under root.
func ReadFrames(root string, opt Options) (*Frames, error) {
	f := &Frames{listed: listed{root: root, pre: opt.Preprocessing}, first: -1}
	if opt.Template == "" {
		opt.Template = FrameTemplate
	}
	if opt.First != nil {
		f.first = *opt.First
	}
	var err error
	if f.sampling, err = opt.Sampling.filled(); err != nil {
		return nil, err
	}
	if f.template, err = parseTemplate(opt.Template); err != nil {
		return nil, err
	}
	f.list = opt.List
	if opt.List != "" {
		f.videos, err = readList(root, opt.List, opt.ListOptions)
	} else {
		f.videos, err = f.find()
	}
	if err != nil {
		return nil, err
	}
	if len(f.videos) == 0 && f.list != "" {
		return nil, fmt.Errorf("%s: lists no videos: expected lines %q", f.list, listForm)
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

// Clip reads the frames of clip i and prepares them.
func (f *Frames) Clip(ctx context.Context, i int, form Form) ([]float32, error) {
	return f.clip(ctx, i, form, f.decode)
}

// decode reads the images of a video's frames.
func (f *Frames) decode(ctx context.Context, v *video, numbers []int, visit func(i int, img image.Image) error) error {
	first := f.firstOf(*v)
	for i, n := range numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := f.template.path(v.path, first+n)
		img, err := readImage(path)
		if err != nil && f.list != "" {
			return fmt.Errorf("%s:%d: %w", f.list, v.line, err)
		}
		if err != nil {
			return err
		}
		if err := visit(i, img); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
