package afc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
)

// OptionError is an option that has no sense, or that the run cannot honour.
type OptionError struct {
	Option string // name of the field, such as "FocalGroups"
	Value  string // "" where it does not matter
	Reason string // names other options in braces: {Budget}
}

func (e *OptionError) Error() string {
	return "option " + e.Spell(func(option string) string { return option })
}

var optionName = regexp.MustCompile(`\{(\w+)\}`)

// Spell is the message with options as the caller names them.
func (e *OptionError) Spell(name func(option string) string) string {
	reason := optionName.ReplaceAllStringFunc(e.Reason, func(s string) string { return name(s[1 : len(s)-1]) })
	if e.Value == "" {
		return name(e.Option) + ": " + reason
	}
	return name(e.Option) + " " + e.Value + ": " + reason
}

func optionf(option string, value any, format string, args ...any) error {
	e := &OptionError{Option: option, Reason: fmt.Sprintf(format, args...)}
	if value != nil {
		e.Value = fmt.Sprint(value)
	}
	return e
}

// FileError is a file that cannot be read or written.
type FileError struct{ Reason string } // names the file

func (e *FileError) Error() string { return e.Reason }

func filef(format string, args ...any) error { return &FileError{fmt.Sprintf(format, args...)} }

// cannotWrite names the output in place of the temporary file.
func cannotWrite(path string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, new(*graph.Error)): // its source, not the output, is to blame
		return err
	case errors.As(err, &pe):
		return filef("cannot write %s: %v", path, pe.Err)
	case errors.As(err, &le):
		return filef("cannot write %s: %v", path, le.Err)
	}
	return err
}

// passFailed makes option errors of what the pipeline cannot meet. That a model
// was not recognised, or that weights do not fit, needs no pass's name.
func passFailed(err error, opt PassOptions) error {
	var (
		no      *recognize.Error
		weights *checkpoint.Error
		unknown *passes.UnknownPassError
		unmet   *passes.RequirementError
		early   *passes.NoModelError
		opset   *passes.OpsetError
		option  *OptionError
	)
	switch {
	case errors.As(err, &option):
		return option
	case errors.As(err, &opset):
		return optionf("Opset", opset.Opset, "%v", opset.Err)
	case errors.As(err, &no):
		return no
	case errors.As(err, &weights):
		return weights
	case errors.As(err, &unknown) && unknown.Name == opt.StopAfter:
		return optionf("StopAfter", unknown.Name, "%v", err)
	case errors.As(err, &unknown):
		return optionf("SkipPass", unknown.Name, "%v", err)
	case errors.As(err, &unmet):
		return optionf("SkipPass", unmet.From, "%v", err)
	case errors.As(err, &early) && opt.StopAfter == early.After:
		return optionf("StopAfter", early.After, "%v", err)
	case errors.As(err, &early):
		return optionf("SkipPass", "lower", "%v", err)
	}
	return err
}
