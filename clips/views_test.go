package clips

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

// TestDecodedOnce: however many clips and crops show a video, its frames are decoded
// once, side by side too, and the views are those that would be decoded alone.
func TestDecodedOnce(t *testing.T) {
	sampling, err := Sampling{Clips: 2, Crops: 5}.filled()
	if err != nil {
		t.Fatal(err)
	}
	form := Form{Frames: 3, Channels: 3, Height: 8, Width: 8}
	var decoded atomic.Int32
	decode := func(_ context.Context, v *video, numbers []int, visit func(int, image.Image) error) error {
		decoded.Add(1)
		for i, n := range numbers {
			img := image.NewRGBA(image.Rect(0, 0, 20, 12))
			rng := rand.New(rand.NewPCG(uint64(n), uint64(v.frames)))
			for k := range img.Pix {
				img.Pix[k] = uint8(rng.Uint32())
			}
			if err := visit(i, img); err != nil {
				return err
			}
		}
		return nil
	}
	l := &listed{videos: []video{{frames: 20}, {frames: 7}, {frames: 1}}, sampling: sampling}
	p := Parallel(&viewed{l, decode})
	for i := range l.Len() {
		got, err := p.Clip(t.Context(), i, form)
		if err != nil {
			t.Fatal(err)
		}
		v, k, crop := l.of(i)
		pre, err := l.pre.filled(false)
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		for _, n := range sampling.frames(k, form.Frames, v.frames) {
			err := decode(t.Context(), v, []int{n}, func(_ int, img image.Image) error {
				frame, err := frameOf(pre, img, 8, 8, func(h, w int) cutout { return sampling.crop(crop, h, w, 8, 8) })
				want = append(want, frame...)
				return err
			})
			decoded.Add(-1)
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("view %d is not the one that is decoded alone", i)
		}
	}
	if n := decoded.Load(); n != 3 {
		t.Errorf("3 videos of %d views were decoded %d times", l.Views(), n)
	}
}

// viewed are listed videos with a decoder.
type viewed struct {
	*listed
	decode decoder
}

func (v *viewed) Clip(ctx context.Context, i int, form Form) ([]float32, error) {
	return v.clip(ctx, i, form, v.decode)
}

// TestSampleOfFiles: at random moments and places a video file shows what the folder
// of its frames does.
func TestSampleOfFiles(t *testing.T) {
	root := t.TempDir()
	frames := testutil.VideoFrames(12, 24, 16)
	file, folder := filepath.Join(root, "files", "x", "v.mkv"), filepath.Join(root, "frames", "x", "v")
	for _, dir := range []string{filepath.Dir(file), folder} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	testutil.WriteVideo(t, file, 24, 16, frames, testutil.Lossless...)
	for n, raw := range frames {
		img := image.NewRGBA(image.Rect(0, 0, 24, 16))
		for i := range 24 * 16 {
			copy(img.Pix[4*i:], append(slices.Clone(raw[3*i:3*i+3]), 255))
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, fmt.Sprintf("%03d.png", n)), b.String())
	}
	files, err := Read(t.Context(), filepath.Join(root, "files"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	folders, err := ReadFrames(filepath.Join(root, "frames"), Options{Template: "%03d.png"})
	if err != nil {
		t.Fatal(err)
	}
	form := Form{Frames: 5, Channels: 3, Height: 8, Width: 8}
	var seen [][]float32
	for seed := range uint64(6) {
		got, err := files.(Sampler).Sample(t.Context(), 0, form, rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := folders.Sample(t.Context(), 0, form, rand.New(rand.NewPCG(seed, 1)))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("seed %d: the file shows something else than the folder (%v)", seed, err)
		}
		if slices.ContainsFunc(seen, func(other []float32) bool { return slices.Equal(got, other) }) {
			t.Errorf("seed %d shows nothing new", seed)
		}
		seen = append(seen, got)
	}
}
