package ffmpeg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Tool is ffmpeg as it is installed.
type Tool struct {
	Path    string
	Version string // as it calls itself

	passthrough []string // options that keep frames as they are, neither doubled nor dropped
}

// MissingError says that ffmpeg is not there, or does not run.
type MissingError struct{ Reason string }

func (e *MissingError) Error() string {
	return e.Reason + "; install it (apt install ffmpeg, brew install ffmpeg), or unpack the frames where it is: " + Unpack
}

// Unpack is the command that makes frames of a video file, as they are read.
const Unpack = "mkdir -p FRAMES/CLASS/NAME && ffmpeg -i NAME.mp4 -q:v 2 FRAMES/CLASS/NAME/img_%05d.jpg"

// Find looks for ffmpeg where programs are.
func Find() (*Tool, error) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, &MissingError{"video files are read through ffmpeg, which is not installed"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-version").Output()
	if err != nil {
		return nil, &MissingError{fmt.Sprintf("video files are read through ffmpeg, and %s does not run (%v)", path, err)}
	}
	return &Tool{path, versionOf(string(out)), passthroughOf(string(out))}, nil
}

var numbered = regexp.MustCompile(`^ffmpeg version n?(\d+)\.(\d+)`)

// versionOf is the third word of what ffmpeg -version prints.
func versionOf(text string) string {
	if words := strings.Fields(text); len(words) > 2 {
		return words[2]
	}
	return "unknown"
}

// passthroughOf spells the option that 5.1 renamed; builds without a number are
// taken for newer ones.
func passthroughOf(text string) []string {
	if m := numbered.FindStringSubmatch(text); m != nil {
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if major < 5 || major == 5 && minor < 1 {
			return []string{"-vsync", "passthrough"}
		}
	}
	return []string{"-fps_mode", "passthrough"}
}

// Formats are the endings of files that are taken for videos.
var Formats = []string{".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v"}

const (
	// demuxers read those formats. Others, such as playlists, name further files.
	demuxers = "mov,matroska,avi"
	// maxPixels bounds the memory of a frame; 8K has 33 million.
	maxPixels = "67108864"
	// maxComplaint is how much of what ffmpeg complains about is kept, in bytes.
	maxComplaint = 2000
)

// input are the arguments in front of all others: one thread, complaints alone,
// no terminal, and of protocols that of files, which the name has in front, so
// that it is read as nothing else.
func input(path string) []string {
	return []string{
		"-nostdin", "-hide_banner", "-v", "error", "-threads", "1", "-filter_threads", "1",
		"-protocol_whitelist", "file", "-format_whitelist", demuxers, "-max_pixels", maxPixels,
		"-i", "file:" + path, "-map", "0:V:0", "-an", "-sn", "-dn",
	}
}

// run runs ffmpeg on a file and shows read what it writes. It returns what
// ffmpeg complained about; read's error wins over ffmpeg's.
func (t *Tool) run(ctx context.Context, path string, args []string, read func(io.Reader) error) (complaint string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Path, append(input(path), args...)...)
	cmd.WaitDelay = 5 * time.Second
	var said limited
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", &MissingError{err.Error()}
	}
	err = read(out)
	if err != nil {
		cancel()
	}
	_, _ = io.Copy(io.Discard, out) // so that ffmpeg ends by itself
	failed := cmd.Wait()
	switch complaint = said.text(path); {
	case err != nil:
		return complaint, err
	case ctx.Err() != nil:
		return complaint, ctx.Err()
	case failed != nil && complaint != "":
		return complaint, fmt.Errorf("%s", complaint)
	}
	return complaint, failed
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxComplaint - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

var address = regexp.MustCompile(`^\[[^\]]* @ 0x[0-9a-f]+\] *`)

// text is the first line, without the file's name and without addresses of
// memory, which differ from run to run.
func (l *limited) text(path string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(l.String()), "\n")
	for address.MatchString(line) {
		line = address.ReplaceAllString(line, "")
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "file:"+path+": "))
}
