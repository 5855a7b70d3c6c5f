package clips

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil/bounds"
)

// FuzzAnnotations: whatever the list, an error or videos that can be used.
func FuzzAnnotations(f *testing.F) {
	f.Add("jump/a b 12 7\n\nrun/c 4 3\n")
	f.Add("\ufeffpath,frames,label\n# no\na,12,7,3\nb 0 12 1")
	f.Add("/abs 1 0\r\n\t\t 1 1")
	f.Add("a 9223372036854775807 1\nb 1073741824 1") // so many overflow
	f.Fuzz(func(t *testing.T, list string) {
		bounds.Hold(t, len(list), func() {
			opt := ListOptions{Offset: len(list)%2 == 1, Anywhere: len(list)%3 == 1}
			videos, err := parseList(strings.NewReader(list), "root", "list", opt, func(path string) bool { return len(path)%2 == 0 })
			if err != nil {
				_ = err.Error()
				return
			}
			for _, v := range videos {
				if v.frames < 1 || v.first < -1 || slices.ContainsFunc(v.labels, func(l int) bool { return l < 0 }) {
					t.Errorf("%+v", v)
				}
				if rest, inside := strings.CutPrefix(v.path, "root"); !opt.Anywhere && (!inside || !filepath.IsLocal("root"+rest)) {
					t.Errorf("%q leads out of the root", v.path)
				}
				for _, segments := range []int{1, 8, 100} {
					if m := middle(segments-1, segments, v.frames); m < 0 || m >= v.frames {
						t.Errorf("%d frames: frame %d is in the middle of the last of %d segments", v.frames, m, segments)
					}
				}
			}
		})
	})
}

// FuzzFrame: whatever the image, an error or a frame.
func FuzzFrame(f *testing.F) {
	for _, raw := range images(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		bounds.Hold(t, len(raw), func() {
			img, err := decodeImage(raw)
			if err != nil {
				return
			}
			clip, err := frameOf(Preprocessing{Scale: 9}, img, 8, 8, middleCrop(8, 8))
			if err == nil && len(clip) != 3*8*8 {
				t.Errorf("a frame of %d values", len(clip))
			}
		})
	})
}

// images are small ones of every kind that the standard library writes, and one
// from elsewhere.
func images(t testing.TB) [][]byte {
	raw, err := os.ReadFile("testdata/pillow/frame.png")
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{raw}
	r := image.Rect(0, 0, 12, 9)
	palette := color.Palette{color.Black, color.White}
	for _, img := range []image.Image{image.NewRGBA(r), image.NewNRGBA64(r), image.NewGray(r), image.NewGray16(r), image.NewPaletted(r, palette)} {
		var p, j bytes.Buffer
		if err := png.Encode(&p, img); err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(&j, img, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Bytes(), j.Bytes())
	}
	return all
}

// TestImageBombs changes the size that small images state to the largest there
// is: they must be refused before anything is allocated for their pixels.
func TestImageBombs(t *testing.T) {
	for _, raw := range images(t) {
		bombs := [][]byte{}
		if i := bytes.Index(raw, []byte("IHDR")); i >= 0 {
			for _, interlace := range []byte{0, 1} {
				b := bytes.Clone(raw)
				binary.BigEndian.PutUint64(b[i+4:], 1<<48|1<<16) // 65536×65536
				b[i+16] = interlace
				binary.BigEndian.PutUint32(b[i+17:], crc32.ChecksumIEEE(b[i:i+17]))
				bombs = append(bombs, b)
			}
		}
		for _, frame := range []byte{0xc0, 0xc2} { // baseline, progressive
			if i := bytes.Index(raw, []byte{0xff, 0xc0}); i >= 0 {
				b := bytes.Clone(raw)
				b[i+1] = frame
				binary.BigEndian.PutUint32(b[i+5:], 1<<32-1) // 65535×65535
				bombs = append(bombs, b)
			}
		}
		if len(bombs) == 0 {
			t.Fatal("neither PNG nor JPEG")
		}
		for _, b := range bombs {
			bounds.Hold(t, len(b), func() {
				if _, err := decodeImage(b); err == nil || !strings.Contains(err.Error(), "far more than its size") {
					t.Errorf("%.16q…: %v", b, err)
				}
			})
		}
	}
	if _, err := frameOf(Preprocessing{}, image.NewGray(image.Rect(0, 0, 65535, 1)), 224, 224, middleCrop(224, 224)); err == nil || !strings.Contains(err.Error(), "65535×1") {
		t.Errorf("an image of one line: %v", err)
	}
}

// TestAnnotationLineTooLong: a line that is not read must not end the list in
// silence.
func TestAnnotationLineTooLong(t *testing.T) {
	list := "a 1 1\n" + strings.Repeat("x", 1<<17) + " 1 1\nb 1 1\n"
	if _, err := parseList(strings.NewReader(list), "root", "list", ListOptions{}, func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), "list:2: ") {
		t.Errorf("got %v, want an error at line 2", err)
	}
}
