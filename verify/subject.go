package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// Subject is what Verify is to prove things about. This package knows models,
// not networks: who knows the network behind the model (afblock, codegen)
// says here what to look at and how to write it again.
type Subject struct {
	Model    *graph.Model // the file, decoded
	Path     string
	Lowering string // how its focal branch is written, "" if it has none

	Frames   int          // T, frames a clip
	Channels int          // of a frame, of the source too; 0: 3
	Blocks   []FocalBlock // in network order; nil where the model has none
	Size     [2]int       // H, W for random clips where the model takes any; 0: 224

	// Budget is how many frames of a clip each block computes, whatever it
	// selects (one entry serves all); nil: as many as are selected.
	Budget []int

	// Reference writes the network that the file holds once more, with the
	// mask lowering and the output "masks" (float32 0/1 [N, blocks, T]); with
	// masksIn its navigation is replaced by an input "masks_in" of that form.
	// nil, or an error of type *InapplicableError: those checks are skipped.
	Reference func(masksIn bool) (*graph.Model, error)

	// Identity writes the file's network with every frame selected and its
	// gate on the focal side, if that makes it equal the source.
	Identity func() (*graph.Model, error)

	Source       *graph.Model // the model the file was made from; nil: not given
	SourceFrames int          // frames a clip of it has; 0: as its input says, or Frames

	// FineTune says that the file's AF weights were never trained, so that it
	// need not answer like the source.
	FineTune bool
	// Probabilities says that the models' outputs have gone through softmax.
	Probabilities bool
}

// FocalBlock says where a focal block is found in the model.
type FocalBlock struct {
	Name   string // of the block, in reports
	Chosen string // value of the choice, bool [N·T]
	Logits string // value of navigation's answer, float32 [N, T, 2]
	// NavWeight and NavBias are initializers of the navigation's last
	// convolution, 2T outputs, whose output 2t+1 against 2t decides frame t.
	NavWeight, NavBias string
	// ConvWeights are the weights of the block's main convolutions; a piece of
	// one has a name that goes on with "[".
	ConvWeights []string
}

// InapplicableError says why a variant of a network cannot be written.
type InapplicableError struct{ Reason string }

func (e *InapplicableError) Error() string { return e.Reason }

func inapplicable(err error) (string, bool) {
	var e *InapplicableError
	if errors.As(err, &e) {
		return e.Reason, true
	}
	return "", false
}

// frameInput is how a model takes clips: its one input of pixels.
type frameInput struct {
	index    int // among the inputs that callers give
	name     string
	elem     graph.DataType // one of clipTypes
	shape    graph.Shape
	layout   layout
	frames   int // of a clip; 0: not known
	channels int // of a frame
}

// clipsInput finds the input that takes clips, in one of the layouts. Frames a
// clip need not be known (0) where the input tells.
func clipsInput(m *graph.Model, frames, channels int) (frameInput, error) {
	i := -1
	var reason string
	for _, v := range m.Graph.Inputs() {
		if v.Initializer() != nil {
			continue
		}
		i++
		if n := len(v.Type.Shape); n < 4 || n > 5 {
			continue
		}
		in := frameInput{i, v.Name(), v.Type.Elem, v.Type.Shape, layoutOf(v.Type.Shape, frames, channels), frames, channels}
		switch {
		case !slices.Contains(clipTypes, in.elem):
			reason = fmt.Sprintf("input %s is %s: clips are made of %s", v.Name(), v.Type, typeNames(clipTypes))
		case in.layout == nil:
			reason = fmt.Sprintf("input %s is %s, which holds no clips of frames with %d channels", v.Name(), v.Type, channels)
		default:
			return in, nil
		}
	}
	if reason == "" {
		reason = "no input takes clips: expected one of 4 or 5 dimensions"
	}
	return frameInput{}, fmt.Errorf("%s: %s", ort.ModelName(m), reason)
}

func typeNames(types []graph.DataType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// pixels reports whether the input takes pixels as they are decoded, 0 to 255.
func (in frameInput) pixels() bool { return !in.elem.IsFloat() }

// size returns what the input fixes of a letter of its layout, 0 if any goes.
func (in frameInput) size(letter string) int64 {
	axis := in.layout.axis(letter)
	d := in.shape[axis]
	if !d.Known() {
		return 0
	}
	switch counts := in.layout[axis]; counts {
	case "TC":
		return d.Size / int64(in.channels) // frames
	case "NT":
		return d.Size / int64(max(in.frames, 1)) // clips
	}
	return d.Size
}

// batch returns the number of clips a model's input fixes, 0 if it takes any.
func (in frameInput) batch() int64 { return in.size("N") }

// sample returns how many frames a sample of the input has: what its shape
// fixes, or the frames of a clip.
func (in frameInput) sample() int {
	if in.layout[0] == "NT" {
		return max(in.frames, 1)
	}
	if t := in.size("T"); t > 0 {
		return int(t)
	}
	return in.frames
}

// tensor arranges samples, each [T, C, H, W], as the input takes them.
func (in frameInput) tensor(clips [][]float32, frames int, size [2]int) (*graph.Tensor, error) {
	s := sizes{int64(len(clips)), int64(frames), int64(in.channels), int64(size[0]), int64(size[1])}
	dims := in.layout.dims(s)
	for i, d := range in.shape {
		if d.Known() && d.Size != dims[i] {
			return nil, fmt.Errorf("%d clips of %d frames of %d×%d do not fit", len(clips), frames, size[0], size[1])
		}
	}
	return clipTensor(in.elem, dims, in.layout.arrange(slices.Concat(clips...), s))
}

// frameSize returns the size of the frames the input takes: def where it is
// open, 224×224 where that is zero.
func (in frameInput) frameSize(def [2]int) (h, w int) {
	pick := func(letter string, def int) int {
		if n := in.size(letter); n > 0 {
			return int(n)
		}
		if def > 0 {
			return def
		}
		return 224
	}
	return pick("H", def[0]), pick("W", def[1])
}
