package clips

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Options say which videos of a folder are read, and how.
type Options struct {
	// List is an annotation file, paths relative to the folder: lines "path frames
	// label" for folders of frames; for video files lines "path label", Kinetics'
	// .csv, or Something-Something's or ActivityNet's .json. "": every CLASS/VIDEO,
	// classes numbered in the order of their names.
	List string
	ListOptions
	Sampling
	Preprocessing

	// Of folders of frames.

	Template string // of frames' names; "": FrameTemplate
	// First is the number of a video's first frame; nil: 1, or 0 where there is a
	// frame of that number and the list leaves no other way.
	First *int

	// Of video files.

	// Strict makes errors of files that are missing, or do not decode whole.
	Strict bool
	// Most is how many files are looked at, spread evenly over the list; 0: all.
	Most int
	// Broken is told of each file that is left out or breaks off, in the order of
	// the list; nil: nobody.
	Broken func(Broken)
	// Progress is told how many files were looked at; nil: nobody.
	Progress func(done, total int)
}

// Read lists the videos of a folder, of frames or of video files, or the one of
// a video file.
func Read(ctx context.Context, root string, opt Options) (Videos, error) {
	files, err := areFiles(root, opt)
	if err != nil {
		return nil, err
	}
	if !files {
		return ReadFrames(root, opt)
	}
	if opt.Template != "" && opt.Template != FrameTemplate || opt.First != nil {
		return nil, fmt.Errorf("%s holds video files: names and numbers of frames are for folders of frames", root)
	}
	return ReadFiles(ctx, root, opt)
}

// areFiles reports whether the videos are files, not folders of frames.
func areFiles(root string, opt Options) (bool, error) {
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return false, err
	case !info.IsDir() && opt.List != "":
		return false, fmt.Errorf("%s is a file: a list goes with a folder", root)
	case !info.IsDir() && !isVideoFile(root):
		return false, fmt.Errorf("%s is no video: expected a folder, or a file that ends in %s", root, endings)
	case !info.IsDir():
		return true, nil
	case opt.List != "":
		return listsFiles(opt.List)
	}
	found, err := findFiles(root)
	return len(found) > 0, err
}

// findFiles lists the video files of a folder and of the folders in it, whose
// classes are numbered in the order of their names.
func findFiles(root string) ([]video, error) {
	found, err := filesIn(root, nil)
	if err != nil {
		return nil, err
	}
	classes, err := folders(root)
	if err != nil {
		return nil, err
	}
	for label, class := range classes {
		more, err := filesIn(filepath.Join(root, class), []int{label})
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func filesIn(dir string, labels []int) (found []video, err error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() && isVideoFile(e.Name()) {
			found = append(found, video{path: filepath.Join(dir, e.Name()), labels: labels})
		}
	}
	return found, nil
}
