package ffmpeg

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

func tool(t *testing.T) *Tool {
	t.Helper()
	tool, err := Find()
	if err != nil {
		t.Skip(err)
	}
	return tool
}

const width, height, length = 36, 20, 23

// TestFrames: frames of lossless files are what was put in, pixel by pixel, and
// as many.
func TestFrames(t *testing.T) {
	tool := tool(t)
	frames := testutil.VideoFrames(length, width, height)
	for name, args := range map[string][]string{
		"ffv1.mkv": testutil.Lossless,
		"raw.avi":  {"-c:v", "rawvideo", "-pix_fmt", "bgr24"},
		"rgb.mp4":  {"-c:v", "libx264rgb", "-qp", "0", "-bf", "3", "-preset", "ultrafast"}, // frames in another order than shown
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			testutil.WriteVideo(t, path, width, height, frames, args...)
			if n, complaint, err := tool.Count(t.Context(), path); n != length || complaint != "" || err != nil {
				t.Errorf("%d frames, want %d (%q, %v)", n, length, complaint, err)
			}
			numbers := []int{0, 1, 7, 20, length - 1}
			seen := 0
			err := tool.Frames(t.Context(), path, numbers, func(i int, img image.Image) error {
				if i != seen {
					t.Errorf("frame %d comes at %d", i, seen)
				}
				seen++
				if at := difference(img, frames[numbers[i]]); at != "" {
					t.Errorf("frame %d: %s", numbers[i], at)
				}
				return nil
			})
			if err != nil || seen != len(numbers) {
				t.Errorf("%d of %d frames: %v", seen, len(numbers), err)
			}
		})
	}
}

// difference says where an image is not the pixels, "" if nowhere.
func difference(img image.Image, pixels []byte) string {
	if img.Bounds() != image.Rect(0, 0, width, height) {
		return "it is " + img.Bounds().String()
	}
	for i := range width * height {
		r, g, b, _ := img.At(i%width, i/width).RGBA()
		if got := []byte{byte(r >> 8), byte(g >> 8), byte(b >> 8)}; !bytes.Equal(got, pixels[3*i:3*i+3]) {
			return "pixel " + image.Pt(i%width, i/width).String() + " differs"
		}
	}
	return ""
}

// TestVariableRate: frames that stand for different times count once each.
func TestVariableRate(t *testing.T) {
	tool := tool(t)
	path := filepath.Join(t.TempDir(), "v.mkv")
	args := append([]string{"-vf", "select='lt(n,5)+gt(n,15)'", "-fps_mode", "passthrough"}, testutil.Lossless...)
	testutil.WriteVideo(t, path, width, height, testutil.VideoFrames(length, width, height), args...)
	if n, _, err := tool.Count(t.Context(), path); n != 12 || err != nil {
		t.Errorf("%d frames, want 12: %v", n, err)
	}
}

// TestDamaged: what decodes of a file that breaks off counts, and is complained
// about; one of which nothing decodes is an error.
func TestDamaged(t *testing.T) {
	tool := tool(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "v.mkv")
	testutil.WriteVideo(t, path, width, height, testutil.VideoFrames(length, width, height), testutil.Lossless...)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) / 20 { // a hole in the middle
		raw[len(raw)/2+i] = 0xa5
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	n, complaint, err := tool.Count(t.Context(), path)
	if n == 0 || complaint == "" || err != nil || strings.Contains(complaint, "0x") && strings.Contains(complaint, " @ ") {
		t.Errorf("%d frames, complaint %q, %v", n, complaint, err)
	}
	for name, raw := range map[string][]byte{
		"empty.mp4": nil, "text.mp4": []byte("no video"), "zeros.avi": make([]byte, 4096),
		"cut.mkv": raw[:300],
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if n, complaint, err := tool.Count(t.Context(), path); err == nil {
			t.Errorf("%s has %d frames (%q)", name, n, complaint)
		}
	}
	if err := tool.Frames(t.Context(), path, []int{length + 5}, func(int, image.Image) error { return nil }); err == nil {
		t.Error("a frame behind the end is read")
	}
}

