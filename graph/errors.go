package graph

import "fmt"

// Error says what is wrong with a model: in which file, at which node, and
// why. File and Node are empty where they are not known or do not apply.
type Error struct {
	File   string // path of the model or of its external data
	Node   string // the node, value or tensor, as a person would name it
	Reason string
	Err    error // the cause, if there is one
}

func (e *Error) Error() string {
	s := e.Reason
	if e.Node != "" {
		s = e.Node + ": " + s
	}
	if e.File != "" {
		s = e.File + ": " + s
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an Error at a node, value or tensor ("" for the whole model).
func errorf(node, format string, args ...any) *Error {
	return &Error{Node: node, Reason: fmt.Sprintf(format, args...)}
}
