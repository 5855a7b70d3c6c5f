package clips

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/afc-project/afc/internal/regular"
)

func readAnnotations(root, list string) ([]frameFolder, error) {
	file, err := regular.Open(list)
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