// TestHostileNames: names are files, whatever they look like, and files lead to
// no others.
func TestHostileNames(t *testing.T) {
	tool := tool(t)
	dir := t.TempDir()
	t.Chdir(dir)
	frames := testutil.VideoFrames(length, width, height)
	testutil.WriteVideo(t, "v.mkv", width, height, frames, testutil.Lossless...)
	for _, name := range []string{"-y.mkv", "concat:v.mkv", "http:x.mkv", "pipe:0.mkv", "a b;c'd\".mkv", "%d.mkv", "file:v.mkv"} {
		raw, err := os.ReadFile("v.mkv")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if n, _, err := tool.Count(t.Context(), name); n != length || err != nil {
			t.Errorf("%s: %d frames, %v", name, n, err)
		}
	}
	for name, text := range map[string]string{
		"concat.mkv": "ffconcat version 1.0\nfile v.mkv\n",
		"list.mp4":   "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nv.mkv\n#EXT-X-ENDLIST\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if n, _, err := tool.Count(t.Context(), name); err == nil {
			t.Errorf("%s, a list of other files, has %d frames", name, n)
		}
	}
	for _, name := range []string{"concat:v.mkv|v.mkv", "v.mkv|", "http://127.0.0.1:9/v.mkv"} {
		if n, _, err := tool.Count(t.Context(), name); err == nil {
			t.Errorf("%s is read as %d frames", name, n)
		}
	}
}

// TestVisitFails: the caller's error ends the decoding, and comes back.
func TestVisitFails(t *testing.T) {
	tool := tool(t)
	path := filepath.Join(t.TempDir(), "v.mkv")
	testutil.WriteVideo(t, path, width, height, testutil.VideoFrames(length, width, height), testutil.Lossless...)
	stop := errors.New("stop")
	if err := tool.Frames(t.Context(), path, []int{1, 2, 3}, func(int, image.Image) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var missing *MissingError
	if _, err := Find(); !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt install ffmpeg") || !strings.Contains(err.Error(), "img_%05d.jpg") {
		t.Errorf("got %v", err)
	}
}

func TestPassthrough(t *testing.T) {
	for text, want := range map[string]string{
		"ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright": "-vsync", "ffmpeg version 5.0 C": "-vsync", "ffmpeg version n5.1 C": "-fps_mode",
		"ffmpeg version 7.1.1 C": "-fps_mode", "ffmpeg version N-119000-g0123 C": "-fps_mode", "": "-fps_mode",
	} {
		if got := passthroughOf(text); got[0] != want {
			t.Errorf("%q: %s, want %s", text, got[0], want)
		}
	}
}

func TestPPM(t *testing.T) {
	good := "P6\n2 1\n255\n\n b\x00\xff\x20"
	r := bufio.NewReader(strings.NewReader(good + good))
	for range 2 {
		img, err := readPPM(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := []byte{'\n', ' ', 'b', 255, 0, 255, ' ', 255}; !slices.Equal(img.(*image.RGBA).Pix, want) {
			t.Errorf("pixels %v, want %v", img.(*image.RGBA).Pix, want)
		}
	}
	if _, err := readPPM(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for _, bad := range []string{"P6", "P5\n2 1\n255\n123456", "P6\n2 1\n65535\n123456", "P6\n0 1\n255\n", "P6\n-1 -1\n255\n", "P6\n2 1\n255\n12345", "P6\n99999999 99999999\n255\n"} {
		if _, err := readPPM(bufio.NewReader(strings.NewReader(bad))); err == nil || err == io.EOF {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

var large = regexp.MustCompile(`[0-9+]{4}`)

// FuzzPPM: whatever the stream, an error or an image.
func FuzzPPM(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\n123456"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if large.Match(raw) { // images of such sizes are meant to take memory
			return
		}
		if img, err := readPPM(bufio.NewReader(bytes.NewReader(raw))); err == nil && img.Bounds().Empty() {
			t.Error("an empty image")
		}
	})
}
