package afc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
)

// needsExternal reports whether a model is too large for one file.
func needsExternal(m *graph.Model) (bool, error) {
	size, err := m.EncodedSize()
	return size > graph.MaxFileSize, err
}

// encodeExternal writes a model to f, which Commit will put at path, and its
// weights to a file beside it, which it puts in place at once: a model must
// never stand without its weights. A file of other weights, which a model that
// is still there may need, is not replaced; a name with the weights' digest
// stands in then. It returns the weights' path, with undo to take a new file
// away again.
func encodeExternal(m *graph.Model, f *atomicfile.File, path string) (data string, undo func(), err error) {
	if !f.Temporary() || filepath.Dir(f.Name()) != filepath.Dir(path) {
		return "", nil, filef("%s: weights go beside the model, so it cannot be a link or a device; name a plain file", path)
	}
	digest := sha256.New()
	if err := m.EncodeExternal(io.Discard, digest, "weights"); err != nil {
		return "", nil, err
	}
	data = path + ".data"
	same, err := holds(data, digest)
	if err != nil {
		return "", nil, err
	}
	if !same {
		data = fmt.Sprintf("%s.%x.data", path, digest.Sum(nil)[:6])
	}
	_, err = os.Lstat(data)
	fresh := errors.Is(err, fs.ErrNotExist)
	d, err := atomicfile.Create(data)
	if err != nil {
		return "", nil, cannotWrite(data, err)
	}
	defer d.Discard()
	if err := m.EncodeExternal(f, d, filepath.Base(data)); err != nil {
		return "", nil, cannotWrite(path, err)
	}
	if err := d.Commit(); err != nil {
		return "", nil, cannotWrite(data, err)
	}
	undo = func() {
		if fresh {
			os.Remove(data)
		}
	}
	return data, undo, nil
}

// holds reports whether a file is not there or holds what was digested.
func holds(path string, want hash.Hash) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, cannotWrite(path, err)
	}
	defer f.Close()
	got := sha256.New()
	if _, err := io.Copy(got, f); err != nil {
		return false, cannotWrite(path, err)
	}
	return string(got.Sum(nil)) == string(want.Sum(nil)), nil
}

// removeUnnamed deletes files of weights that earlier models of the same path
// left beside it and that no model in the folder names any more. A model that
// cannot be read keeps them all.
func removeUnnamed(path, keep string) {
	dir, base := filepath.Split(path)
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(base) + `(\.[0-9a-f]{12})?\.data$`)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return
	}
	var old []string
	for _, e := range entries {
		if file := filepath.Join(dir, e.Name()); ours.MatchString(e.Name()) && e.Type().IsRegular() && !(keep != "" && atomicfile.SameFile(file, keep)) {
			old = append(old, file)
		}
	}
	if len(old) == 0 {
		return
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".onnx" {
			continue
		}
		m, err := graph.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return
		}
		old = slices.DeleteFunc(old, func(file string) bool {
			return slices.ContainsFunc(m.Files(), func(named string) bool { return atomicfile.SameFile(named, file) })
		})
		m.Close()
	}
	for _, file := range old {
		os.Remove(file)
	}
}
