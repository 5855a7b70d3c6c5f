package clips

import "testing"

func TestThumbnails(t *testing.T) {
	form := Form{Frames: 2, Channels: 3, Height: 4, Width: 8}
	values := make([]float32, 2*form.values())
	values[0], values[form.values()] = -2, 6 // red of the first pixel of each frame; the rest 0
	got := Thumbnails(values, form, 100)
	if len(got) != 2 {
		t.Fatalf("%d pictures of 2 frames", len(got))
	}
	for i, want := range []uint32{0, 255} {
		if r, g, _, _ := got[i].At(0, 0).RGBA(); r>>8 != want || g>>8 != 63 {
			t.Errorf("frame %d: red %d, green %d; want %d, 63", i, r>>8, g>>8, want)
		}
	}
	if b := Thumbnails(values, form, 4)[0].Bounds(); b.Dx() != 4 || b.Dy() != 2 {
		t.Errorf("scaled to %v, want 4×2", b)
	}
	flow := Form{Frames: 1, Channels: 2, Height: 1, Width: 1}
	if r, g, b, _ := Thumbnails([]float32{5, 0}, flow, 4)[0].At(0, 0).RGBA(); r != g || g != b {
		t.Errorf("no grey: %d %d %d", r, g, b)
	}
}
