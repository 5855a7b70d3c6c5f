package verify

import (
	"errors"
	"fmt"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/interpret"
	"github.com/afc-project/afc/verify/ort"
)

// Subject is what Verify is to prove things about. This package knows models,
// not networks: who knows the network behind the model (afblock, codegen)
// says here what to look at and how to write it again.
type Subject struct {
	Model    *graph.Model // the file, decoded
	Path     string
	Lowering string // how its focal branch is written, "" if it has none

	Frames   int           // T, frames a clip
	Channels int           // of a frame, of the source too; 0: 3
	Layout   clips.Layout  // how the input holds clips; nil: as its shape suggests
	Blocks   []names.Focal // in network order; nil where the model has none
	Stages   []string      // names of the stages, in network order
	Size     [2]int        // H, W for random clips where the model takes any; 0: 224

	// Budget is how many frames of a clip each block computes, whatever it
	// selects (one entry serves all); nil: as many as are selected.
	Budget []int

	// Masks says that the file has the output "masks": its choices, float32 0/1
	// [N, blocks, T]. Where it has a budget, it has the output "dropped" too:
	// how many chosen frames lie beyond each block's, float32 [N, blocks].
	Masks bool

	// Network is the network that the file holds, to interpret; nil where afc did
	// not write it. TrunkIn and TrunkOut name the values that its stem reads and
	// its last stage makes, "" where the clips are what it reads.
	Network           *interpret.Network
	TrunkIn, TrunkOut string

	// Unit is the unit roundoff of the type that the file computes in, where that
	// is not float32: 2⁻¹¹ of half precision. Rounding is then how far its answers
	// may lie from those of float32, in parts of the largest.
	Unit, Rounding float64

	// Variant writes a network like the file's in the file's way.
	Variant func(interpret.Variant) (*Variant, error)

	// Reference writes the network that the file holds once more, with the
	// mask lowering and the output "masks" (float32 0/1 [N, blocks, T]); with
	// masksIn its navigation is replaced by an input "masks_in" of that form.
	// nil, or an error of type *InapplicableError: those checks are skipped.
	Reference func(masksIn bool) (*graph.Model, error)

	// Identity writes the file's network with every frame selected and its
	// gate on the focal side, if that makes it equal the source, else a dense
	// twin of it.
	Identity func() (*graph.Model, error)

	// Dial says that there is an input "margin", which moves every choice of frames.
	Dial bool

	Source       *graph.Model // the model the file was made from; nil: not given
	SourceFrames int          // frames a clip of it has; 0: as its input says, or Frames
	SourceLayout clips.Layout // as Layout

	// SourceNetwork is the source as a network, nil where it was not recognised
	// (SourceUnknown then says why), and Origin where the file's weights come from.
	SourceNetwork *interpret.Network
	SourceUnknown string
	Origin        interpret.Origin

	// Export is the source where it is an AFNet that another program exported; nil
	// where it is a network to rewrite.
	Export *Export

	// FineTune says that the file's AF weights were never trained, so that it
	// need not answer like the source.
	FineTune bool
	// Fitted says how the AF weights were fitted to the source, "" if they were
	// not.
	Fitted string
	// Probabilities says that the models' outputs have gone through softmax.
	Probabilities bool
}

// Export is a source that is an AFNet already: the file must equal it.
type Export struct {
	Model *graph.Model // without the noise in its choices
	Masks string       // its output of choices, of the form of "masks"; "": it has none of that form

	Retrained bool   // the file's weights were trained since, so that it must not
	Differs   string // in what the network in the file is another, "" where it is the same
	Tensors   int    // equal ones
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

// clipsInput finds the input of one of the prover's models that takes clips.
func (p *prover) clipsInput(m *graph.Model, frames int) (clips.Input, error) {
	layout := p.s.Layout
	if m == p.s.Source {
		layout = p.s.SourceLayout
	}
	in, err := clips.InputOf(m, layout, frames, p.channels)
	if err != nil {
		return in, fmt.Errorf("%s: %w", ort.ModelName(m), err)
	}
	return in, nil
}
