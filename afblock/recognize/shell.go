package recognize

import (
	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
)

// Shell is the place in a model where a Network was recognised: the shell
// that is written by copying from there.
type Shell struct {
	model *graph.Model
	in    *graph.Value // what the stem's convolution reads, [N·T, 3, H, W]
	out   *graph.Value // what the last stage makes, [N·T, C, h, w]
	fc    *graph.Node  // the linear layer behind the trunk

	layout   afblock.Layout // how the model's input holds clips
	frames   int            // T of the model, which net.Frames may depart from
	segments int            // frames of one input sample, T times the crops; 0 if only the batch tells

	answer   *graph.Value // the model's output that holds the scores
	scores   *graph.Value // what the linear layer makes, its bias added
	kernel   []int64      // of a linear layer spelled as a convolution: its window, all ones
	classes  int64
	tail     bool         // more than a mean and softmax lies behind the linear layer
	averaged int          // frames that the head averages, T times the crops; 1: none
	head     afblock.Head // as the model has it
	clips    int64        // looked at in recognition
	inDims   []int64      // of in and out then
	outDims  []int64
	exported *Exported // of an AFNet; nil: a plain network
}

// Model returns the model that the network was recognised in.
func (s *Shell) Model() *graph.Model { return s.model }

// Clip says how the model takes clips, and where it answers.
func (s *Shell) Clip() afblock.Clip {
	return afblock.Clip{Input: s.clipInput(), Answer: s.answer, Layout: s.layout, Frames: s.frames, Segments: s.segments}
}
