package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// clipInputs returns the inputs that are fed at run time: those without an
// initializer.
func clipInputs(m *graph.Model) ([]*graph.Value, error) {
	var in []*graph.Value
	for _, v := range m.Graph.Inputs() {
		if v.Initializer() == nil {
			in = append(in, v)
		}
	}
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

// Sizes tried where the model leaves them open: two clips, so that a shift or a
// mean over clips is told from one over the batch; the size that every ResNet
// takes.
const (
	probeClips = 2
	probeSize  = 224
)

// batches lists the input sizes to look at the model with, the likeliest first.
// There is one where the model fixes its sizes, or where they do not depend on
// T; else one for each T that the graph's constants speak of.
func batches(m *graph.Model, in *graph.Value, opt Options) []map[string][]int64 {
	s := in.Type.Shape
	rank := len(s)
	channels := frameChannels(m)
	isChannels := func(axis int) bool { return s[axis].Known() && s[axis].Size == channels }
	axis, last := rank-3, isChannels(rank-1) && !isChannels(rank-3) // of the channels; they come last in images as decoders make them
	if last {
		axis = rank - 1
	}
	fixed := func(t int64) []int64 {
		d := s.Dims()
		for i := range d {
			if d[i] > 0 {
				continue
			}
			switch {
			case i == axis: // channels: of one frame, or of a clip where it is the second axis
				d[i] = channels
				if rank == 4 && s[0].Known() {
					d[i] *= t
				}
			case i >= rank-3 && (last || i > axis):
				d[i] = probeSize
			case i == 0 && rank == 4 && (last || !s[1].Known() || s[1].Size == channels):
				d[i] = probeClips * t
			case i == 0:
				d[i] = probeClips
			default:
				d[i] = t
			}
		}
		return d
	}
	var list []map[string][]int64
	var seen [][]int64
	for _, t := range clipLengths(m, opt) {
		d := fixed(t)
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
	if t == nil || t.DType != graph.Int64 || elements(t.Dims) > 8 {
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
