package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// File is a file being written. Commit puts it at its path; Discard, which
// does nothing after Commit, throws it away.
type File struct {
	*os.File
	target    string // what Commit replaces; "" where the path is a device or pipe, written directly
	committed bool
}

// live are the temporary files of this process that are neither committed nor
// discarded, and closing says that no new one may be made.
var (
	mu      sync.Mutex
	live    = map[*File]bool{}
	closing bool
)

// ErrStopping is returned once RemoveTemporaries was called.
var ErrStopping = errors.New("the program is being stopped")

// Create begins a file that Commit will put at path. Where path is a symbolic
// link, what it points at is replaced and the link stays. A new file gets the
// permissions the umask leaves, a replaced one keeps its own.
func Create(path string) (*File, error) {
	target, err := resolve(path)
	if err != nil {
		return nil, err
	}
	perm := fs.FileMode(0o666)
	old, err := os.Stat(target)
	switch {
	case err == nil && old.IsDir():
		return nil, &fs.PathError{Op: "write", Path: path, Err: errors.New("is a folder")}
	case err == nil && !old.Mode().IsRegular():
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &File{File: f}, nil
	case err == nil:
		// Renaming would get round a file's write protection: respect it.
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		f.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}

	mu.Lock()
	defer mu.Unlock()
	if closing {
		return nil, ErrStopping
	}
	dir, base := filepath.Split(target)
	removeStale(dir, base)
	temp := filepath.Join(dir, fmt.Sprintf(".%s.afc-%s.tmp", base, owner()+rand.Text()[:10]))
	t, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, &fs.PathError{Op: "write", Path: path, Err: errors.Unwrap(err)}
	}
	if old != nil {
		if err := t.Chmod(old.Mode().Perm()); err != nil {
			t.Close()
			os.Remove(temp)
			return nil, err
		}
	}
	f := &File{File: t, target: target}
	live[f] = true
	return f, nil
}

// Temporary reports whether what is written is a file of its own until Commit,
// which can be read back. It is not for devices and pipes.
func (f *File) Temporary() bool { return f.target != "" }

// resolve follows symbolic links, dangling ones too, to the path to replace.
func resolve(path string) (string, error) {
	const maxLinks = 40 // as the Linux kernel
	p := path
	for range maxLinks {
		fi, err := os.Lstat(p)
		if err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			return p, nil // what Lstat complains of, if anything, Create meets again
		}
		to, err := os.Readlink(p)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(p), to)
		}
		p = to
	}
	return "", &fs.PathError{Op: "write", Path: path, Err: errors.New("too many symbolic links")}
}

// Commit syncs the file to disk, closes it and puts it at its path. On error
// the path is as it was and the temporary file is gone.
func (f *File) Commit() error {
	if f.target == "" {
		f.committed = true
		return f.Close()
	}
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	mu.Lock()
	defer mu.Unlock()
	if err == nil && !live[f] {
		err = ErrStopping
	}
	if err == nil {
		err = os.Rename(f.Name(), f.target)
	}
	if err != nil {
		f.remove()
		return err
	}
	delete(live, f)
	f.committed = true
	// The rename itself must survive a power cut. Not every file system can
	// sync a folder; the content is safe either way.
	if d, err := os.Open(filepath.Dir(f.target)); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

// Discard closes the file and removes it unless it was committed.
func (f *File) Discard() {
	if f.committed {
		return
	}
	f.Close()
	mu.Lock()
	defer mu.Unlock()
	if f.target != "" {
		f.remove()
	}
}

// remove deletes the temporary file; mu is held.
func (f *File) remove() {
	os.Remove(f.Name())
	delete(live, f)
}

// RemoveTemporaries deletes every temporary file of this process and forbids
// new ones. It is for the moment before the process exits on a signal, when
// writers may still be running.
func RemoveTemporaries() {
	mu.Lock()
	defer mu.Unlock()
	closing = true
	for f := range live {
		f.remove()
	}
}

// WriteFile writes data to path, whole or not at all.
func WriteFile(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}

// SameFile reports whether two paths name one existing file, through links of
// either kind.
func SameFile(a, b string) bool {
	ai, err := os.Stat(a)
	if err != nil {
		return false
	}
	bi, err := os.Stat(b)
	return err == nil && os.SameFile(ai, bi)
}
