package afblock

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Layout is how a model's input holds clips.
type Layout int

const (
	// LayoutOther is any other view than those below.
	LayoutOther Layout = iota
	// LayoutFrames is [N·T, 3, H, W]: frames folded into the batch axis.
	LayoutFrames
	// LayoutSegments is [N, S, 3, H, W].
	LayoutSegments
	// LayoutChannels is [N, S·3, H, W]: frames side by side as channels (MIT TSM).
	LayoutChannels
)

func (l Layout) String() string {
	switch l {
	case LayoutFrames:
		return "[N·T, 3, H, W]"
	case LayoutSegments:
		return "[N, T, 3, H, W]"
	case LayoutChannels:
		return "[N, T·3, H, W]"
	}
	return "other"
}

// layout says how the graph's input becomes what the stem reads, by following
// pixels back through the movement and the elementwise preprocessing between.
// segments is S, the frames of one input sample; 0 where they are not told
// apart from the batch.
func (r *recognizer) layout(in *graph.Value) (l Layout, segments int) {
	d := r.dims(in)
	at := framePixels(d)
	cells := r.trace(in, at)
	for range maxPrefix {
		v := cells[0].base
		if v == nil || v.IsInput() {
			break
		}
		if cells = r.throughElementwise(v, cells); cells == nil {
			return LayoutOther, 0
		}
	}
	input := cells[0].base
	id := r.dims(input)
	if input == nil || !input.IsInput() || elements(id) != elements(d) {
		return LayoutOther, 0
	}
	for i, c := range cells {
		if c.base != input || c.at != at[i] {
			return LayoutOther, 0 // not the frames in order
		}
	}
	image := d[2] * d[3]
	switch {
	case slices.Equal(id, d):
		return LayoutFrames, 0
	case len(id) == 5 && slices.Equal(id[2:], d[1:]):
		return LayoutSegments, int(id[1])
	case len(id) == 4 && id[2]*id[3] == image && id[1]%d[1] == 0:
		return LayoutChannels, int(id[1] / d[1])
	}
	return LayoutOther, 0
}

// maxPrefix bounds the elementwise steps between input and stem.
const maxPrefix = 32

// framePixels are some pixels of each frame and channel of [B, C, H, W].
func framePixels(d []int64) []int64 {
	var at []int64
	pixels := samplePixels(d[2], d[3])
	for image := range min(d[0]*d[1], 4096) {
		for _, px := range pixels {
			at = append(at, image*d[2]*d[3]+px)
		}
	}
	return at
}

// throughElementwise follows cells of v through a node of preprocessing that
// computes element by element with constants: a cast, a scale, a mean taken
// off. nil if v is made otherwise.
func (r *recognizer) throughElementwise(v *graph.Value, cells []cell) []cell {
	n := v.Producer()
	if !n.Is("Cast", "Sub", "Add", "Mul", "Div", "Neg", "BatchNormalization", "Clip") {
		return nil
	}
	var data *graph.Value
	for _, in := range n.Inputs() {
		if in == nil || r.constant(in) != nil {
			continue
		}
		if data != nil {
			return nil
		}
		data = in
	}
	if data == nil || !slices.Equal(r.dims(data), r.dims(v)) {
		return nil
	}
	at := make([]int64, len(cells))
	for i, c := range cells {
		if c.base != v {
			return nil
		}
		at[i] = c.at
	}
	return r.trace(data, at)
}

// frames settles T from what the graph shows and what the user says.
func (r *recognizer) frames(segments, averaged int, opt RecognizeOptions) error {
	r.where = "frames"
	t := r.shiftT
	if t == 0 {
		t = averaged
	}
	if t <= 1 && segments > 0 && averaged <= 1 {
		t = segments // one row of scores a frame, but the input holds clips
	}
	switch {
	case t > 1 && opt.Frames > 0 && opt.Frames != t && !cropsOf(t, opt.Frames, r.shiftT):
		return r.refuse(nil, fmt.Sprintf("clips of %d frames, as the graph has them", t), fmt.Sprintf("%d frames asked for", opt.Frames),
			"leave the number of frames out, or export the model for as many")
	case opt.Frames > 0:
		t = opt.Frames
	case t <= 1:
		e := r.refuse(nil, "a temporal shift, a mean over frames or an input of clips, which tell T",
			"a network that treats every image alone", "say how many frames a clip has: --frames T").(*NotRecognizedError)
		e.NeedFrames = true
		return e
	}
	if averaged > 1 && averaged%t != 0 {
		return r.refuse(nil, fmt.Sprintf("a mean over whole clips of %d frames", t), fmt.Sprintf("one over %d", averaged), "")
	}
	if segments > 0 && segments%t != 0 {
		return r.refuse(nil, fmt.Sprintf("an input of whole clips of %d frames", t), fmt.Sprintf("%d frames a sample", segments), "")
	}
	r.net.Frames = t
	return nil
}

// cropsOf reports whether a mean over all frames can be one over the usual
// numbers of crops (three-crop, ten-crop and both flipped) of clips of t.
func cropsOf(all, t, shiftT int) bool {
	return shiftT == 0 && all%t == 0 && slices.Contains([]int{3, 10, 30}, all/t)
}
