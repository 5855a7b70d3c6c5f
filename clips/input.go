package clips

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
)

// Input is how a model takes clips: its one input of pixels.
type Input struct {
	Index    int // among the inputs that callers give
	Name     string
	Elem     graph.DataType // one of clipTypes
	Shape    graph.Shape
	Layout   Layout
	Frames   int // of a clip; 0: not known
	Channels int // of a frame
}

// InputOf finds the input that takes clips: in the layout given, or, where that is
// nil or does not fit, in the one that its shape suggests. Frames a clip need not
// be known (0) where the input tells.
func InputOf(m *graph.Model, layout Layout, frames, channels int) (Input, error) {
	var reason string
	for i, v := range m.DataInputs() {
		if n := len(v.Type.Shape); n < 4 || n > 5 {
			continue
		}
		in := Input{i, v.Name(), v.Type.Elem, v.Type.Shape, layout, frames, channels}
		if !layout.holds(in.Shape, frames, channels) {
			in.Layout = LayoutOf(in.Shape, frames, channels)
		}
		switch {
		case !slices.Contains(clipTypes, in.Elem):
			reason = fmt.Sprintf("input %s is %s: clips are made of %s", v.Name(), v.Type, typeNames(clipTypes))
		case in.Layout == nil:
			reason = fmt.Sprintf("input %s is %s, which holds no clips of frames with %d channels", v.Name(), v.Type, channels)
		default:
			return in, nil
		}
	}
	if reason == "" {
		reason = "no input takes clips: expected one of 4 or 5 dimensions"
	}
	return Input{}, errors.New(reason)
}

func typeNames(types []graph.DataType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// Pixels reports whether the input takes pixels as they are decoded, 0 to 255.
func (in Input) Pixels() bool { return !in.Elem.IsFloat() }

// Size returns what the input fixes of a letter of its layout, 0 if any goes.
func (in Input) Size(letter string) int64 {
	axis := in.Layout.Axis(letter)
	d := in.Shape[axis]
	if !d.Known() {
		return 0
	}
	switch counts := in.Layout[axis]; counts {
	case "TC":
		return d.Size / int64(in.Channels) // frames
	case "NT":
		return d.Size / int64(max(in.Frames, 1)) // clips
	}
	return d.Size
}

// Batch returns the number of clips a model's input fixes, 0 if it takes any.
func (in Input) Batch() int64 { return in.Size("N") }

// Sample returns how many frames a sample of the input has: what its shape
// fixes, or the frames of a clip.
func (in Input) Sample() int {
	if in.Layout[0] == "NT" {
		return max(in.Frames, 1)
	}
	if t := in.Size("T"); t > 0 {
		return int(t)
	}
	return in.Frames
}

// Tensor arranges samples, each [T, C, H, W], as the input takes them.
func (in Input) Tensor(clips [][]float32, frames int, size [2]int) (*graph.Tensor, error) {
	s := Sizes{int64(len(clips)), int64(frames), int64(in.Channels), int64(size[0]), int64(size[1])}
	dims := in.Layout.Dims(s)
	for i, d := range in.Shape {
		if d.Known() && d.Size != dims[i] {
			return nil, fmt.Errorf("%d clips of %d frames of %d×%d do not fit", len(clips), frames, size[0], size[1])
		}
	}
	return clipTensor(in.Elem, dims, in.Layout.Arrange(slices.Concat(clips...), s))
}

// FrameSize returns the size of the frames the input takes: def where it is
// open, 224×224 where that is zero.
func (in Input) FrameSize(def [2]int) (h, w int) {
	pick := func(letter string, def int) int {
		if n := in.Size(letter); n > 0 {
			return int(n)
		}
		if def > 0 {
			return def
		}
		return 224
	}
	return pick("H", def[0]), pick("W", def[1])
}
