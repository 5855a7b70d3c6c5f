package fit

import (
	"math"
	"slices"
	"testing"

	"github.com/afc-project/afc/afblock"
)

// numbered makes maps in which every value tells its place.
func numbered(frames, c int, at afblock.Size) maps {
	m := maps{make([]int, frames), frames, c, at, make([]float32, frames*c*at[0]*at[1])}
	for i := range m.clips {
		m.clips[i] = i
	}
	for i := range m.values {
		m.values[i] = float32(i%101) - 50
	}
	return m
}

func (m maps) at4(frame, c, y, x int) float32 {
	if y < 0 || y >= m.at[0] || x < 0 || x >= m.at[1] {
		return 0
	}
	return m.values[((frame*m.c+c)*m.at[0]+y)*m.at[1]+x]
}

// TestDraw: rows are spread over the frames that count, no position twice, the
// same for the same seed, and all positions where there are not more.
func TestDraw(t *testing.T) {
	odd := func(f int) bool { return f%2 == 1 }
	s := draw(55, 5, 2, afblock.Size{3, 4}, odd, 5, "layer")
	if s.rows() != 55 {
		t.Fatalf("%d rows, want 55", s.rows())
	}
	for f := range 10 {
		places := slices.Clone(s.place[s.start[f]:s.start[f+1]])
		if want := 11 * (f % 2); len(places) != want {
			t.Errorf("frame %d has %d rows, want %d", f, len(places), want)
		}
		slices.Sort(places)
		if len(slices.Compact(places)) != 11*(f%2) {
			t.Errorf("frame %d has a position twice", f)
		}
	}
	if again := draw(55, 5, 2, afblock.Size{3, 4}, odd, 5, "layer"); !slices.Equal(again.place, s.place) {
		t.Error("the same seed draws other positions")
	}
	if other := draw(55, 5, 2, afblock.Size{3, 4}, odd, 5, "other"); slices.Equal(other.place, s.place) {
		t.Error("another layer has the same positions")
	}
	if all := draw(1000, 5, 2, afblock.Size{3, 4}, odd, 5, "layer"); all.rows() != 60 {
		t.Errorf("%d rows of 60 positions", all.rows())
	}
}

// TestDrawFewClips: more clips than it takes are not looked at, others by each
// layer.
func TestDrawFewClips(t *testing.T) {
	a := draw(640, 100, 2, afblock.Size{10, 10}, nil, 5, "a")
	if len(a.clips) != 10 || a.rows() != 640 || !slices.IsSorted(a.clips) {
		t.Errorf("%d rows of clips %v, want 640 of 10 clips", a.rows(), a.clips)
	}
	if b := draw(640, 100, 2, afblock.Size{10, 10}, nil, 5, "b"); slices.Equal(a.clips, b.clips) {
		t.Error("another layer looks at the same clips")
	}
	if s := draw(640, 100, 2, afblock.Size{2, 1}, nil, 5, "a"); len(s.clips) != 100 || s.rows() != 400 {
		t.Errorf("%d rows of %d clips, want all 400", s.rows(), len(s.clips))
	}
}

// TestInputs holds what is read for a convolution to the definition, channel,
// row and column of the window apart.
func TestInputs(t *testing.T) {
	m := numbered(2, 3, afblock.Size{5, 6})
	for _, w := range []afblock.Window{{Kernel: 1, Stride: 1}, {Kernel: 1, Stride: 2}, {Kernel: 3, Stride: 1, Pad: 1}, {Kernel: 3, Stride: 2, Pad: 1}, {Kernel: 7, Stride: 2, Pad: 3}} {
		at := m.at.Through(w)
		s := draw(1000, 2, 1, at, nil, 1, "x")
		x := newMatrix(s.rows(), m.c*w.Kernel*w.Kernel)
		s.inputs(m, w, x)
		for f := range 2 {
			for i := s.start[f]; i < s.start[f+1]; i++ {
				y, x0 := int(s.place[i])/at[1], int(s.place[i])%at[1]
				for k, got := range x.row(int(i)) {
					c, dy, dx := k/w.Kernel/w.Kernel, k/w.Kernel%w.Kernel, k%w.Kernel
					if want := m.at4(f, c, y*w.Stride-w.Pad+dy, x0*w.Stride-w.Pad+dx); got != want {
						t.Fatalf("window %+v, frame %d at %d,%d, input %d: got %g, want %g", w, f, y, x0, k, got, want)
					}
				}
			}
		}
	}
}

// TestViews holds what is seen of a finer map, of one as fine and of a coarser
// one to the definitions, for sizes that divide and those that do not.
func TestViews(t *testing.T) {
	for _, tt := range []struct{ from, to afblock.Size }{
		{afblock.Size{8, 8}, afblock.Size{4, 4}}, {afblock.Size{7, 5}, afblock.Size{4, 3}}, {afblock.Size{4, 6}, afblock.Size{4, 6}}, {afblock.Size{4, 3}, afblock.Size{7, 5}}, {afblock.Size{4, 4}, afblock.Size{8, 8}},
	} {
		m := numbered(2, 2, tt.from)
		s := draw(1000, 2, 1, tt.to, nil, 1, "x")
		for _, v := range []view{nearest, mean, pooled, pooledReLU} {
			if v != nearest && tt.from[0] <= tt.to[0] {
				continue
			}
			y := newMatrix(s.rows(), m.c)
			s.values(m, v, y)
			for f := range 2 {
				for i := s.start[f]; i < s.start[f+1]; i++ {
					py, px := int(s.place[i])/tt.to[1], int(s.place[i])%tt.to[1]
					for c, got := range y.row(int(i)) {
						if want := seen(m, v, tt.to, f, c, py, px); math.Abs(float64(got)-want) > 1e-4 {
							t.Fatalf("%v from %v, view %d, frame %d at %d,%d: got %g, want %g", tt.from, tt.to, v, f, py, px, got, want)
						}
					}
				}
			}
		}
	}
}

// seen is a view by its definition: a strided convolution's place, the average
// of what nearest upsampling copies a value to, or PyTorch's average pool.
func seen(m maps, v view, to afblock.Size, frame, c, py, px int) float64 {
	switch v {
	case nearest:
		if m.at[0] < to[0] {
			return float64(m.at4(frame, c, py*m.at[0]/to[0], px*m.at[1]/to[1]))
		}
		stride := (m.at[0] + to[0] - 1) / to[0]
		return float64(m.at4(frame, c, py*stride, px*stride))
	case mean:
		var sum, n float64
		for y := range m.at[0] {
			for x := range m.at[1] {
				if y*to[0]/m.at[0] == py && x*to[1]/m.at[1] == px {
					sum, n = sum+float64(m.at4(frame, c, y, x)), n+1
				}
			}
		}
		return sum / n
	}
	var sum float64
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			z := float64(m.at4(frame, c, 2*py+dy, 2*px+dx))
			if v == pooledReLU {
				z = max(z, 0)
			}
			sum += z
		}
	}
	return sum / 9
}
