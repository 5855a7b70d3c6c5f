package fit

import (
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/afc-project/afc/afblock"
)

// matrix is dense and row-major.
type matrix struct {
	rows, cols int
	v          []float32
}

func newMatrix(rows, cols int) *matrix {
	if rows*cols > large { // those of the layer before are garbage by now; left to itself the heap grows to twice what is used
		runtime.GC()
	}
	return &matrix{rows, cols, make([]float32, rows*cols)}
}

// large is a matrix of so many values that another one beside it counts.
const large = 16 << 20

func (m *matrix) row(i int) []float32 { return m.v[i*m.cols : (i+1)*m.cols] }

// columns returns a copy of the columns [from, to), the matrix itself where that
// is all of them, nil of nil.
func (m *matrix) columns(from, to int) *matrix {
	if m == nil || from == 0 && to == m.cols {
		return m
	}
	out := newMatrix(m.rows, to-from)
	for i := range m.rows {
		copy(out.row(i), m.row(i)[from:to])
	}
	return out
}

// pick returns a copy of some columns.
func (m *matrix) pick(columns []int) *matrix {
	out := newMatrix(m.rows, len(columns))
	for i := range m.rows {
		from, to := m.row(i), out.row(i)
		for k, c := range columns {
			to[k] = from[c]
		}
	}
	return out
}

// beside joins matrices of the same number of rows.
func beside(parts ...*matrix) *matrix {
	cols := 0
	for _, p := range parts {
		cols += p.cols
	}
	out := newMatrix(parts[0].rows, cols)
	for i := range out.rows {
		to := out.row(i)
		for _, p := range parts {
			to = to[copy(to, p.row(i)):]
		}
	}
	return out
}

// sample is the positions of maps of one size at which a regression looks: the
// rows of its matrices, frame by frame.
type sample struct {
	at    afblock.Size
	clips []int   // that have rows, in order
	start []int32 // of each frame's rows; one entry more than there are frames
	place []int32 // y·w + x
}

// perFrame is the most rows that are taken of a frame while other clips are
// left: positions of one frame tell less than those of another clip, but clips
// that no regression looks at need not be run for it.
const perFrame = 32

// draw samples n positions of the frames, frames a clip, that count says (nil:
// all), or all there are. They are spread evenly over as many clips as it takes,
// and drawn anew for each frame and salt.
func draw(n, clips, frames int, at afblock.Size, counts func(frame int) bool, seed uint64, salt string) *sample {
	h := fnv.New64a()
	h.Write([]byte(salt))
	seed ^= h.Sum64()
	area := at[0] * at[1]
	s := &sample{at: at, start: make([]int32, clips*frames+1)}
	order := rand.New(rand.NewPCG(seed, 1<<63)).Perm(clips)
	var chosen []int // frames
	for k := 0; k < clips && len(chosen)*min(area, perFrame) < n; k++ {
		for f := order[k] * frames; f < (order[k]+1)*frames; f++ {
			if counts == nil || counts(f) {
				chosen = append(chosen, f)
			}
		}
	}
	slices.Sort(chosen)
	places := make([]int32, area)
	for k, f := range chosen {
		want := min((k+1)*n/len(chosen)-k*n/len(chosen), area)
		for i := range places {
			places[i] = int32(i)
		}
		rng := rand.New(rand.NewPCG(seed, uint64(f)))
		for i := range want { // Fisher and Yates, as far as needed
			j := i + rng.IntN(area-i)
			places[i], places[j] = places[j], places[i]
		}
		s.place = append(s.place, places[:want]...)
		s.start[f+1] = int32(want)
		if c := f / frames; len(s.clips) == 0 || s.clips[len(s.clips)-1] != c {
			s.clips = append(s.clips, c)
		}
	}
	for f := range clips * frames {
		s.start[f+1] += s.start[f]
	}
	return s
}

// rows is the number of positions.
func (s *sample) rows() int { return len(s.place) }

// collect calls row for every position in the frames of m, several frames at a
// time.
func (s *sample) collect(m maps, row func(frame []float32, y, x, i int)) {
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wait.Go(func() {
			for f := m.frames * k / workers; f < m.frames*(k+1)/workers; f++ {
				frame := m.values[f*m.c*m.at[0]*m.at[1] : (f+1)*m.c*m.at[0]*m.at[1]]
				for i := s.start[m.frame(f)]; i < s.start[m.frame(f)+1]; i++ {
					row(frame, int(s.place[i])/s.at[1], int(s.place[i])%s.at[1], int(i))
				}
			}
		})
	}
	wait.Wait()
}

// inputs puts into x what a convolution reads at each position: channels
// outermost, then the window's rows and columns, as in its weight.
func (s *sample) inputs(m maps, w afblock.Window, x *matrix) {
	area := m.at[0] * m.at[1]
	s.collect(m, func(frame []float32, y, x0, i int) {
		to := x.row(i)
		if w.Kernel == 1 {
			at := y*w.Stride*m.at[1] + x0*w.Stride
			for c := range m.c {
				to[c] = frame[c*area+at]
			}
			return
		}
		k := 0
		for c := range m.c {
			for dy := range w.Kernel {
				iy := y*w.Stride - w.Pad + dy
				for dx := range w.Kernel {
					ix := x0*w.Stride - w.Pad + dx
					if iy >= 0 && iy < m.at[0] && ix >= 0 && ix < m.at[1] {
						to[k] = frame[(c*m.at[0]+iy)*m.at[1]+ix]
					}
					k++
				}
			}
		}
	})
}

// view says how a map of the source is looked at from a coarser grid.
type view int

const (
	nearest    view = iota // the position of a cell's first row and column; a cell's own where the grid is finer
	mean                   // of the cell
	pooled                 // 3×3/2 average pool, padding counted, as on the residual paths
	pooledReLU             // the same of what ReLU leaves
)

// values puts the channels of a map into y, seen by a view from s's grid.
func (s *sample) values(m maps, v view, y *matrix) {
	area := m.at[0] * m.at[1]
	s.collect(m, func(frame []float32, py, px, i int) {
		to := y.row(i)
		y0, x0 := py*m.at[0]/s.at[0], px*m.at[1]/s.at[1]
		if m.at[0] > s.at[0] {
			y0 = ceilDiv(py*m.at[0], s.at[0])
		}
		if m.at[1] > s.at[1] {
			x0 = ceilDiv(px*m.at[1], s.at[1])
		}
		if v == nearest || m.at == s.at {
			for c := range m.c {
				to[c] = frame[c*area+y0*m.at[1]+x0]
			}
			return
		}
		y1, x1, weight := ceilDiv((py+1)*m.at[0], s.at[0]), ceilDiv((px+1)*m.at[1], s.at[1]), float32(1)/9
		if v != mean {
			y0, y1, x0, x1 = max(2*py-1, 0), min(2*py+2, m.at[0]), max(2*px-1, 0), min(2*px+2, m.at[1])
		} else {
			weight = 1 / float32((y1-y0)*(x1-x0))
		}
		for c := range m.c {
			var sum float32
			for iy := y0; iy < y1; iy++ {
				for _, z := range frame[c*area+iy*m.at[1]+x0 : c*area+iy*m.at[1]+x1] {
					if v == pooledReLU {
						z = max(z, 0)
					}
					sum += z
				}
			}
			to[c] = sum * weight
		}
	})
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
