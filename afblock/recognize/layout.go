package recognize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// inputView says how the graph's input becomes what the stem reads.
type inputView struct {
	layout   afblock.Layout
	segments int // S, frames of one input sample; 0 where they are not told apart from the batch
}

// view follows pixels of what the stem reads back to the graph's input,
// through the movement and the elementwise preprocessing between.
func (r *recognizer) view(in *graph.Value) inputView {
	d := r.Dims(in)
	at := framePixels(d)
	cells := r.Trace(in, at)
	unknown := inputView{afblock.LayoutOther, 0}
	for range maxPrefix {
		v := cells[0].Base
		if v == nil || v.IsInput() {
			break
		}
		if cells = r.throughElementwise(v, cells); cells == nil {
			return unknown
		}
	}
	input := cells[0].Base
	id := r.Dims(input)
	if input == nil || !input.IsInput() || dataflow.Elements(id) != dataflow.Elements(d) {
		return unknown
	}
	inOrder := true
	for i, c := range cells {
		if c.Base != input {
			return unknown
		}
		inOrder = inOrder && c.At == at[i]
	}
	switch {
	case !inOrder:
		if axis := frameAxis(d, id, at, cells); axis > 0 {
			return inputView{axesOfCells(d, id, at, cells, axis), int(id[axis])}
		}
		return channelsLast(d, id, at, cells)
	case slices.Equal(id, d):
		return inputView{afblock.LayoutFrames, 0}
	case len(id) == 5 && slices.Equal(id[2:], d[1:]):
		return inputView{afblock.LayoutSegments, int(id[1])}
	case len(id) == 4 && id[2]*id[3] == d[2]*d[3] && id[1]%d[1] == 0:
		return inputView{afblock.LayoutChannels, int(id[1] / d[1])}
	}
	return unknown
}

// frameAxis returns the axis of an input of dimensions id along which the
// frames of a clip lie, if axis 0 counts the clips: channels last, or time
// behind channels. 0: there is none.
func frameAxis(d, id, at []int64, cells []dataflow.Cell) int {
	st := graph.Strides(id)
	for axis := 1; axis < len(id); axis++ {
		fits := id[axis] > 1
		for i, c := range cells {
			frame := at[i] / (d[1] * d[2] * d[3])
			fits = fits && c.At/st[axis]%id[axis] == frame%id[axis] && c.At/st[0] == frame/id[axis]
		}
		if fits {
			return axis
		}
	}
	return 0
}

// channelsLast is the view of an input of dimensions id, [N·T, H, W, C] or
// [N, H, W, T·C], by where elements of [B, C, H, W] come from; unknown if it is
// neither.
func channelsLast(d, id, at []int64, cells []dataflow.Cell) inputView {
	unknown := inputView{afblock.LayoutOther, 0}
	if len(id) != 4 || id[1] != d[2] || id[2] != d[3] || id[3]%d[1] != 0 {
		return unknown
	}
	frames := id[3] / d[1]
	for i, c := range cells {
		image, channel, pixel := at[i]/(d[1]*d[2]*d[3]), at[i]/(d[2]*d[3])%d[1], at[i]%(d[2]*d[3])
		if c.At != (image/frames*d[2]*d[3]+pixel)*id[3]+image%frames*d[1]+channel {
			return unknown
		}
	}
	if frames == 1 {
		return inputView{afblock.LayoutFramesLast, 0}
	}
	return inputView{afblock.LayoutChannelsLast, int(frames)}
}

