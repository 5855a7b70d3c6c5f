package afblock

import (
	"fmt"
	"strings"
)

// RecognizeOptions are what a user may know that the graph does not say.
type RecognizeOptions struct {
	// Frames is T, the frames (segments) of a clip; 0: the graph says it. If
	// both say it and differ, the model is refused.
	Frames int
}

// NotRecognizedError says why a model is not a video ResNet that afc
// understands: how far recognition came and what stopped it there.
type NotRecognizedError struct {
	File     string // the model's, "" if it has none
	Where    string // how far it came: "layer2, block 0"
	Node     string // the first node that did not fit, "" where it is none
	Expected string
	Found    string
	Hint     string // what to do, "" if nothing helps
}

func (e *NotRecognizedError) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	b.WriteString("not recognised as a TSN or TSM ResNet")
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
