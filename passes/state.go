package passes

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// State is what a pipeline works on. Passes change Model in place; lowering
// replaces it.
type State struct {
	Model   *graph.Model     // nil until lowered, where weights alone are converted
	Network *afblock.Network // nil until recognised or read

	weights  *checkpoint.StateDict // trained ones, nil for none
	source   *afblock.Network      // as recognised, before the rewrite
	exported *recognize.Exported   // of an AFNet that was recognised, nil of other sources
	choice   codegen.Choice        // of lowering
	noFrames bool                  // all that kept it from being recognised is that nobody says T
	opt      *Options
	pass     string // the running pass
	changes  int    // made by the running pass
	notes    []Note
	foldable int64 // bytes that folded constants may still take; 0: not set yet
}

// Note is something a pass wants known: a rewrite that it refused, and why.
type Note struct {
	Pass   string
	Node   string // the node it is about, "" for the whole model
	Reason string
}

func (n Note) String() string {
	if n.Node == "" {
		return n.Pass + ": " + n.Reason
	}
	return n.Pass + ": " + n.Node + ": " + n.Reason
}

// changed counts changes of the running pass; the fixed point ends when a
// round makes none.
func (s *State) changed(n int) { s.changes += n }

// note records why the running pass left n as it is, once however often the
// pass runs.
func (s *State) note(n *graph.Node, format string, args ...any) {
	note := Note{Pass: s.pass, Reason: fmt.Sprintf(format, args...)}
	if n != nil {
		note.Node = n.String()
	}
	if !slices.Contains(s.notes, note) {
		s.notes = append(s.notes, note)
	}
}

// stamp marks a node as made by the running pass.
func (s *State) stamp(n *graph.Node) *graph.Node {
	n.Metadata = append(n.Metadata, graph.Property{Key: names.PassKey, Value: s.pass})
	return n
}

// insert makes a stamped ai.onnx node in front of at. Its output is called
// hint, or hint with a number, and the node like its output.
func (s *State) insert(at *graph.Node, opType, hint string, inputs []*graph.Value, attrs ...*graph.Attribute) *graph.Node {
	g := at.Graph()
	n := g.NewNode(opType, hint, inputs, 1, attrs...)
	n.SetName(n.Output(0).Name())
	g.MoveBefore(n, at)
	return s.stamp(n)
}

// supplant makes the readers of n's first output read w, a value made by
// inserted nodes, which takes over the name; n, whose other outputs must be
// unused, goes.
func (s *State) supplant(n *graph.Node, w *graph.Value) {
	v := n.Output(0)
	valueName, nodeName := v.Name(), n.Name
	replace(v, w)
	n.Graph().RemoveNode(n)
	if w.Name() != valueName {
		w.Rename(valueName)
	}
	if nodeName != "" {
		w.Producer().Name = nodeName
	}
}
