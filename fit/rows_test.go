package fit

import (
	"math"
	"slices"
	"testing"
)

// numbered makes maps in which every value tells its place.
func numbered(frames, c int, at size) maps {
	m := maps{make([]int, frames), frames, c, at, make([]float32, frames*c*at.h*at.w)}
	for i := range m.clips {
		m.clips[i] = i
	}
	for i := range m.values {
		m.values[i] = float32(i%101) - 50
	}
	return m
}

func (m maps) at4(frame, c, y, x int) float32 {
	if y < 0 || y >= m.at.h || x < 0 || x >= m.at.w {
		return 0
	}
	return m.values[((frame*m.c+c)*m.at.h+y)*m.at.w+x]
}

// TestDraw: rows are spread over the frames that count, no position twice, the
// same for the same seed, and all positions where there are not more.
func TestDraw(t *testing.T) {
	odd := func(f int) bool { return f%2 == 1 }
	s := draw(55, 5, 2, size{3, 4}, odd, 5, "layer")
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
	if again := draw(55, 5, 2, size{3, 4}, odd, 5, "layer"); !slices.Equal(again.place, s.place) {
		t.Error("the same seed draws other positions")
	}
	if other := draw(55, 5, 2, size{3, 4}, odd, 5, "other"); slices.Equal(other.place, s.place) {
		t.Error("another layer has the same positions")
	}
	if all := draw(1000, 5, 2, size{3, 4}, odd, 5, "layer"); all.rows() != 60 {
		t.Errorf("%d rows of 60 positions", all.rows())
	}
}

// TestDrawFewClips: more clips than it takes are not looked at, others by each
// layer.
func TestDrawFewClips(t *testing.T) {
	a := draw(640, 100, 2, size{10, 10}, nil, 5, "a")
	if len(a.clips) != 10 || a.rows() != 640 || !slices.IsSorted(a.clips) {
		t.Errorf("%d rows of clips %v, want 640 of 10 clips", a.rows(), a.clips)
	}
	if b := draw(640, 100, 2, size{10, 10}, nil, 5, "b"); slices.Equal(a.clips, b.clips) {
		t.Error("another layer looks at the same clips")
	}
	if s := draw(640, 100, 2, size{2, 1}, nil, 5, "a"); len(s.clips) != 100 || s.rows() != 400 {
		t.Errorf("%d rows of %d clips, want all 400", s.rows(), len(s.clips))
	}
}

// TestInputs holds what is read for a convolution to the definition, channel,
// row and column of the window apart.
func TestInputs(t *testing.T) {
	m := numbered(2, 3, size{5, 6})
	for _, w := range []window{{1, 1, 0}, {1, 2, 0}, {3, 1, 1}, {3, 2, 1}, {7, 2, 3}} {
		at := w.through(m.at)
		s := draw(1000, 2, 1, at, nil, 1, "x")
		x := newMatrix(s.rows(), m.c*w.kernel*w.kernel)
		s.inputs(m, w, x)
		for f := range 2 {
			for i := s.start[f]; i < s.start[f+1]; i++ {
				y, x0 := int(s.place[i])/at.w, int(s.place[i])%at.w
				for k, got := range x.row(int(i)) {
					c, dy, dx := k/w.kernel/w.kernel, k/w.kernel%w.kernel, k%w.kernel
					if want := m.at4(f, c, y*w.stride-w.pad+dy, x0*w.stride-w.pad+dx); got != want {
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
	for _, tt := range []struct{ from, to size }{
		{size{8, 8}, size{4, 4}}, {size{7, 5}, size{4, 3}}, {size{4, 6}, size{4, 6}}, {size{4, 3}, size{7, 5}}, {size{4, 4}, size{8, 8}},
	} {
		m := numbered(2, 2, tt.from)
		s := draw(1000, 2, 1, tt.to, nil, 1, "x")
		for _, v := range []view{nearest, mean, pooled, pooledReLU} {
			if v != nearest && tt.from.h <= tt.to.h {
				continue
			}
			y := newMatrix(s.rows(), m.c)
			s.values(m, v, y)
			for f := range 2 {
				for i := s.start[f]; i < s.start[f+1]; i++ {
					py, px := int(s.place[i])/tt.to.w, int(s.place[i])%tt.to.w
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
func seen(m maps, v view, to size, frame, c, py, px int) float64 {
	switch v {
	case nearest:
		if m.at.h < to.h {
			return float64(m.at4(frame, c, py*m.at.h/to.h, px*m.at.w/to.w))
		}
		stride := (m.at.h + to.h - 1) / to.h
		return float64(m.at4(frame, c, py*stride, px*stride))
	case mean:
		var sum, n float64
		for y := range m.at.h {
			for x := range m.at.w {
				if y*to.h/m.at.h == py && x*to.w/m.at.w == px {
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
