package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips/ffmpeg"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// The exit codes.
const (
	exitOK            = 0
	exitMismatch      = 1 // verification failed
	exitUsage         = 2 // flags, arguments, files that cannot be read or written
	exitInvalid       = 3 // invalid or unsupported model
	exitNotRecognized = 4 // not a TSN or TSM ResNet
	exitUnavailable   = 5 // ONNX Runtime, a provider or ffmpeg is not there
	exitInterrupted   = 130
)

// usageError is a mistake in flags or arguments.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// mismatchError ends a command whose verification failed; what failed has been
// printed.
type mismatchError struct{ msg string }

func (e *mismatchError) Error() string { return e.msg }

func mismatchf(format string, args ...any) error {
	return &mismatchError{fmt.Sprintf(format, args...)}
}

// exitCode says with which code an error ends the program.
func exitCode(err error) int {
	var (
		usage         *usageError
		option        *afc.OptionError
		file          *afc.FileError
		mismatch      *mismatchError
		notRecognized *recognize.Error
		unavailable   *ort.UnavailableError
		missing       *ffmpeg.MissingError
		crash         *ort.CrashError
		model         *graph.Error
		child         *childError
		path          *fs.PathError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &child):
		return child.code
	case errors.As(err, &mismatch), errors.As(err, &crash):
		return exitMismatch
	case errors.As(err, &notRecognized):
		return exitNotRecognized
	case errors.As(err, &unavailable), errors.As(err, &missing):
		return exitUnavailable
	case errors.As(err, &model):
		return exitInvalid // also where its cause is a file, such as external data
	case errors.As(err, &usage), errors.As(err, &option), errors.As(err, &file), errors.As(err, &path):
		return exitUsage
	}
	return exitInvalid
}
