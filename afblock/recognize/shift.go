package recognize

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// flow is what a computed value goes through on its way to where it is read:
// nothing, or a temporal shift.
type flow struct {
	base   *graph.Value // the computed value
	fold   int          // of the shift; 0: none
	past   bool         // the first fold comes from the frame before
	frames int          // T, as the shift shows it; 0 without shift
}

// misfit says what a stretch of data movement is, when it is neither nothing
// nor TSM's shift.
type misfit struct {
	found string
	hint  string
}

// frozenShift is a shift that its export turned into a constant.
var frozenShift = misfit{
	found: "a constant, which no frame reaches",
	hint:  "the exporter froze the temporal shift (mit-han-lab/temporal-shift-module#181); export again with a newer PyTorch, or with the shift written as a concatenation",
}

// shiftRows bounds how many frames of the batch a shift is read from. A clip
// of more than half as many frames is not seen whole.
const shiftRows = 2048

// maxChannels bounds the width of a map; ResNets have up to 2048 channels.
const maxChannels = 1 << 16

// readFlow follows v back to the value that was computed and reads off what
// the movement in between does. Every frame and channel is followed, at one
// pixel each, the pixels differing.
func (r *recognizer) readFlow(v *graph.Value) (flow, *misfit) {
	d := r.Dims(v)
	if len(d) != 4 || dataflow.Elements(d) == 0 {
		if r.moved(v) {
			return flow{}, &misfit{found: "a tensor of shape " + v.Type.Shape.String()}
		}
		return flow{base: v}, nil
	}
	if !r.moved(v) {
		return flow{base: v}, nil
	}
	rows, channels := min(d[0], shiftRows), d[1]
	if channels > maxChannels {
		return flow{}, &misfit{found: fmt.Sprintf("%d channels", channels)}
	}
	at := frameSamples(d, rows)
	return r.readShift(v, d, rows, at, r.Trace(v, at))
}

// samplePixels are the first, the last and some middle pixels of a map.
func samplePixels(h, w int64) []int64 {
	n := h * w
	s := []int64{0, n / 2, n - 1, n / 3, (w - 1) % n}
	slices.Sort(s)
	return slices.Compact(s)
}

// readShift reads the shift off the cells of the first rows frames.
func (r *recognizer) readShift(v *graph.Value, d []int64, rows int64, at []int64, cells []dataflow.Cell) (flow, *misfit) {
	var base *graph.Value
	for _, c := range cells {
		switch {
		case c.Base == nil && c.Val != 0:
			return flow{}, &misfit{found: fmt.Sprintf("a tensor with the constant %g in it", float32(c.Val)), hint: frozenShift.hint}
		case c.Base == nil || c.Base == base:
		case base == nil:
			base = c.Base
		default:
			return flow{}, &misfit{
				found: fmt.Sprintf("a mixture of %q and %q", base.Name(), c.Base.Name()),
				hint:  "a ResNet's blocks add; networks that concatenate (DenseNet, Inception) are others",
			}
		}
	}
	if base == nil {
		m := frozenShift
		return flow{}, &m
	}
	if !slices.Equal(r.Dims(base), d) {
		return flow{}, &misfit{found: fmt.Sprintf("%q of shape %v, viewed as %v", base.Name(), r.Dims(base), d)}
	}
	image, channels := d[2]*d[3], d[1]
	source := make([]int64, len(cells)) // the frame each (frame, channel) comes from, −1 where it is zero
	for i, c := range cells {
		source[i] = -1
		if c.Base == nil {
			continue
		}
		if c.At%image != at[i]%image || c.At/image%channels != at[i]/image%channels {
			return flow{}, &misfit{found: "data movement across channels or pixels"}
		}
		source[i] = c.At / (image * channels)
	}
	return readFold(base, source, rows, channels)
}

