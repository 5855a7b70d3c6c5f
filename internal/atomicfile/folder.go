package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder makes the folder dir of what fill writes into the folder it is given:
// dir appears whole or not at all. It must not be there yet, or be empty;
// folders above it are made, and gone again where it fails.
func Folder(dir string, fill func(temporary string) error) (err error) {
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case len(entries) > 0:
		return &fs.PathError{Op: "create", Path: dir, Err: fmt.Errorf("the folder is there and not empty; name another, or remove it")}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	made := missing(filepath.Dir(dir))
	defer func() {
		for i := len(made) - 1; err != nil && i >= 0; i-- {
			os.Remove(made[i]) // empty, or another's by now
		}
	}()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := os.Chmod(temporary, 0o755); err != nil { // MkdirTemp's folders are the owner's alone
		return err
	}
	if err := fill(temporary); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(temporary, dir)
}

// missing are the folders of a path that are not there, outermost first.
func missing(path string) []string {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
		return nil
	}
	return append(missing(filepath.Dir(path)), path)
}
