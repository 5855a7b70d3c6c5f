package clips

import (
	"image"
	"image/color"
	"slices"
	"testing"
)

// TestSampling: the frames that TSM's dataset.py takes with --twice_sample and
// --dense_sample.
func TestSampling(t *testing.T) {
	for _, tt := range []struct {
		sampling       Sampling
		frames, length int
		want           []int // clip by clip, from the first on
	}{
		{Sampling{}, 8, 50, []int{3, 9, 15, 21, 28, 34, 40, 46}},
		{Sampling{Clips: 2}, 8, 50, []int{3, 9, 15, 21, 28, 34, 40, 46, 0, 6, 12, 18, 25, 31, 37, 43}},
		{Sampling{Clips: 4}, 1, 40, []int{20, 30, 0, 10}},
		{Sampling{Dense: true}, 8, 250, []int{0, 8, 16, 24, 32, 40, 48, 56, 20, 28, 36, 44, 52, 60, 68, 76, 41, 49}},
		{Sampling{Dense: true}, 8, 40, []int{0, 8, 16, 24, 32, 0, 8, 16, 0, 8, 16, 24}},
		{Sampling{Clips: 1, Dense: true}, 2, 65, []int{0, 32}},
	} {
		s, err := tt.sampling.filled()
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for k := range s.Clips {
			got = append(got, s.frames(k, tt.frames, tt.length)...)
		}
		if !slices.Equal(got[:len(tt.want)], tt.want) {
			t.Errorf("%s, %d frames of %d: %v, want %v", s, tt.frames, tt.length, got, tt.want)
		}
		for n := 1; n < 200; n++ {
			for k := range s.Clips {
				if at := s.frames(k, tt.frames, n); slices.Min(at) < 0 || slices.Max(at) >= n {
					t.Fatalf("%s: frames %v of a video of %d", s, at, n)
				}
			}
		}
	}
	if s, _ := (Sampling{Dense: true}).filled(); s.Clips != 10 {
		t.Errorf("%d windows, TSM has 10", s.Clips)
	}
	for _, bad := range []Sampling{{Crops: 2}, {Clips: -1}, {Clips: 1 << 20}} {
		if _, err := bad.filled(); err == nil {
			t.Errorf("%+v is not refused", bad)
		}
	}
}

// TestCrops: where TSM's GroupFullResSample and GroupOverSample crop.
func TestCrops(t *testing.T) {
	middle := func(n int) Sampling { return Sampling{Clips: 1, Crops: n} }
	for _, tt := range []struct {
		crops      int
		w, h, size int
		want       [][2]int // x, y
	}{
		{1, 340, 256, 224, [][2]int{{58, 16}}},
		{3, 340, 256, 256, [][2]int{{0, 0}, {84, 0}, {42, 0}}},
		{3, 341, 256, 224, [][2]int{{0, 16}, {116, 16}, {58, 16}}},
		{3, 256, 340, 256, [][2]int{{0, 0}, {0, 84}, {0, 42}}}, // upright: along the longer side
		{5, 340, 256, 224, [][2]int{{0, 0}, {116, 0}, {0, 32}, {116, 32}, {58, 16}}},
	} {
		for k, want := range tt.want {
			if got := middle(tt.crops).crop(k, tt.h, tt.w, tt.size, tt.size); got != (cutout{want[0], want[1], false}) {
				t.Errorf("crop %d of %d of %d×%d: %+v, want %v", k, tt.crops, tt.w, tt.h, got, want)
			}
		}
	}
	for k := range 5 {
		a, b := middle(10).crop(k, 256, 340, 224, 224), middle(10).crop(k+5, 256, 340, 224, 224)
		if a.mirrored || !b.mirrored || a.x != b.x || a.y != b.y {
			t.Errorf("crop %d of 10 is %+v, its mirror %+v", k, a, b)
		}
	}
	// A mirrored crop holds the pixels of the crop, row by row from the right.
	img := image.NewRGBA(image.Rect(0, 0, 6, 4))
	for i := range 24 {
		img.SetRGBA(i%6, i/6, color.RGBA{uint8(i), 0, 0, 255})
	}
	pre := Preprocessing{Scale: 4, Std: [3]float32{1, 1, 1}}
	got, err := frameOf(pre, img, 4, 4, func(int, int) cutout { return cutout{2, 0, true} })
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{5, 4, 3, 2, 11, 10, 9, 8}; !slices.Equal(got[:8], want) {
		t.Errorf("mirrored rows %v, want %v", got[:8], want)
	}
}

// TestViews: clips and crops of a video stand side by side, and their scores
// are its mean.
func TestViews(t *testing.T) {
	root := frameTree(t)
	f, err := ReadFrames(root, Options{Template: pngTemplate, Sampling: Sampling{Clips: 2, Crops: 3}, Preprocessing: Preprocessing{Scale: 8}})
	if err != nil {
		t.Fatal(err)
	}
	form := Form{Frames: 4, Channels: 3, Height: 8, Width: 8, Pixels: true}
	if f.Len() != 12 || Views(f) != 6 || Views(Parallel(f)) != 6 || f.Label(5) != 0 || f.Label(6) != 1 {
		t.Errorf("%d clips, %d a video", f.Len(), Views(f))
	}
	for i, want := range []float32{2, 2, 2, 1, 1, 1} { // the first frame's number: the middle of 3, then its start
		clip, err := f.Clip(t.Context(), i, form)
		if err != nil {
			t.Fatal(err)
		}
		if clip[0] != want {
			t.Errorf("clip %d begins with frame %g, want %g", i, clip[0], want)
		}
	}
	got := OfVideos(f, [][]float64{{1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {9, 6}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 12}})
	if len(got) != 2 || !slices.Equal(got[0], []float64{4, 1}) || !slices.Equal(got[1], []float64{0, 2}) {
		t.Errorf("means %v", got)
	}
}

// TestParallel: the same clips in the same order, whatever the order asked for.
func TestParallel(t *testing.T) {
	r := Random{Count: 9, Seed: 3}
	p := Parallel(r)
	form := Form{Frames: 2, Channels: 3, Height: 4, Width: 4}
	for _, i := range []int{0, 1, 2, 3, 3, 8, 0, 7, 8} {
		want, err := r.Clip(t.Context(), i, form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Clip(t.Context(), i, form)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("clip %d differs: %v", i, err)
		}
		form.Frames = 2 + i%2
	}
}
