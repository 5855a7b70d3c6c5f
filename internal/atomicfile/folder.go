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
// folders above it are made.
func Folder(dir string, fill func(temporary string) error) error {
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case len(entries) > 0:
		return &fs.PathError{Op: "create", Path: dir, Err: fmt.Errorf("the folder is there and not empty; name another, or remove it")}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
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
