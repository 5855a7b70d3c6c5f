package regular

import (
	"errors"
	"io/fs"
	"os"
)

// Open opens a file for reading. Its error is an *fs.PathError that says what
// the path is instead.
func Open(path string) (*os.File, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(fi); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.Open(path)
}

// Check says why what a path names is no file, nil if it is one.
func Check(fi fs.FileInfo) error {
	switch m := fi.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		return errors.New("is a folder; expected a file")
	case m&fs.ModeNamedPipe != 0:
		return errors.New("is a pipe; write what comes out of it to a file first")
	case m&fs.ModeSocket != 0:
		return errors.New("is a socket; expected a file")
	}
	return errors.New("is a device; expected a file")
}
