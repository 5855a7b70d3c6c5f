package clips

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

func TestLayoutOf(t *testing.T) {
	n, hw := graph.Sym("n"), graph.D(32)
	for _, tt := range []struct {
		shape            graph.Shape
		frames, channels int
		want             string // "" for none
	}{
		{graph.Shape{n, graph.D(8), graph.D(3), hw, hw}, 8, 3, "[N, T, C, H, W]"},
		{graph.Shape{n, graph.D(8), hw, hw, graph.D(3)}, 8, 3, "[N, T, H, W, C]"},
		{graph.Shape{n, graph.D(3), graph.D(8), hw, hw}, 8, 3, "[N, C, T, H, W]"},
		{graph.Shape{n, graph.D(3), hw, hw}, 8, 3, "[N·T, C, H, W]"},
		{graph.Shape{n, graph.D(33), graph.D(33), graph.D(3)}, 8, 3, "[N·T, H, W, C]"},
		{graph.Shape{n, graph.D(24), hw, hw}, 8, 3, "[N, T·C, H, W]"},
		{graph.Shape{n, n, hw, hw}, 8, 3, "[N, T·C, H, W]"},
		{graph.Shape{n, hw, hw, graph.D(24)}, 8, 3, "[N, H, W, T·C]"},
		{graph.Shape{n, graph.D(240), graph.D(320), graph.D(24)}, 8, 3, "[N, H, W, T·C]"},
		{graph.Shape{n, graph.D(24), graph.D(240), graph.D(240)}, 0, 3, "[N, T·C, H, W]"},
		{graph.Shape{n, graph.D(80), hw, hw}, 8, 10, "[N, T·C, H, W]"},
		{graph.Shape{n, graph.D(8), graph.D(10), hw, hw}, 8, 10, "[N, T, C, H, W]"},
		{graph.Shape{n, graph.D(80), hw, hw}, 8, 3, ""},
		{graph.Shape{n, graph.D(8), graph.D(10), hw, hw}, 8, 3, ""},
		{graph.Shape{n, graph.D(3)}, 8, 3, ""},
	} {
		l := LayoutOf(tt.shape, tt.frames, tt.channels)
		got := ""
		if l != nil {
			got = l.String()
		}
		if got != tt.want {
			t.Errorf("%v of %d channels is %q, want %q", tt.shape, tt.channels, got, tt.want)
		}
	}
}

// TestLayoutArrange: two clips of two frames of two channels, one by three
// pixels, whose values say where they stand: clip, frame, channel, column.
func TestLayoutArrange(t *testing.T) {
	size := Sizes{2, 2, 2, 1, 3}
	var v []float32
	for n := range 2 {
		for f := range 2 {
			for c := range 2 {
				for w := range 3 {
					v = append(v, float32(1000*n+100*f+10*c+w))
				}
			}
		}
	}
	for _, tt := range []struct {
		l    Layout
		dims []int64
		want []float32 // the first clip
	}{
		{layoutSegments, []int64{2, 2, 2, 1, 3}, []float32{0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112}},
		{layoutChannels, []int64{2, 4, 1, 3}, []float32{0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112}},
		{layoutFramesLast, []int64{4, 1, 3, 2}, []float32{0, 10, 1, 11, 2, 12, 100, 110, 101, 111, 102, 112}},
		{layoutTime, []int64{2, 2, 2, 1, 3}, []float32{0, 1, 2, 100, 101, 102, 10, 11, 12, 110, 111, 112}},
		{layoutChannelsLast, []int64{2, 1, 3, 4}, []float32{0, 10, 100, 110, 1, 11, 101, 111, 2, 12, 102, 112}},
	} {
		got := tt.l.Arrange(v, size)
		if d := cmp.Diff(tt.want, got[:12]); d != "" {
			t.Errorf("%v (-want +got)\n%s", tt.l, d)
		}
		if d := cmp.Diff(tt.dims, tt.l.Dims(size)); d != "" {
			t.Errorf("%v: dimensions (-want +got)\n%s", tt.l, d)
		}
		if d := cmp.Diff(v, tt.l.Back(got, size)); d != "" {
			t.Errorf("%v, there and back (-want +got)\n%s", tt.l, d)
		}
	}
}

func TestClipTensor(t *testing.T) {
	for _, elem := range clipTypes {
		x, err := clipTensor(elem, []int64{3}, []float32{0, 7, 255})
		if err != nil {
			t.Fatalf("%s: %v", elem, err)
		}
		f, err := op.Cast(x, graph.Float32)
		if err != nil {
			t.Fatalf("%s: %v", elem, err)
		}
		got, err := f.Float32s()
		if err != nil {
			t.Fatalf("%s: %v", elem, err)
		}
		if d := cmp.Diff([]float32{0, 7, 255}, got); d != "" || x.DType != elem {
			t.Errorf("%s, of %s (-want +got)\n%s", elem, x.DType, d)
		}
	}
	for _, bad := range []float32{0.5, -1, 256} {
		if _, err := clipTensor(graph.Uint8, []int64{1}, []float32{bad}); err == nil || !strings.Contains(err.Error(), "which is no uint8") {
			t.Errorf("a uint8 of %g: %v", bad, err)
		}
	}
}

// TestFormFits: a file may say any size; clips of such are not made.
func TestFormFits(t *testing.T) {
	for _, c := range []struct {
		form  Form
		clips int
		fits  bool
	}{
		{Form{Frames: 8, Channels: 3, Height: 224, Width: 224}, 64, true},
		{Form{Frames: 1 << 31, Channels: 3, Height: 32, Width: 32}, 1, false},
		{Form{Frames: 8, Channels: 3, Height: 224, Width: 224}, 1 << 60, false},
		{Form{Frames: 1 << 40, Channels: 1 << 40, Height: 1 << 40, Width: 1 << 40}, 1, false},
	} {
		if err := c.form.Fits(c.clips); (err == nil) != c.fits {
			t.Errorf("%d of %+v: %v", c.clips, c.form, err)
		}
		if _, err := Parallel(Random{Count: 1}).Clip(t.Context(), 0, c.form); !c.fits && c.clips == 1 && err == nil {
			t.Errorf("%+v is made", c.form)
		}
	}
}
