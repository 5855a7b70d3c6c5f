package train

import (
	"fmt"
	"slices"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/clips"
)

// Input is what training starts from.
type Input struct {
	Net    *afblock.Network // an AFNet
	Source *afblock.Network // the teacher; nil: none
	Videos clips.Videos     // to train on
	Val    clips.Videos     // to choose the best weights by; nil: the last are taken
	// Origin says what the networks and clips were, for a state to be refused that
	// belongs to others.
	Origin map[string]string
}

// Masks says which frames focal blocks compute while training.
type Masks string

const (
	// Schedule is the fixed pattern that navigation spells, which stays.
	Schedule Masks = "schedule"
	// Choose has navigation learn to choose, R_T of the frames.
	Choose Masks = "learned"
	// Random masks serve every budget: the weights learn, navigation does not.
	Random Masks = "random"
)

// Options are the choices of Tune. Those that say so have defaults where zero.
type Options struct {
	Groups  []Group // that learn
	Masks   Masks
	Ratio   float64   // R_T of Choose
	Lambda  float64   // weight of the ratio's loss
	Budgets []float64 // shares of frames that Random selects, each clip and block one of them

	Labels  float64 // weight of the cross-entropy
	Distill float64 // weight of the distance to the teacher's scores
	// Variants shows clips mirrored and backwards too, as the teacher labels them.
	Variants bool
	Flip     bool // mirrors half the clips, label and all
	Dropout  float64
	Norm     Norm

	Epochs int
	Batch  int
	Update Update
	Rate   float64 // learning rate
	Rates  Multiples
	Decay  Decay
	Seed   uint64

	Threads   int    // of ONNX Runtime; 0: one a core
	State     string // path of the state, "" for none
	Resume    bool   // go on from the state
	SaveEvery int    // steps between states; 0: one an epoch
	Log       string // path of a log, a JSON object a line; "": none

	Progress func(Progress) // nil: nobody
}

// Decay is how the learning rate falls.
type Decay string

const (
	Steps  Decay = "steps"  // the authors': divided by ten at 25 and at 45 of 55 epochs
	Cosine Decay = "cosine" // after some steps of growing, half a cosine to zero
)

// Progress is what is told of each step and of each validation.
type Progress struct {
	Epoch  int                `json:"epoch"`
	Step   int                `json:"step"` // of the epoch, from 1 on
	Steps  int                `json:"steps,omitempty"`
	Facts  map[string]float64 `json:"facts,omitempty"`
	Tau    float64            `json:"tau,omitempty"`
	Target float64            `json:"target_ratio,omitempty"`
	Rate   float64            `json:"rate,omitempty"`
	Speed  float64            `json:"clips_per_second,omitempty"`
	Val    *Score             `json:"validation,omitempty"`

	Left time.Duration `json:"-"` // of all epochs, about
}

// RefusedError is a network, or clips, that cannot be trained as asked.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// Step writes the step that these options train a network with.
func (o *Options) Step(net *afblock.Network) (*Step, error) {
	s, err := NewStep(net, StepOptions{
		Clips: o.Batch, Size: net.FrameSize(), Groups: o.Groups, Multiples: o.Rates, Selection: o.selection(), Norm: o.Norm,
		Labels: o.Labels, Distill: o.Distill, Dropout: o.Dropout > 0, Update: o.Update,
	})
	if err != nil {
		return nil, &RefusedError{err}
	}
	return s, nil
}

// check refuses options that no training can follow.
func (o *Options) check(in Input) error {
	blocks := len(in.Net.Navigation())
	switch {
	case blocks == 0:
		return fmt.Errorf("a plain network, without AF stages: there is nothing to select")
	case in.Net.HasCells():
		return fmt.Errorf("the network chooses cells inside the frames, which are not trained here: train it as PyTorch code (export --format pytorch)")
	case o.Labels == 0 && o.Distill == 0:
		return fmt.Errorf("nothing to learn from: neither labels nor a source")
	case o.Distill > 0 && in.Source == nil:
		return fmt.Errorf("no source to learn from")
	case o.Variants && (in.Source == nil || o.Labels > 0):
		return fmt.Errorf("clips mirrored and backwards are another class; only a source can say which")
	case in.Source != nil && in.Source.Head.FC.Out() != in.Net.Head.FC.Out():
		return fmt.Errorf("the source knows %d classes, the network %d", in.Source.Head.FC.Out(), in.Net.Head.FC.Out())
	case o.Batch < 1 || o.Epochs < 1:
		return fmt.Errorf("%d epochs of batches of %d clips", o.Epochs, o.Batch)
	case o.Masks == Random && len(o.Budgets) == 0:
		return fmt.Errorf("no budgets to draw masks for")
	}
	if o.Masks == Schedule && slices.ContainsFunc(in.Net.Navigation(), func(n *afblock.Navigation) bool { return n.Fixed == nil }) {
		return fmt.Errorf("navigation was trained, there is no schedule to keep")
	}
	return o.labelled(in)
}

// labelled refuses videos without labels where labels are learned.
func (o *Options) labelled(in Input) error {
	if o.Labels == 0 {
		return nil
	}
	classes := in.Net.Head.FC.Out()
	for i := range in.Videos.Len() {
		if l := in.Videos.Label(i); l < 0 || l >= classes {
			return fmt.Errorf("%s: video %d has the label %d; the network knows classes 0 to %d", in.Videos, i, l, classes-1)
		}
	}
	return nil
}

func (o *Options) selection() Selection {
	if o.Masks == Choose {
		return Learned
	}
	return Given
}