// axesOfCells says what the axes of an input of dimensions id count, whose axis
// frames is known to count a clip's frames and whose first its clips, by where
// elements of [B, C, H, W] come from.
func axesOfCells(d, id, at []int64, cells []dataflow.Cell, frames int) afblock.Layout {
	st, inner := graph.Strides(id), graph.Strides(d)
	axes := make([]string, len(id))
	for axis := range id {
		axes[axis] = "?"
		for k, letter := range []string{"", "C", "H", "W"} {
			if k == 0 || d[k] != id[axis] {
				continue
			}
			fits := true
			for i, c := range cells {
				fits = fits && c.At/st[axis]%id[axis] == at[i]/inner[k]%d[k]
			}
			if fits {
				axes[axis] = letter
			}
		}
	}
	axes[0], axes[frames] = "N", "T"
	return afblock.Layout(strings.Join(axes, " "))
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
func (r *recognizer) throughElementwise(v *graph.Value, cells []dataflow.Cell) []dataflow.Cell {
	n := v.Producer()
	if !n.Is("Cast", "Sub", "Add", "Mul", "Div", "Neg", "BatchNormalization", "Clip") {
		return nil
	}
	var data *graph.Value
	for _, in := range n.Inputs() {
		if in == nil || r.Constant(in) != nil {
			continue
		}
		if data != nil {
			return nil
		}
		data = in
	}
	if data == nil || !slices.Equal(r.Dims(data), r.Dims(v)) {
		return nil
	}
	at := make([]int64, len(cells))
	for i, c := range cells {
		if c.Base != v {
			return nil
		}
		at[i] = c.At
	}
	return r.Trace(data, at)
}

// frames settles the T of the network from what the graph shows and what the
// user says, and returns the T of the graph itself: 1 where it was exported with
// a single frame, which is one of any T.
func (r *recognizer) frames(view inputView, rows, averaged int, opt Options) (int, error) {
	r.where = "frames"
	segments := view.segments
	single := r.shiftT <= 1 && averaged <= 1 && (segments == 1 || view.layout.FoldsFrames() && rows == 1)
	t := r.shiftT
	if t == 0 {
		t = averaged
	}
	if t <= 1 && segments > 0 && averaged <= 1 {
		t = segments // one row of scores a frame, but the input holds clips
	}
	switch {
	case t > 1 && opt.Frames > 0 && opt.Frames != t && !cropsOf(t, opt.Frames, r.shiftT):
		return 0, r.refuse(nil, fmt.Sprintf("clips of %d frames, as the graph has them", t), fmt.Sprintf("%d frames asked for", opt.Frames),
			"leave the number of frames out, or export the model for as many")
	case opt.Frames > 0:
		t = opt.Frames
	case t <= 1 && r.shiftT == 0:
		found := "a network that treats every image alone"
		if single {
			found = "a network exported with a single frame"
		}
		return 0, r.needFrames("a temporal shift, a mean over frames or an input of clips, which tell T", found)
	}
	r.net.Frames = t
	if single {
		return 1, nil
	}
	if averaged > 1 && averaged%t != 0 {
		return 0, r.refuse(nil, fmt.Sprintf("a mean over whole clips of %d frames", t), fmt.Sprintf("one over %d", averaged), "")
	}
	if segments > 0 && segments%t != 0 {
		return 0, r.refuse(nil, fmt.Sprintf("an input of whole clips of %d frames", t), fmt.Sprintf("%d frames a sample", segments), "")
	}
	if rows%t != 0 {
		return 0, r.refuse(nil, fmt.Sprintf("an input of whole clips of %d frames", t), fmt.Sprintf("%d images", rows),
			fmt.Sprintf("export the model with a multiple of %d images, or with one", t))
	}
	return t, nil
}

// needFrames is the refusal of a model that is fine but for T.
func (r *recognizer) needFrames(expected, found string) error {
	e := r.refuse(nil, expected, found, "say how many frames a clip has: --source-frames T").(*Error)
	e.NeedFrames = true
	return e
}

// cropsOf reports whether a mean over all frames can be one over the usual
// numbers of crops (three-crop, ten-crop and both flipped) of clips of t.
func cropsOf(all, t, shiftT int) bool {
	return shiftT == 0 && all%t == 0 && slices.Contains([]int{3, 10, 30}, all/t)
}
