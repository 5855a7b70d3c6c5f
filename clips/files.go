package clips

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/afc-project/afc/clips/ffmpeg"
	"github.com/afc-project/afc/internal/regular"
)

// Files are videos in files, decoded by ffmpeg.
type Files struct {
	listed
	tool *ffmpeg.Tool
}

// Broken is a listed video that cannot be used, or not whole.
type Broken struct {
	Path   string
	Reason string
	Frames int // that decode and are used; 0: the video is left out
}

func (b Broken) String() string {
	if b.Frames > 0 {
		return fmt.Sprintf("%s: %d frames of it are used: %s", b.Path, b.Frames, b.Reason)
	}
	return fmt.Sprintf("%s: left out: %s", b.Path, b.Reason)
}

// endings are those of video files, in words.
var endings = strings.Join(ffmpeg.Formats, ", ")

// isVideoFile reports whether a path is named like a video.
func isVideoFile(path string) bool {
	return slices.Contains(ffmpeg.Formats, strings.ToLower(filepath.Ext(path)))
}

// ReadFiles lists the video files under root, and decodes each once to see how
// many frames it has: a count that a file's header gives is not always true.
func ReadFiles(ctx context.Context, root string, opt Options) (*Files, error) {
	tool, err := ffmpeg.Find()
	if err != nil {
		return nil, err
	}
	f := &Files{listed: listed{root: root, pre: opt.Preprocessing}, tool: tool}
	if f.sampling, err = opt.Sampling.filled(); err != nil {
		return nil, err
	}
	if err := f.list(opt); err != nil {
		return nil, err
	}
	if len(f.videos) == 0 {
		return nil, fmt.Errorf("%s: no videos: expected files that end in %s, in it or in CLASS folders of it, or an annotation list", root, endings)
	}
	if n := len(f.videos); opt.Most > 0 && opt.Most < n {
		thinned := make([]video, opt.Most)
		for i := range thinned {
			thinned[i] = f.videos[middle(i, opt.Most, n)]
		}
		f.videos = thinned
		f.notes = append(f.notes, fmt.Sprintf("spread over %d listed", n))
	}
	return f, f.survey(ctx, opt)
}

func (f *Files) list(opt Options) (err error) {
	switch {
	case opt.List != "":
		f.videos, f.notes, err = readFileList(f.root, opt.List, opt.ListOptions)
	case isVideoFile(f.root):
		f.videos = []video{{path: f.root}}
	default:
		f.videos, err = findFiles(f.root)
	}
	return err
}

// survey counts every file's frames, several files at once, and drops those that
// have none.
func (f *Files) survey(ctx context.Context, opt Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looked := make([]Broken, len(f.videos))
	next, done := make(chan int), make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(f.videos)) {
		workers.Go(func() {
			for i := range next {
				looked[i] = f.look(ctx, f.videos[i].path)
				done <- i
			}
		})
	}
	go func() {
		defer close(next)
		for i := range f.videos {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		workers.Wait()
		close(done)
	}()
	var fatal error
	seen := 0
	for i := range done {
		if seen++; opt.Progress != nil {
			opt.Progress(seen, len(f.videos))
		}
		if b := looked[i]; opt.Strict && b.Reason != "" && fatal == nil && ctx.Err() == nil {
			fatal = errors.New(b.Path + ": " + b.Reason)
			cancel()
		}
	}
	switch {
	case fatal != nil:
		return fatal
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return f.keep(looked, opt)
}

// look counts a file's frames.
func (f *Files) look(ctx context.Context, path string) Broken {
	b := Broken{Path: path}
	info, err := os.Stat(path)
	if err == nil {
		err = regular.Check(info)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		b.Reason = "there is no such file"
	case err != nil:
		b.Reason = err.Error()
	default:
		if b.Frames, b.Reason, err = f.tool.Count(ctx, path); err != nil {
			b.Reason = err.Error()
		}
	}
	return b
}

// keep leaves the videos that have frames, and tells of those that do not.
func (f *Files) keep(looked []Broken, opt Options) error {
	var kept []video
	var first *Broken
	lost, part := 0, 0
	for i, v := range f.videos {
		b := looked[i]
		if b.Reason != "" && opt.Broken != nil {
			opt.Broken(b)
		}
		switch {
		case b.Frames == 0:
			lost++
			if first == nil {
				first = &b
			}
			continue
		case b.Reason != "":
			part++
		}
		v.frames = b.Frames
		kept = append(kept, v)
	}
	if len(kept) == 0 {
		return fmt.Errorf("%s: none of %d videos can be read; the first: %s: %s", f.root, len(f.videos), first.Path, first.Reason)
	}
	f.videos = kept
	if lost > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%d left out that are missing or do not decode", lost))
	}
	if part > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%d with damage", part))
	}
	return nil
}

// Clip decodes the frames of clip i and prepares them.
func (f *Files) Clip(ctx context.Context, i int, form Form) ([]float32, error) {
	return f.clip(ctx, i, form, f.decode)
}

// decode has ffmpeg decode frames of a video.
func (f *Files) decode(ctx context.Context, v *video, numbers []int, visit func(i int, img image.Image) error) error {
	if err := f.tool.Frames(ctx, v.path, numbers, visit); err != nil {
		return fmt.Errorf("%s: %w", v.path, err)
	}
	return nil
}
