package fit

import (
	"errors"
	"fmt"
	"math"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
)

// Masks says which selections of frames a network is fitted for.
type Masks string

const (
	// Schedule fits for the one selection that navigation spells.
	Schedule Masks = "schedule"
	// Any fits for every selection: frames are selected at random while fitting.
	Any Masks = "any"
)

// Input is what a fit starts from.
type Input struct {
	// Source is the network as it was recognised, Net its AFNet, as Rewrite made
	// it, with a fixed pattern for navigation.
	Source, Net *afblock.Network
	// Videos are the clips. Labels are not looked at.
	Videos clips.Videos
}

// check refuses networks that a fit cannot be of.
func (in *Input) check() error {
	switch {
	case len(in.Source.Navigation()) > 0 || in.Source.Schedule() != nil:
		return errors.New("the source skips frames itself: a fit takes the TSN or TSM that an AFNet is made of")
	case len(in.Source.Stages) != len(in.Net.Stages):
		return fmt.Errorf("the source has %d stages, its AFNet %d", len(in.Source.Stages), len(in.Net.Stages))
	case in.Net.HasCells():
		return errors.New("the AFNet chooses cells inside the frames, which no fit knows: fit it for whole frames")
	}
	for i, s := range in.Net.Stages {
		if have, want := len(in.Source.Stages[i].Blocks), len(s.MainLine()); have != want {
			return fmt.Errorf("%s: the source has %d blocks, its AFNet %d", s.Name, have, want)
		}
	}
	for _, n := range in.Net.Navigation() {
		if n.Fixed == nil {
			return fmt.Errorf("%s: navigation was trained; a fit is for a schedule, or for any selection", n.Key)
		}
	}
	return nil
}

// Options are the choices of Fit.
type Options struct {
	Clips   int    // clips to fit on; 0: all but those held back
	Held    int    // clips held back to measure on; 0: a tenth, at most 100; below zero: none
	Rows    int    // positions a regression looks at; 0: DefaultRows
	For     Masks  // "": Schedule
	Seed    uint64 // of positions and random masks
	Threads int    // of ONNX Runtime; 0: one a core

	// State is a folder to keep the fit so far in, stage by stage, and to go on from
	// if it holds that of the same fit; "": none. See Forget.
	State string

	// Progress is told what was fitted, of how much; nil: nobody.
	Progress func(done, total int, l Layer)

	// ridge multiplies the ridges; 0: 1. Tests whose answer is known exactly make
	// it small.
	ridge float64
}

// DefaultRows is how many positions a regression looks at.
const DefaultRows = 25000

// Ridges, in parts of the mean of the Gram matrix's diagonal. Where there are
// many unknowns and small maps, a larger one.
const (
	ridge     = 1e-3
	wideRidge = 1e-2
)

// Layer is what was fitted of one convolution or linear layer.
type Layer struct {
	Name    string `json:"name"`
	Inputs  int    `json:"inputs"`  // unknowns of each output
	Outputs int    `json:"outputs"` //
	Rows    int    `json:"rows"`    // positions of the clips
	// Residual is the squared error left, in parts of the targets' spread.
	Residual float64 `json:"residual"`
}

var (
	errNotFinite = errors.New("values are not finite (NaN or infinite)")
	errConstant  = errors.New("activations do not vary: clips of one colour, or the same frame everywhere?")
)

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
