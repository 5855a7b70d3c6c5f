package clips

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sbinet/npyio/npz"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
)

func TestMiddle(t *testing.T) {
	// What TSN's and mmaction2's test samplers give: floor(tick/2 + tick·t).
	for _, tt := range []struct {
		segments, length int
		want             []int
	}{
		{8, 8, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{3, 30, []int{5, 15, 25}},
		{8, 20, []int{1, 3, 6, 8, 11, 13, 16, 18}},
		{4, 2, []int{0, 0, 1, 1}},
	} {
		var got []int
		for s := range tt.segments {
			got = append(got, middle(s, tt.segments, tt.length))
		}
		if !cmp.Equal(got, tt.want) {
			t.Errorf("%d segments of %d frames: %v, want %v", tt.segments, tt.length, got, tt.want)
		}
	}
}

func TestRandom(t *testing.T) {
	clip := func(r Random, i, frames int) []float32 {
		c, err := r.Clip(t.Context(), i, Form{Frames: frames, Channels: 3, Height: 4, Width: 5})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	r := Random{Count: 2, Seed: 1}
	a := clip(r, 0, 8)
	if len(a) != 8*3*4*5 || !cmp.Equal(a, clip(r, 0, 8)) {
		t.Error("the same clip is not the same")
	}
	if cmp.Equal(a, clip(r, 1, 8)) || cmp.Equal(a, clip(Random{Count: 2, Seed: 2}, 0, 8)) {
		t.Error("another video or seed gives the same clip")
	}
	// The first segment of 4 and the second of 12 both have frame 12 in the middle.
	if b := clip(r, 0, 4); !cmp.Equal(b[:60], clip(r, 0, 12)[60:120]) {
		t.Error("clips of 4 and 12 frames do not share the video's frame 12")
	}
	for _, x := range clip(Random{Distribution: Uniform}, 0, 4) {
		if x < 0 || x >= 1 {
			t.Fatalf("uniform pixel %g", x)
		}
	}
	for _, d := range []Distribution{Normal, Uniform} {
		pixels, err := Random{Distribution: d}.Clip(t.Context(), 0, Form{Frames: 4, Channels: 2, Height: 8, Width: 8, Pixels: true})
		if err != nil {
			t.Fatal(err)
		}
		if low, high := slices.Min(pixels), slices.Max(pixels); len(pixels) != 4*2*64 || low < 0 || low > 40 || high > 255 || high < 200 {
			t.Errorf("%s: %d pixels of %g to %g", d, len(pixels), low, high)
		}
		if _, err := clipTensor(graph.Uint8, []int64{int64(len(pixels))}, pixels); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	if _, err := (Random{Distribution: "odd"}).Clip(t.Context(), 0, Form{Frames: 1, Channels: 3, Height: 1, Width: 1}); err == nil {
		t.Error("an unknown distribution is not refused")
	}
}

// writeFrame writes a frame of one colour.
func writeFrame(t *testing.T, path string, w, h int, c color.RGBA) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetRGBA(i%w, i/w, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const pngTemplate = "img_%05d.png"

// frameTree writes two classes; the red of frame n is n.
func frameTree(t *testing.T) string {
	root := t.TempDir()
	for _, v := range []struct {
		path   string
		frames int
	}{{"jump/a b", 12}, {"run/c", 4}} {
		for n := 1; n <= v.frames; n++ {
			writeFrame(t, filepath.Join(root, v.path, fmt.Sprintf(pngTemplate, n)), 20, 10, color.RGBA{uint8(n), 100, 200, 255})
		}
	}
	return root
}

func TestFrames(t *testing.T) {
	root := frameTree(t)
	list := filepath.Join(root, "list.txt")
	if err := os.WriteFile(list, []byte("jump/a b 12 7\n\nrun/c 4 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, labels := range map[string][]int{list: {7, 3}, "": {0, 1}} {
		f, err := ReadFrames(root, Options{List: name, Template: pngTemplate, Preprocessing: Preprocessing{Scale: 8}})
		if err != nil {
			t.Fatal(err)
		}
		if f.Len() != 2 || !cmp.Equal([]int{f.Label(0), f.Label(1)}, labels) {
			t.Errorf("list %q: %d videos, labels %d, %d; want %v", name, f.Len(), f.Label(0), f.Label(1), labels)
		}
		clip, err := f.Clip(t.Context(), 0, Form{Frames: 3, Channels: 3, Height: 8, Width: 8})
		if err != nil {
			t.Fatal(err)
		}
		// Segments of four frames: their middles are frames 3, 7 and 11.
		for i, n := range []float64{3, 7, 11} {
			want := [3]float64{(n - 123.675) / 58.395, (100 - 116.28) / 57.12, (200 - 103.53) / 57.375}
			for c := range 3 {
				for k := range 64 {
					if got := clip[(3*i+c)*64+k]; math.Abs(float64(got)-want[c]) > 1e-6 {
						t.Fatalf("segment %d, channel %d, pixel %d: %g, want %g", i, c, k, got, want[c])
					}
				}
			}
		}
	}
}

// TestFramesAsPixels: a network that takes pixels normalises them itself.
func TestFramesAsPixels(t *testing.T) {
	root := frameTree(t)
	form := Form{Frames: 3, Channels: 3, Height: 8, Width: 8, Pixels: true}
	f, err := ReadFrames(root, Options{Template: pngTemplate, Preprocessing: Preprocessing{Scale: 8}})
	if err != nil {
		t.Fatal(err)
	}
	clip, err := f.Clip(t.Context(), 0, form)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{3, 100, 200}; clip[0] != want[0] || clip[64] != want[1] || clip[128] != want[2] {
		t.Errorf("the first frame is %g, %g, %g; want %g", clip[0], clip[64], clip[128], want)
	}
	if f, err = ReadFrames(root, Options{Template: pngTemplate, Preprocessing: Preprocessing{Scale: 8, Std: [3]float32{1, 1, 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Clip(t.Context(), 0, form); err == nil || !strings.Contains(err.Error(), "normalises them itself") {
		t.Errorf("a deviation for pixels: %v", err)
	}
	form.Channels = 10
	if _, err := f.Clip(t.Context(), 0, form); err == nil || !strings.Contains(err.Error(), "frames of 10 channels") {
		t.Errorf("images for optical flow: %v", err)
	}
}

// middleCrop places crops of h×w.
func middleCrop(h, w int) func(height, width int) cutout {
	return func(height, width int) cutout { return Sampling{Crops: 1}.crop(0, height, width, h, w) }
}

func TestPreprocessing(t *testing.T) {
	// Left half black, right half white: the crop of the middle has both.
	img := image.NewRGBA(image.Rect(0, 0, 32, 16))
	for i := range 32 * 16 {
		v := uint8(255 * (i % 32 / 16))
		img.SetRGBA(i%32, i/32, color.RGBA{v, v / 2, 0, 255})
	}
	pre := Preprocessing{Scale: 16, Std: [3]float32{1, 1, 1}, BGR: true}
	got, err := frameOf(pre, img, 16, 16, middleCrop(16, 16))
	if err != nil {
		t.Fatal(err)
	}
	// B is 0 throughout, then G, then R; columns 8 on are white.
	for _, tt := range []struct {
		channel, column int
		want            float32
	}{{0, 0, 0}, {0, 15, 0}, {1, 0, 0}, {1, 15, 127}, {2, 7, 0}, {2, 8, 255}} {
		if g := got[tt.channel*256+5*16+tt.column]; g != tt.want {
			t.Errorf("channel %d, column %d: %g, want %g", tt.channel, tt.column, g, tt.want)
		}
	}
	if _, err := frameOf(pre, img, 17, 17, middleCrop(17, 17)); err == nil || !strings.Contains(err.Error(), "larger scale") {
		t.Errorf("a crop larger than the image: %v", err)
	}
}

// TestPreprocessingPillow holds resizing to Pillow's, to one level of 255.
func TestPreprocessingPillow(t *testing.T) {
	img, err := readImage("testdata/pillow/frame.png")
	if err != nil {
		t.Fatal(err)
	}
	got, err := frameOf(Preprocessing{Scale: 28, Std: [3]float32{1, 1, 1}}, img, 24, 24, middleCrop(24, 24))
	if err != nil {
		t.Fatal(err)
	}
	want, err := numpy.ReadFile("testdata/pillow/crop.npy")
	if err != nil {
		t.Fatal(err)
	}
	pixels, err := want[0].Tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(pixels) {
		t.Fatalf("%d values, want %d", len(got), len(pixels))
	}
	for i, v := range pixels {
		if d := math.Abs(float64(got[i] - v)); !(d <= 1) {
			t.Errorf("value %d: %g, Pillow has %g", i, got[i], v)
		}
	}
}

func TestFramesRefused(t *testing.T) {
	root := frameTree(t)
	list := filepath.Join(root, "list.txt")
	for _, bad := range []string{"jump/a", "jump/a 0 1", "jump/a 3 -1"} {
		if err := os.WriteFile(list, []byte("run/c 4 3\n"+bad+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFrames(root, Options{List: list}); err == nil || !strings.Contains(err.Error(), "list.txt:2:") {
			t.Errorf("line %q: %v", bad, err)
		}
	}
	if _, err := ReadFrames(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "no videos") {
		t.Errorf("an empty folder: %v", err)
	}
	f, err := ReadFrames(root, Options{Template: pngTemplate})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "run/c", "img_00001.png"), []byte("not an image"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Clip(t.Context(), 1, Form{Frames: 4, Channels: 3, Height: 8, Width: 8}); err == nil || !strings.Contains(err.Error(), "img_00001.png") {
		t.Errorf("a broken frame: %v", err)
	}
}

func TestArrays(t *testing.T) {
	values := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)
		}
		return v
	}
	path := filepath.Join(t.TempDir(), "clips.npz")
	w, err := npz.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write("labels", []int64{5, 6}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadArrays(path, Form{Frames: 4, Channels: 3}, nil); err == nil || !strings.Contains(err.Error(), "no array of clips") {
		t.Errorf("an archive without clips: %v", err)
	}

	for _, dims := range [][]int64{{2, 4, 3, 2, 2}, {2, 12, 2, 2}, {8, 3, 2, 2}} {
		a := &Arrays{path: "x.npy"}
		if err := a.take(graph.Float32s(dims, values(96)...), Form{Frames: 4, Channels: 3}, nil); err != nil {
			t.Fatalf("%v: %v", dims, err)
		}
		if a.count != 2 || a.frames != 4 || a.h != 2 || a.w != 2 {
			t.Errorf("%v is %d clips of %d frames of %d×%d", dims, a.count, a.frames, a.h, a.w)
		}
		clip, err := a.Clip(t.Context(), 1, Form{Frames: 2, Channels: 3, Height: 2, Width: 2})
		if err != nil {
			t.Fatal(err)
		}
		// Clip 1 starts at 48; frames 1 and 3 of its four, 12 values each.
		if clip[0] != 48+12 || clip[12] != 48+36 {
			t.Errorf("%v: clip 1 begins frames with %g and %g, want 60 and 84", dims, clip[0], clip[12])
		}
		if _, err := a.Clip(t.Context(), 0, Form{Frames: 4, Channels: 3, Height: 3, Width: 3}); err == nil {
			t.Errorf("%v: frames of another size are not refused", dims)
		}
	}
	pixels, err := graph.NewTensor(graph.Uint8, []int64{1, 4, 3, 2, 2}, make([]byte, 48))
	if err != nil {
		t.Fatal(err)
	}
	for _, taken := range []bool{true, false} { // by the network as they are
		a := &Arrays{path: "x.npy"}
		if err := a.take(pixels, Form{Frames: 4, Channels: 3, Pixels: taken}, nil); err != nil || strings.Contains(a.String(), "not normalised") == taken {
			t.Errorf("network of pixels %v: %v: %s", taken, err, a)
		}
	}
	for _, dims := range [][]int64{{2, 4, 4, 3, 2}, {9, 3, 2, 2}, {2, 4, 3, 4}, {0, 4, 3, 2, 2}} {
		a := &Arrays{}
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		if err := a.take(graph.Float32s(dims, values(int(n))...), Form{Frames: 4, Channels: 3}, nil); err == nil {
			t.Errorf("%v is taken for clips", dims)
		}
	}
}

// frameOf resizes, crops and normalises an image to 3·h·w values.
func frameOf(p Preprocessing, img image.Image, h, w int, place func(height, width int) cutout) ([]float32, error) {
	scaled, err := p.scaled(img, h, w)
	if err != nil {
		return nil, err
	}
	size := scaled.Bounds().Size()
	return p.appendNormalised(nil, scaled, place(size.Y, size.X), h, w), nil
}
