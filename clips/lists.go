package clips

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/internal/regular"
)

// ListOptions say how the lines of an annotation list are read.
type ListOptions struct {
	// Offset: a first number is where a video's frames start, "path offset
	// frames label" (mmaction2's with_offset).
	Offset bool
	// Anywhere lets lines name videos outside of the folder of videos.
	Anywhere bool
	// Labels is a file that numbers classes by name: a JSON object, as
	// Something-Something's, or a name a line, from 0 on. "": a list of names
	// numbers them in the order of the alphabet.
	Labels string
	// Subset is the part of a data set that is taken, as its list calls it
	// ("validation"); "": all of it.
	Subset string
}

// video is one line of a list: a folder of frames, or a file.
type video struct {
	path   string
	first  int // number of its first frame; −1: to be found out
	frames int
	labels []int // none where the list tells none
	line   int   // of the list, 0 without one
}

func readList(root, list string, opt ListOptions) ([]video, error) {
	if opt.Labels != "" || opt.Subset != "" {
		return nil, fmt.Errorf("%s: its lines hold numbers of classes and no subsets: a file of labels and a subset are for lists of names", list)
	}
	file, err := regular.Open(list)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseList(file, root, list, opt, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// maxFrames is more than any video has: a year of them takes 10⁹.
const maxFrames = 1 << 30

// maxNumbers bounds the labels of a line.
const maxNumbers = 1 << 10

// What lists may begin with.
const (
	byteOrderMark = "\ufeff"
	utf16Big      = "\xfe\xff"
	utf16Little   = "\xff\xfe"
)

// listForm is how the lines of a list are written.
const listForm = "path frames label"

// parseList reads the list that file list holds: a line a video, "path frames
// label", fields apart by spaces, tabs or commas, labels none, one or several.
// Empty lines, comments (#) and a header line are passed over. Which of a line's
// numbers belong to a path with spaces is told by the path that exists.
func parseList(r io.Reader, root, list string, opt ListOptions, exists func(path string) bool) ([]video, error) {
	var videos []video
	n, first := 0, true
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		n++
		if text := lines.Text(); n == 1 && (strings.HasPrefix(text, utf16Big) || strings.HasPrefix(text, utf16Little)) {
			return nil, fmt.Errorf("%s: is written in UTF-16: save it as UTF-8", list)
		}
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), byteOrderMark))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if first && isHeader(line) {
			first = false
			continue
		}
		first = false
		v, err := parseLine(line, root, opt, exists)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %.200q: %w", list, n, line, err)
		}
		v.line = n
		videos = append(videos, v)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: a line of more than %d bytes", list, n+1, bufio.MaxScanTokenSize)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", list, n+1, err)
	}
	return videos, nil
}

// columns are the words that header lines are made of.
var columns = regexp.MustCompile(`^(?i)"?(path|file|filename|file_?name|video|video_?id|video_?path|frame_?dir|folder|dir|name|id|frames?|num_?frames|n_?frames|total_?frames|offset|start|labels?|class|class_?id|category|split)"?$`)

// isHeader reports whether a line names columns.
func isHeader(line string) bool {
	fields := splitFields(line)
	return len(fields) > 1 && !slices.ContainsFunc(fields, func(f string) bool { return !columns.MatchString(f) })
}

// splitFields cuts a line at its commas, or else at its blanks.
func splitFields(line string) []string {
	if strings.Contains(line, ",") {
		fields := strings.Split(line, ",")
		for i, f := range fields {
			fields[i] = strings.TrimSpace(f)
		}
		return fields
	}
	return strings.Fields(line)
}

var errMixed = errors.New("a video file in a list of folders of frames: make two lists of it")

func parseLine(line, root string, opt ListOptions, exists func(string) bool) (video, error) {
	form := listForm
	if opt.Offset {
		form = "path offset frames label"
	}
	rests, numbers := trailing(line)
	if len(numbers) == 0 {
		if isVideoFile(line) || isVideoFile(splitFields(line)[0]) {
			return video{}, errMixed
		}
		return video{}, fmt.Errorf("expected %q, found no number of frames", form)
	}
	if isVideoFile(rests[len(rests)-1]) {
		return video{}, errMixed
	}
	// All numbers belong behind the path, unless a longer path exists.
	least := 1
	if opt.Offset {
		least = 2
	}
	k := len(numbers)
	for take := len(numbers); take >= least; take-- {
		if path, err := place(root, rests[take-1], opt); err == nil && exists(path) {
			k = take
			break
		}
	}
	path, err := place(root, rests[k-1], opt)
	if err != nil {
		return video{}, err
	}
	numbers = numbers[len(numbers)-k:]
	v := video{path: path, first: -1}
	if opt.Offset {
		if k < least {
			return video{}, fmt.Errorf("expected %q", form)
		}
		v.first, numbers = numbers[0], numbers[1:]
	}
	if v.frames = numbers[0]; v.frames < 1 {
		hint := ""
		if !opt.Offset && len(numbers) > 2 {
			hint = "; if the first number is where the frames start, say so with --list-offset"
		}
		return video{}, fmt.Errorf("expected %q, found %d frames behind %.80q%s", form, v.frames, rests[len(numbers)-1], hint)
	}
	v.labels = numbers[1:]
	return v, nil
}

// trailing returns the numbers that end a line, in its order, and what stands
// before the last one, the last two and so on.
func trailing(line string) (rests []string, numbers []int) {
	sep := " \t"
	if strings.Contains(line, ",") {
		sep = ","
	}
	for rest := line; len(numbers) < maxNumbers; {
		i := strings.LastIndexAny(rest, sep)
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(strings.TrimSpace(rest[i+1:]))
		if err != nil || n < 0 || n > maxFrames {
			break
		}
		rest = strings.TrimSpace(rest[:i])
		rests, numbers = append(rests, rest), append(numbers, n)
	}
	slices.Reverse(numbers)
	return rests, numbers
}

// place is where a listed path leads.
func place(root, path string, opt ListOptions) (string, error) {
	path = strings.Trim(path, `"`)
	switch {
	case path == "":
		return "", fmt.Errorf("names no path")
	case filepath.IsLocal(path):
		return filepath.Join(root, path), nil
	case !opt.Anywhere:
		return "", fmt.Errorf("%q leads out of %s; allow it with --list-anywhere", path, root)
	case filepath.IsAbs(path):
		return path, nil
	}
	return filepath.Join(root, path), nil
}