// readFold finds fold and T in source, which says for each of rows frames and
// each channel the frame it comes from, −1 for zero.
func readFold(base *graph.Value, source []int64, rows, channels int64) (flow, *misfit) {
	col := func(c int64) []int64 {
		s := make([]int64, rows)
		for b := range rows {
			s[b] = source[b*channels+c]
		}
		return s
	}
	still := make([]int64, rows)
	for b := range still {
		still[b] = int64(b)
	}
	firstStill := channels // the first channel from which on nothing moves
	for firstStill > 0 && slices.Equal(col(firstStill-1), still) {
		firstStill--
	}
	if firstStill == 0 {
		return flow{base: base}, nil
	}
	next := col(0)
	fold := int64(0)
	for fold < firstStill && slices.Equal(col(fold), next) {
		fold++
	}
	frames, past := clipOf(next), false
	if frames == 0 && fold < firstStill {
		if t := clipOf(col(fold)); t > 1 {
			frames, past = t, true
		}
	}
	if frames == 1 && fold == firstStill && fold%2 == 0 {
		fold /= 2 // a clip of one frame has zeros on both sides
	}
	if frames == 0 {
		return flow{}, notShift(next, rows)
	}
	first, second := "the next frame", "the frame before"
	if past {
		first, second = second, first
	}
	for c := range firstStill {
		want := shiftSource(rows, frames, c < fold != past)
		if got := col(c); !slices.Equal(got, want) {
			return flow{}, &misfit{found: fmt.Sprintf("channels [0, %d) taken from %s, but channel %d from %s", fold, first, c, describeSource(got))}
		}
	}
	if firstStill == fold {
		return flow{}, &misfit{
			found: fmt.Sprintf("channels [0, %d) taken from %s and none from %s", fold, first, second),
			hint:  "afc knows TSM's shift in both directions only",
		}
	}
	if firstStill != 2*fold {
		return flow{}, &misfit{found: fmt.Sprintf("%d channels taken from %s but %d from %s", fold, first, firstStill-fold, second)}
	}
	return flow{base: base, fold: int(fold), past: past, frames: int(frames)}, nil
}

// clipOf returns the T for which next is "each frame from the one behind it,
// the clip's last zero", 0 if there is none. Zeros alone are a clip of one frame
// only where there is one frame: elsewhere an export that lost its shift.
func clipOf(next []int64) int64 {
	zero := int64(slices.Index(next, -1))
	if zero < 0 || zero == 0 && len(next) > 1 {
		return 0
	}
	frames := zero + 1
	if !slices.Equal(next, shiftSource(int64(len(next)), frames, true)) {
		return 0
	}
	return frames
}

// shiftSource is where the frames of clips of T come from in a shifted channel.
func shiftSource(rows, frames int64, fromNext bool) []int64 {
	s := make([]int64, rows)
	for b := range rows {
		switch t := b % frames; {
		case fromNext && t == frames-1, !fromNext && t == 0:
			s[b] = -1
		case fromNext:
			s[b] = b + 1
		default:
			s[b] = b - 1
		}
	}
	return s
}

// notShift names a channel's movement that is no shift from the next frame.
func notShift(source []int64, rows int64) *misfit {
	switch {
	case !slices.Contains(source, -1) && rows > 1:
		return &misfit{
			found: "a circular shift: " + describeSource(source),
			hint:  "TSM fills with zeros at a clip's ends; a network trained with torch.roll is another network",
		}
	case source[0] == -1 && rows > 1 && source[1] == 0:
		return &misfit{
			found: "channels taken from the frame before only: " + describeSource(source),
			hint:  "this is the one-way shift of online TSM; afc knows TSM's shift in both directions only",
		}
	}
	return &misfit{found: describeSource(source)}
}

// describeSource spells the first frames' origins: "frames 1, 2, 3, zero".
func describeSource(source []int64) string {
	s := "frames"
	for i, b := range source[:min(len(source), 8)] {
		if i > 0 {
			s += ","
		}
		if b < 0 {
			s += " zero"
		} else {
			s += fmt.Sprintf(" %d", b)
		}
	}
	if len(source) > 8 {
		s += ", …"
	}
	return s
}

// moved reports whether v is made by data movement, judged by some elements.
func (r *recognizer) moved(v *graph.Value) bool {
	d := r.Dims(v)
	if v == nil || v.Producer() == nil || d == nil {
		return false
	}
	n := dataflow.Elements(d)
	if n == 0 {
		return false
	}
	for _, c := range r.Trace(v, []int64{0, n / 2, n - 1}) {
		if c.Base == v {
			return false
		}
	}
	return true
}
