package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Subject is what Verify is to prove things about. This package knows models,
// not networks: who knows the network behind the model (afblock, codegen)
// says here what to look at and how to write it again.
type Subject struct {
	Model    *graph.Model // the file, decoded
	Path     string
	Lowering string // how its focal branch is written, "" if it has none

	Frames int          // T, frames a clip
	Blocks []FocalBlock // in network order; nil where the model has none
	Size   [2]int       // H, W for random clips where the model takes any; 0: 224

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
	index int // among the inputs that callers give
	name  string
	elem  graph.DataType // float32 or float16
	shape graph.Shape
	// rows is how many rows of the first dimension make a clip: 1, or T where
	// clips are folded into the batch.
	rows int64
}

// clipsInput finds the input that takes clips: [N, T, 3, H, W], [N, T·3, H, W]
// or [N·T, 3, H, W].
func clipsInput(m *graph.Model, frames int) (frameInput, error) {
	i := -1
	for _, v := range m.Graph.Inputs() {
		if v.Initializer() != nil {
			continue
		}
		i++
		s := v.Type.Shape
		if !v.Type.Elem.IsFloat() || len(s) < 4 || len(s) > 5 {
			continue
		}
		if v.Type.Elem != graph.Float32 && v.Type.Elem != graph.Float16 {
			return frameInput{}, fmt.Errorf("%s: input %s is %s: clips are float32 or float16", modelName(m), v.Name(), v.Type)
		}
		in := frameInput{index: i, name: v.Name(), elem: v.Type.Elem, shape: s, rows: 1}
		if len(s) == 4 && s[1].Size == 3 && frames > 0 {
			in.rows = int64(frames)
		}
		return in, nil
	}
	return frameInput{}, fmt.Errorf("%s: no input takes clips: expected a float input of 4 or 5 dimensions", modelName(m))
}

// batch returns the number of clips a model's input fixes, 0 if it takes any.
func (in frameInput) batch() int64 {
	if !in.shape[0].Known() {
		return 0
	}
	return in.shape[0].Size / in.rows
}

// dims returns the concrete shape of n clips. Frame sizes that the model
// leaves open are size, its number of frames frames.
func (in frameInput) dims(n int64, frames int, size [2]int) ([]int64, error) {
	dims := in.shape.Dims()
	k := len(dims)
	dims[0] = n * in.rows
	for i, s := range size {
		if dims[k-2+i] < 0 {
			if dims[k-2+i] = int64(s); s == 0 {
				dims[k-2+i] = 224
			}
		}
	}
	if k == 5 && dims[1] < 0 {
		dims[1] = int64(frames)
	}
	if c := k - 3; dims[c] < 0 {
		if dims[c] = 3; k == 4 && in.rows == 1 {
			dims[c] = 3 * int64(frames)
		}
	}
	for i, d := range dims {
		if d <= 0 {
			return nil, fmt.Errorf("input %s %s: dimension %d is not known: give the frames a clip", in.name, in.shape, i)
		}
	}
	return dims, nil
}

// tensor arranges clips, each [T, 3, H, W], as the input takes them: in every
// form the elements have the same order.
func (in frameInput) tensor(clips [][]float32, frames int, size [2]int) (*graph.Tensor, error) {
	dims, err := in.dims(int64(len(clips)), frames, size)
	if err != nil {
		return nil, err
	}
	if n := product(dims); n != int64(len(clips)*len(clips[0])) {
		return nil, fmt.Errorf("%d clips of %d frames do not fit %v", len(clips), frames, dims)
	}
	if in.elem == graph.Float16 {
		return float16s(dims, slices.Concat(clips...))
	}
	return graph.Float32s(dims, slices.Concat(clips...)...), nil
}

// framesOf returns how many frames a clip of a model has: what its input says,
// or def where clips are folded into the batch.
func framesOf(m *graph.Model, def, h, w int) (int, error) {
	in, err := clipsInput(m, 0)
	if err != nil {
		return 0, err
	}
	if len(in.shape) == 4 && in.shape[1].Size == 3 {
		return def, nil
	}
	dims, err := in.dims(1, def, [2]int{h, w})
	if err != nil {
		return 0, err
	}
	return int(product(dims[1:len(dims)-2]) / 3), nil
}
