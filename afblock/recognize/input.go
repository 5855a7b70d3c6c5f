package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// clipInputs returns the inputs that are fed at run time: those without an
// initializer.
func clipInputs(m *graph.Model) ([]*graph.Value, error) {
	in := m.DataInputs()
	if len(in) == 0 {
		return nil, &Error{Where: "input", Expected: "an input of frames", Found: "a graph without inputs"}
	}
	return in, nil
}

// refuseInputs refuses inputs that no TSN or TSM has.
func refuseInputs(m *graph.Model, in []*graph.Value) error {
	no := func(expected, found, hint string) error {
		return &Error{Where: "input", Expected: expected, Found: found, Hint: hint}
	}
	if len(in) > 1 {
		if isOnline(in, m.Graph.Outputs()) {
			return no("one input, a clip of frames", fmt.Sprintf("%d inputs and %d outputs: online TSM, which keeps channels of the frame before in buffers", len(in), len(m.Graph.Outputs())),
				"online TSM sees one frame at a time, so there is no frame to skip by looking at others; convert the offline model")
		}
		return no("one input, a clip of frames", fmt.Sprintf("%d inputs, %q and %q the first", len(in), in[0], in[1]), "")
	}
	s := in[0].Type.Shape
	if len(s) == 5 && in[0].Type.IsTensor() && s[1].Known() && s[1].Size == 3 && !(s[2].Known() && s[2].Size == 3) {
		if conv := firstReader(in[0]); conv.Is("Conv") {
			return &Error{Where: "stem", Node: conv.String(), Expected: "a 2-D convolution over frames", Found: "a 3-D convolution",
				Hint: "afc rewrites 2-D ResNets over frames (TSN, TSM); 3-D networks (C3D, I3D, R(2+1)D, SlowFast, X3D) are others"}
		}
	}
	if len(s) < 4 || len(s) > 6 {
		return no("an input of frames, [N·T, 3, H, W], [N, T, 3, H, W] or [N, T·3, H, W]", fmt.Sprintf("%q of shape %s", in[0], s), "")
	}
	return nil
}

func firstReader(v *graph.Value) *graph.Node {
	if len(v.Uses()) == 0 {
		return nil
	}
	return v.Uses()[0].Node
}

// isOnline reports whether inputs and outputs are online TSM's: a frame and a
// buffer of channels for each block, and as many outputs.
func isOnline(in, out []*graph.Value) bool {
	if len(in) != len(out) || len(in) < 3 {
		return false
	}
	for _, v := range in[1:] {
		concat := firstReader(v)
		if len(v.Type.Shape) != 4 || !concat.Is("Concat", "Slice", "Identity", "Cast") {
			return false
		}
	}
	return true
}

// clipSizes are what the open sizes of a model's input are taken to be.
type clipSizes struct{ clips, frames, height, width int64 }

// probeSizes are what a model is looked at with first: two clips, so that a
// shift or a mean over clips is told from one over the batch; the size that
// every ResNet takes.
func probeSizes(frames int64) clipSizes { return clipSizes{2, frames, 224, 224} }

// inputAxes says what the axes of a model's input count.
type inputAxes struct {
	shape    graph.Shape
	channels int64 // of a frame
	last     bool  // they come last, as in images as decoders make them
}

func axesOf(m *graph.Model, shape graph.Shape) inputAxes {
	a := inputAxes{shape: shape, channels: frameChannels(m)}
	rank := len(a.shape)
	is := func(axis int) bool { return a.shape[axis].Known() && a.shape[axis].Size == a.channels }
	a.last = is(rank-1) && !is(rank-3)
	return a
}

