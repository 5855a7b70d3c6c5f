package recognize

import (
	"errors"
	"fmt"
	"strings"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/dataflow"
)

// Options are what a user may know that the graph does not say.
type Options struct {
	// Frames is T, the frames (segments) of a clip; 0: the graph says it. If
	// both say it and differ, the model is refused.
	Frames int
	// Default is T where neither says it; 0: such a model is refused.
	Default int
}

// Error says why a model is not a video ResNet that afc
// understands: how far recognition came and what stopped it there.
type Error struct {
	File     string `json:"file,omitempty"`  // the model's, "" if it has none
	Where    string `json:"where,omitempty"` // how far it came: "layer2, block 0"
	Node     string `json:"node,omitempty"`  // the first node that did not fit, "" where it is none
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Hint     string `json:"hint,omitempty"` // what to do, "" if nothing helps

	// NeedFrames is set when all that is missing is T, which
	// Options.Frames can give.
	NeedFrames bool `json:"needs_frames,omitempty"`

	afnet bool // it came as far as an AF module
	told  bool // what was found says more than the kind of the whole model would
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	kind := "a TSN or TSM ResNet"
	if e.afnet {
		kind = "an AFNet"
	}
	b.WriteString("not recognised as " + kind)
	if e.Where != "" {
		fmt.Fprintf(&b, " at %s", e.Where)
	}
	if e.Node != "" {
		fmt.Fprintf(&b, ": node %s", e.Node)
	}
	fmt.Fprintf(&b, ": expected %s, found %s", e.Expected, e.Found)
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

// Network reads a TSN or TSM ResNet out of a model, by what its nodes do and
// not by how an exporter spells it: between one computing node and the next,
// elements are followed through whatever moves them (trace), and the movement
// is read off. The model is left as it is; the network shares its tensors.
//
// A model that is something else gives an *Error.
func Network(m *graph.Model, opt Options) (*afblock.Network, error) {
	net, err := network(m, opt)
	var no *Error
	if errors.As(err, &no) && no.NeedFrames && opt.Frames == 0 && opt.Default > 0 {
		return network(m, Options{Frames: opt.Default})
	}
	return net, err
}

func network(m *graph.Model, opt Options) (*afblock.Network, error) {
	if m == nil || m.Graph == nil {
		return nil, &Error{Expected: "a graph", Found: "none"}
	}
	inputs, err := clipInputs(m)
	if err == nil {
		err = refuseInputs(m, inputs)
	}
	var best *Error
	progress := -1
	if err == nil {
		left := int64(dataflow.MostElements) // of all attempts together
		for _, batch := range batches(m, inputs[0], opt) {
			r := &recognizer{Analysis: dataflow.Analyze(m, batch), net: &afblock.Network{}}
			r.Left = left
			if err = r.network(m, opt); err == nil {
				if err = r.framesTold(m, inputs[0], opt); err == nil {
					return r.net, nil
				}
			}
			left = r.Left
			var no *Error
			if !errors.As(err, &no) {
				return nil, err
			}
			if r.progress > progress {
				best, progress = no, r.progress
			}
		}
		err = best
	}
	var no *Error
	if errors.As(err, &no) {
		no.File = m.Path
		if m.Meta(names.OptimizedKey) != "" {
			no.Hint = "afc optimize wrote this model, its shift on a stream of its own: use the model that it was made from"
		} else if k := kindOf(m.Graph); k != nil && !no.NeedFrames && !no.told {
			no.Where, no.Node, no.Expected, no.Found, no.Hint = "", "", "a ResNet over frames", k.found, k.hint
		}
	}
	return nil, err
}

// network walks from stem to head.
func (r *recognizer) network(m *graph.Model, opt Options) error {
	in, x, err := r.stem()
	if err != nil {
		return err
	}
	out, err := r.trunk(x)
	if err != nil {
		return err
	}
	r.where = "head"
	if n := len(m.Graph.Outputs()); n != 1 && len(r.choices) == 0 {
		return r.refuse(nil, "one output, the scores", fmt.Sprintf("%d outputs", n), "export the network with its scores as the one output")
	}
	head, err := r.head(out)
	if err != nil {
		return err
	}
	exported, err := r.outputs(head.answer)
	if err != nil {
		return err
	}
	view := r.view(in)
	frames, err := r.frames(view, int(r.Dims(in)[0]), head.averaged, opt)
	if err != nil {
		return err
	}
	r.net.Size = r.size(m, in, view.layout)
	r.net.Keys = afblock.KeyStyle{FC: r.net.Head.FC.Key}
	if err := r.net.Check(); err != nil {
		return r.refuse(nil, "maps that fit the windows", err.Error(), "")
	}
	if exported != nil {
		nameAFNet(r.net)
		r.net.Exporter = afblock.ExporterOf(m.ProducerName)
	}
	shell := r.source(m, in, out, head, frames, view)
	shell.exported = exported
	if frames == 1 && head.averaged == 1 {
		r.net.Head.Consensus = shell.consensusOfOne()
	}
	r.net.Shell = shell
	return nil
}

// framesTold refuses a network that takes T from its input's shape, where
// nobody has said T: what was recognised is then the T looked at. Such a network
// is recognised with any other T as well.
func (r *recognizer) framesTold(m *graph.Model, in *graph.Value, opt Options) error {
	axes := axesOf(m, in.Type.Shape)
	if opt.Frames > 0 || !axes.openFrames() {
		return nil
	}
	other := int64(r.net.Frames + 1)
	again := &recognizer{Analysis: dataflow.Analyze(m, map[string][]int64{in.Name(): axes.dims(probeSizes(other))}), net: &afblock.Network{}}
	if again.network(m, opt) != nil || again.net.Frames == r.net.Frames {
		return nil
	}
	r.where = "frames"
	return r.needFrames("frames a clip that the graph says", fmt.Sprintf("an input %q of shape %s, clips of any number of frames", in, in.Type.Shape))
}

// source notes what was found in the copy as places of m itself.
func (r *recognizer) source(m *graph.Model, in, out *graph.Value, head *headFound, frames int, view inputView) *Shell {
	g := m.Graph
	s := &Shell{
		model: m, in: g.Value(in.Name()), out: g.Value(out.Name()), fc: g.Value(head.fc.Output(0).Name()).Producer(),
		layout: view.layout, frames: frames, segments: view.segments,
		answer: g.Value(head.answer.Name()), scores: g.Value(head.scores.Name()), kernel: head.kernel,
		classes: r.net.Head.FC.Weight.Dims[0], tail: head.tail, averaged: head.averaged,
		head: r.net.Head, clips: probeSizes(0).clips, inDims: r.Dims(in), outDims: r.Dims(out),
	}
	return s
}

// sourceAt reads what lies around a trunk that is known to reach from in to
// out, of clips of so many frames: what a model that afc wrote has kept of its
// source.
func sourceAt(m *graph.Model, in, out *graph.Value, frames int) (*Shell, error) {
	inputs, err := clipInputs(m)
	if err != nil {
		return nil, err
	}
	r := &recognizer{Analysis: dataflow.Analyze(m, batches(m, inputs[0], Options{Frames: frames})[0]), net: &afblock.Network{}}
	in, out = r.Model.Graph.Value(in.Name()), r.Model.Graph.Value(out.Name())
	for _, v := range []*graph.Value{in, out} {
		if len(r.Dims(v)) != 4 {
			return nil, r.refuse(v.Producer(), "a trunk on maps of known size", fmt.Sprintf("%q of shape %s", v, v.Type.Shape), "")
		}
	}
	head, err := r.head(out)
	if err != nil {
		return nil, err
	}
	return r.source(m, in, out, head, frames, r.view(in)), nil
}

// size returns the frames' size if the model fixes it.
func (r *recognizer) size(m *graph.Model, in *graph.Value, layout afblock.Layout) afblock.Size {
	inputs, err := clipInputs(m)
	if err != nil {
		return afblock.Size{}
	}
	shape := inputs[0].Type.Shape
	for i, counts := range layout.Axes() {
		if (counts == "H" || counts == "W" || counts == "?") && !shape[i].Known() {
			return afblock.Size{}
		}
	}
	if layout == afblock.LayoutOther && !shape[1:].Static() { // they may be anywhere
		return afblock.Size{}
	}
	d := r.Dims(in)
	return afblock.Size{int(d[2]), int(d[3])}
}
