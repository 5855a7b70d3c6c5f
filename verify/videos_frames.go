package verify

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/image/draw"
)

// Preprocessing is how frames become the network's input, as TSN and TSM do it
// when they test.
type Preprocessing struct {
	// Scale is the length the shorter side is resized to, with antialiasing;
	// 0: 256/224 of the crop's. Then the middle is cropped.
	Scale int
	// Mean and Std are subtracted from and divided into the channels R, G, B,
	// of values 0 to 255; Std zero: ImageNet's, or none where the network takes
	// pixels.
	Mean, Std [3]float32
	BGR       bool // channels in the order B, G, R
}

var (
	imageNetMean = [3]float32{123.675, 116.28, 103.53}
	imageNetStd  = [3]float32{58.395, 57.12, 57.375}
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

func readAnnotations(root, list string) ([]frameFolder, error) {
	file, err := os.Open(list)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseAnnotations(file, root, list)
}

// maxFrames is more than any video has: a year of them takes 10⁹.
const maxFrames = 1 << 30

// parseAnnotations reads lines "path frames label" of the file named list.
func parseAnnotations(r io.Reader, root, list string) ([]frameFolder, error) {
	var videos []frameFolder
	n := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		// The path may hold spaces.
		rest, label, ok := cutLast(line)
		path, frames, ok2 := cutLast(rest)
		v := frameFolder{path: filepath.Join(root, path)}
		var err1, err2 error
		v.frames, err1 = strconv.Atoi(frames)
		v.label, err2 = strconv.Atoi(label)
		if !ok || !ok2 || err1 != nil || err2 != nil || v.frames < 1 || v.frames > maxFrames || v.label < 0 {
			return nil, fmt.Errorf("%s:%d: %.200q: expected \"path frames label\"", list, n, line)
		}
		if filepath.IsAbs(path) {
			v.path = path
		}
		videos = append(videos, v)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", list, n+1, err)
	}
	return videos, nil
}

func cutLast(line string) (before, last string, ok bool) {
	i := strings.LastIndexAny(line, " \t")
	if i < 0 {
		return "", line, false
	}
	return strings.TrimRight(line[:i], " \t"), line[i+1:], true
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

// filled returns p with what it leaves open. Pixels are not normalised: a model
// that takes them does so itself.
func (p Preprocessing) filled(pixels bool) (Preprocessing, error) {
	switch given := p.Std != [3]float32{}; {
	case given && pixels:
		return p, fmt.Errorf("the model takes pixels of 0 to 255 and normalises them itself: leave mean and deviation out")
	case pixels:
		p.Std = [3]float32{1, 1, 1}
	case !given:
		p.Mean, p.Std = imageNetMean, imageNetStd
	}
	return p, nil
}

// maxAspect bounds how long a frame may be for its width: resizing takes memory
// by the longer side.
const maxAspect = 16

// appendFrame resizes, crops and normalises an image to 3·h·w values.
func (p Preprocessing) appendFrame(clip []float32, img image.Image, h, w int) ([]float32, error) {
	size := img.Bounds().Size()
	if size.X == 0 || size.Y == 0 {
		return nil, fmt.Errorf("the image is empty")
	}
	if max(size.X, size.Y) > maxAspect*min(size.X, size.Y) {
		return nil, fmt.Errorf("the image has %d×%d pixels; frames may be %d times as long as wide at most", size.X, size.Y, maxAspect)
	}
	short := p.Scale
	if short == 0 {
		short = max(h, w) * 256 / 224
	}
	sw, sh := short, short
	if size.X > size.Y {
		sw = size.X * short / size.Y
	} else {
		sh = size.Y * short / size.X
	}
	if sw < w || sh < h {
		return nil, fmt.Errorf("resized to %d×%d it does not cover the crop of %d×%d: choose a larger scale", sh, sw, h, w)
	}
	scaled := image.NewRGBA(image.Rect(0, 0, sw, sh))
	draw.BiLinear.Scale(scaled, scaled.Bounds(), img, img.Bounds(), draw.Src, nil)
	left, top := (sw-w)/2, (sh-h)/2
	for c := range 3 {
		source := c
		if p.BGR {
			source = 2 - c
		}
		for y := range h {
			row := scaled.Pix[scaled.PixOffset(left, top+y):]
			for x := range w {
				clip = append(clip, (float32(row[4*x+source])-p.Mean[source])/p.Std[source])
			}
		}
	}
	return clip, nil
}