// dims gives the open axes sizes. Those that the model fixes stay.
func (a inputAxes) dims(size clipSizes) []int64 {
	d, rank := a.shape.Dims(), len(a.shape)
	channels := rank - 3
	height, width := rank-2, rank-1
	if a.last {
		channels, height, width = rank-1, rank-3, rank-2
	}
	for i := range d {
		if d[i] > 0 {
			continue
		}
		switch {
		case i == channels: // of one frame, or of a clip where it is the second axis
			d[i] = a.channels
			if rank == 4 && a.shape[0].Known() {
				d[i] *= size.frames
			}
		case i == height:
			d[i] = size.height
		case i == width:
			d[i] = size.width
		case i == 0 && rank == 4 && (a.last || !a.shape[1].Known() || a.shape[1].Size == a.channels):
			d[i] = size.clips * size.frames
		case i == 0:
			d[i] = size.clips
		default:
			d[i] = size.frames
		}
	}
	return d
}

// openBatch, openFrames and openImage report whether the model leaves open how
// many clips there are, how many frames a clip has (told apart from the batch or
// not), and how large frames are.
func (a inputAxes) openBatch() bool  { return a.depends(clipSizes{3, 5, 64, 96}) }
func (a inputAxes) openFrames() bool { return a.depends(clipSizes{2, 7, 64, 96}) }
func (a inputAxes) openImage() bool  { return a.depends(clipSizes{2, 5, 32, 160}) }

func (a inputAxes) depends(size clipSizes) bool {
	return !slices.Equal(a.dims(size), a.dims(clipSizes{2, 5, 64, 96}))
}

// batches lists the input sizes to look at the model with, the likeliest first.
// There is one where the model fixes its sizes, or where they do not depend on
// T; else one for each T that the graph's constants speak of.
func batches(m *graph.Model, in *graph.Value, opt Options) []map[string][]int64 {
	axes := axesOf(m, in.Type.Shape)
	var list []map[string][]int64
	var seen [][]int64
	for _, t := range clipLengths(m, opt) {
		d := axes.dims(probeSizes(t))
		if !slices.ContainsFunc(seen, func(o []int64) bool { return slices.Equal(o, d) }) {
			seen = append(seen, d)
			list = append(list, map[string][]int64{in.Name(): d})
		}
	}
	return list
}

// frameChannels returns the channels of one frame as the first convolution
// takes them, 3 where it does not tell.
func frameChannels(m *graph.Model) int64 {
	for n := range m.Graph.Nodes() {
		if !n.Is("Conv") {
			continue
		}
		if v := n.Input(1); v != nil && v.Initializer() != nil && len(v.Initializer().Dims) == 4 {
			return v.Initializer().Dims[1] * max(n.AttrInt("group", 1), 1)
		}
		break
	}
	return 3
}

// maxClipLength bounds the T read off constants: 250 is 25 clips of 10 crops.
const maxClipLength = 256

// clipLengths lists the T that a model may have: the user's, then the small
// integers among the constants that reshape something, then 8, TSN's usual.
func clipLengths(m *graph.Model, opt Options) []int64 {
	var list []int64
	add := func(t int64) {
		if t > 1 && t <= maxClipLength && !slices.Contains(list, t) && len(list) < 24 {
			list = append(list, t)
		}
	}
	add(int64(opt.Frames))
	for n := range m.Graph.Nodes() {
		var shape *graph.Value
		switch {
		case n.Is("Reshape"):
			shape = n.Input(1)
		case n.Is("Concat") && len(n.Inputs()) >= 3 && n.AttrInt("axis", 0) == 0: // a shape put together
			for _, v := range n.Inputs() {
				addInts(v, add)
			}
			continue
		}
		addInts(shape, add)
	}
	add(8)
	return list
}

// addInts calls add with the elements of a small constant of integers.
func addInts(v *graph.Value, add func(int64)) {
	t := v.Const()
	if t == nil || t.DType != graph.Int64 || dataflow.Elements(t.Dims) > 8 {
		return
	}
	x, err := t.Int64s()
	if err != nil {
		return
	}
	for _, k := range x {
		add(k)
	}
}
