package clips

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
)

// Layout says what the axes of a tensor of clips are, outermost first, each as
// the letters of what it counts: clips N, frames T, channels C, rows H and
// columns W. "TC" counts the channels of all frames, frame by frame.
type Layout []string

var (
	layoutSegments     = Layout{"N", "T", "C", "H", "W"}
	layoutSegmentsLast = Layout{"N", "T", "H", "W", "C"}
	layoutTime         = Layout{"N", "C", "T", "H", "W"}
	layoutFrames       = Layout{"NT", "C", "H", "W"}
	layoutFramesLast   = Layout{"NT", "H", "W", "C"}
	layoutChannels     = Layout{"N", "TC", "H", "W"}
	layoutChannelsLast = Layout{"N", "H", "W", "TC"}
)

// LayoutFrom returns the layout whose axes count what is listed, nil if they are
// not known each and once.
func LayoutFrom(axes []string) Layout {
	got := []byte(strings.Join(axes, ""))
	want := []byte(letters)
	slices.Sort(got)
	slices.Sort(want)
	if string(got) != string(want) {
		return nil
	}
	return Layout(axes)
}

// holds reports whether a tensor of a shape can hold clips of so many frames (0:
// not known) of so many channels in the layout.
func (l Layout) holds(s graph.Shape, frames, channels int) bool {
	if len(l) == 0 || len(l) != len(s) {
		return false
	}
	d := s[l.Axis("C")]
	if l[l.Axis("C")] == "TC" {
		return !d.Known() || d.Size%int64(max(frames, 1)*channels) == 0
	}
	return !d.Known() || d.Size == int64(channels)
}

// LayoutOf returns how a tensor of a shape holds clips of so many frames (0: not
// known) of so many channels, nil if it does not. Maps are taken to be wider
// than a clip has channels where either could be meant.
func LayoutOf(s graph.Shape, frames, channels int) Layout {
	is := func(axis int) bool { return s[axis].Known() && s[axis].Size == int64(channels) }
	clip := int64(max(frames, 1) * channels)
	holds := func(axis int) bool { return s[axis].Known() && s[axis].Size%clip == 0 }
	switch len(s) {
	case 5:
		switch {
		case is(2):
			return layoutSegments
		case is(4):
			return layoutSegmentsLast
		case is(1):
			return layoutTime
		case !s[2].Known():
			return layoutSegments
		}
	case 4:
		switch {
		case is(1):
			return layoutFrames
		case is(3):
			return layoutFramesLast
		case holds(3) && s[1].Known() && (!holds(1) || s[3].Size < s[1].Size):
			return layoutChannelsLast
		case holds(1) || !s[1].Known():
			return layoutChannels
		}
	}
	return nil
}

// Axis returns the axis that counts a letter.
func (l Layout) Axis(letter string) int {
	for i, counts := range l {
		if strings.Contains(counts, letter) {
			return i
		}
	}
	panic("BUG: layout " + l.String() + " has no axis " + letter)
}

func (l Layout) String() string {
	axes := make([]string, len(l))
	for i, counts := range l {
		axes[i] = strings.Join(strings.Split(counts, ""), "·")
	}
	return "[" + strings.Join(axes, ", ") + "]"
}

// Sizes of clips: N, T, C, H, W.
type Sizes [5]int64

const letters = "NTCHW"

func (s Sizes) elements() int64 { return s[0] * s[1] * s[2] * s[3] * s[4] }

// Dims returns the dimensions of a tensor of clips of the given sizes.
func (l Layout) Dims(size Sizes) []int64 {
	dims := make([]int64, len(l))
	for i, counts := range l {
		dims[i] = 1
		for _, letter := range counts {
			dims[i] *= size[strings.IndexRune(letters, letter)]
		}
	}
	return dims
}

// Arrange moves the elements of clips [N, T, C, H, W] to where the layout has
// them; back moves them back.
func (l Layout) Arrange(v []float32, size Sizes) []float32 {
	out, at := l.moves(v, size)
	for i, from := range at {
		out[i] = v[from]
	}
	return out
}

func (l Layout) Back(v []float32, size Sizes) []float32 {
	out, at := l.moves(v, size)
	for i, to := range at {
		out[to] = v[i]
	}
	return out
}

// moves returns room for len(v) elements, and for each element in the layout's
// order its place in [N, T, C, H, W]. Where nothing moves it returns v itself.
func (l Layout) moves(v []float32, size Sizes) (out []float32, at []int) {
	order := strings.Join(l, "")
	if order == letters {
		return v, nil
	}
	var n, stride [5]int64 // in the layout's order
	for i, letter := range order {
		k := strings.IndexRune(letters, letter)
		n[i], stride[i] = size[k], 1
		for _, inner := range size[k+1:] {
			stride[i] *= inner
		}
	}
	at = make([]int, 0, len(v))
	for a := range n[0] {
		for b := range n[1] {
			for c := range n[2] {
				for d := range n[3] {
					for e := range n[4] {
						at = append(at, int(a*stride[0]+b*stride[1]+c*stride[2]+d*stride[3]+e*stride[4]))
					}
				}
			}
		}
	}
	return make([]float32, len(v)), at
}

// clipTypes are the element types that clips are made in. Those of integers
// hold pixels, 0 to 255.
var clipTypes = []graph.DataType{graph.Float32, graph.Float16, graph.Float64, graph.Uint8, graph.Int16, graph.Int32, graph.Int64}

// clipTensor makes a tensor of one of clipTypes. Values that an integer type
// does not hold are an error.
func clipTensor(elem graph.DataType, dims []int64, v []float32) (*graph.Tensor, error) {
	if !elem.IsFloat() {
		low, high := integerRange(elem)
		for _, x := range v {
			// The negation is true of NaN too.
			if whole := float64(x); !(whole == math.Trunc(whole) && low <= whole && whole <= high) {
				return nil, fmt.Errorf("the clips hold %g, which is no %s", x, elem)
			}
		}
	}
	return op.Cast(graph.Float32s(dims, v...), elem)
}

// integerRange returns the smallest and largest number of one of clipTypes'
// integers that float32 holds exactly.
func integerRange(elem graph.DataType) (low, high float64) {
	switch elem {
	case graph.Uint8:
		return 0, math.MaxUint8
	case graph.Int16:
		return math.MinInt16, math.MaxInt16
	}
	return -1 << 24, 1 << 24
}
