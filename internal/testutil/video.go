package testutil

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Lossless are ffmpeg's arguments for a video that decodes to the pixels that
// were put in.
var Lossless = []string{"-c:v", "ffv1", "-pix_fmt", "bgr0"}

// WriteVideo writes frames of RGB pixels as a video file, encoded as the
// arguments for ffmpeg say. It skips the test where there is no ffmpeg.
func WriteVideo(t testing.TB, path string, w, h int, frames [][]byte, args ...string) {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed (apt install ffmpeg)")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	input := []string{"-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", fmt.Sprintf("%dx%d", w, h), "-r", "25", "-i", "pipe:0"}
	cmd := exec.Command(program, append(append(input, args...), "file:"+path)...)
	cmd.Stdin = bytes.NewReader(bytes.Join(frames, nil))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// VideoFrames makes n frames of w×h pixels, no two alike.
func VideoFrames(n, w, h int) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = make([]byte, 3*w*h)
		for k := range frames[i] {
			frames[i][k] = byte(k*k/7 + 31*i + k*i)
		}
	}
	return frames
}
