package graph

import (
	"cmp"
	"crypto/sha1" // #nosec G505 -- onnx.proto says SHA-1; it tells damage, not malice
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// externalFile is a file that tensors of a model lie in. It is mapped when the
// first of them is used.
type externalFile struct {
	folder, location string
	size             int64  // when the model was read
	checksum         string // SHA-1 the file must have, "" if none is stated

	once   sync.Once
	data   []byte
	mapped bool
	err    error
}

// byteRange is where a tensor lies in a file.
type byteRange struct {
	first, end int64
	name       string
}

// resolveExternal finds the files of the model's external data in its folder
// and tests that every tensor's bytes are there. None are read yet.
func (m *Model) resolveExternal() error {
	folder := filepath.Dir(m.Path)
	files := map[string]*externalFile{}
	ranges := map[string][]byteRange{}
	var root *os.Root
	for name, t := range m.tensors() {
		x := t.external
		if x == nil {
			continue
		}
		if root == nil {
			var err error
			if root, err = os.OpenRoot(folder); err != nil {
				return fileError(folder, err)
			}
			defer root.Close()
		}
		location := filepath.Clean(x.Location) // "a" and "./a" are one file
		f := files[location]
		if f == nil {
			size, err := sizeInside(root, x.Location)
			if err != nil {
				return errorf(name, "external data %q: %v", x.Location, err)
			}
			f = &externalFile{folder: folder, location: location, size: size}
			files[location] = f
			m.files = append(m.files, f)
		}
		s, err := x.within(t, name, f.size)
		if err != nil {
			return errorf(name, "external data %q: %v", x.Location, err)
		}
		if x.Checksum != "" && f.checksum != "" && !strings.EqualFold(x.Checksum, f.checksum) {
			return errorf(name, "external data %q: states the checksum %s, another tensor states %s", x.Location, x.Checksum, f.checksum)
		}
		f.checksum = cmp.Or(f.checksum, x.Checksum)
		ranges[location] = append(ranges[location], s)
		x.Folder, x.file = folder, f
	}
	for _, f := range m.files {
		if err := overlap(ranges[f.location]); err != nil {
			return errorf("", "external data %q: %v", f.location, err)
		}
	}
	return nil
}

// sizeInside returns the size of a file that must lie in root, however links
// lead to it.
func sizeInside(root *os.Root, location string) (int64, error) {
	// What another system takes for absolute or climbing is refused on this
	// one, too: models travel.
	slashed := strings.ReplaceAll(location, `\`, "/")
	if !filepath.IsLocal(location) || strings.HasPrefix(slashed, "/") || strings.Contains(location, ":") ||
		slices.Contains(strings.Split(slashed, "/"), "..") {
		return 0, errors.New("the location must be a path inside the model's folder")
	}
	st, err := root.Stat(location)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return 0, fmt.Errorf("%w (a location, links followed, must stay inside the model's folder)", pathCause(err))
	case err != nil:
		return 0, pathCause(err)
	case !st.Mode().IsRegular():
		return 0, errors.New("is not a regular file")
	}
	return st.Size(), nil
}

// within returns where the tensor lies, if that is inside the file and what its
// type and dimensions take.
func (x *External) within(t *Tensor, name string, size int64) (byteRange, error) {
	need, err := t.NumBytes()
	if err != nil {
		return byteRange{}, err
	}
	if x.Length >= 0 && x.Length != need {
		return byteRange{}, fmt.Errorf("%s%v takes %d bytes, length says %d", t.DType, t.Dims, need, x.Length)
	}
	if x.Offset > size || need > size-x.Offset {
		return byteRange{}, fmt.Errorf("the tensor's %d bytes from %d on reach past the end of the file, which has %d", need, x.Offset, size)
	}
	return byteRange{x.Offset, x.Offset + need, name}, nil
}

// overlap finds tensors that share some of their bytes. Sharing all is fine:
// they are then the same constant.
func overlap(ranges []byteRange) error {
	ranges = slices.DeleteFunc(ranges, func(r byteRange) bool { return r.first == r.end })
	slices.SortStableFunc(ranges, func(a, b byteRange) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.end, b.end))
	})
	for i := 1; i < len(ranges); i++ {
		a, b := ranges[i-1], ranges[i]
		if b.first < a.end && (b.first != a.first || b.end != a.end) {
			return fmt.Errorf("%s (bytes %d to %d) and %s (bytes %d to %d) overlap", a.name, a.first, a.end, b.name, b.first, b.end)
		}
	}
	return nil
}

// read returns the bytes of a tensor.
func (x *External) read(t *Tensor) ([]byte, error) {
	if x.file == nil {
		return nil, fmt.Errorf("tensor %q lies in the external file %q, which only a model read from a file has", t.Name, x.Location)
	}
	x.file.once.Do(x.file.open)
	if x.file.err != nil {
		return nil, fmt.Errorf("tensor %q: external data %q: %w", t.Name, filepath.Join(x.file.folder, x.file.location), x.file.err)
	}
	s, err := x.within(t, t.Name, int64(len(x.file.data)))
	if err != nil {
		return nil, fmt.Errorf("tensor %q: external data %q: %w", t.Name, x.Location, err)
	}
	return x.file.data[s.first:s.end:s.end], nil
}

// open maps the file, or reads a small one.
func (f *externalFile) open() {
	f.err = func() error {
		root, err := os.OpenRoot(f.folder)
		if err != nil {
			return pathCause(err)
		}
		defer root.Close()
		file, err := root.Open(f.location)
		if err != nil {
			return pathCause(err)
		}
		defer file.Close()
		if st, err := file.Stat(); err != nil {
			return pathCause(err)
		} else if st.Size() != f.size {
			return fmt.Errorf("had %d bytes when the model was read, now has %d", f.size, st.Size())
		}
		if f.checksum != "" {
			h := sha1.New() // #nosec G401 -- see the import
			if _, err := io.Copy(h, file); err != nil {
				return pathCause(err)
			}
			if sum := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(sum, f.checksum) {
				return fmt.Errorf("has the SHA-1 checksum %s, the model states %s", sum, f.checksum)
			}
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return pathCause(err)
			}
		}
		f.data, f.mapped, err = readOrMap(file)
		return err
	}()
}

// pathCause drops the operation and path from an error, for messages that name
// the file themselves.
func pathCause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// tensors iterates over every tensor of the model with a name for messages.
func (m *Model) tensors() iter.Seq2[string, *Tensor] {
	return func(yield func(string, *Tensor) bool) {
		if m.Graph != nil && !m.Graph.tensors(yield) {
			return
		}
		for _, f := range m.Functions {
			if !f.Body.tensors(yield) {
				return
			}
			for _, a := range f.AttributeDefaults {
				if !a.tensors("function "+f.Name, yield) {
					return
				}
			}
		}
	}
}

func (g *Graph) tensors(yield func(string, *Tensor) bool) bool {
	for _, v := range g.inits {
		if !yield(fmt.Sprintf("initializer %q", v.name), v.init) {
			return false
		}
	}
	for _, v := range g.sparse {
		if !v.sparse.tensors(fmt.Sprintf("sparse initializer %q", v.name), yield) {
			return false
		}
	}
	for n := range g.Nodes() {
		for _, a := range n.attrs {
			if !a.tensors(n.String(), yield) {
				return false
			}
		}
	}
	return true
}

func (a *Attribute) tensors(where string, yield func(string, *Tensor) bool) bool {
	if a.Tensor != nil && !yield(where, a.Tensor) {
		return false
	}
	for _, t := range a.Tensors {
		if !yield(where, t) {
			return false
		}
	}
	for _, s := range a.SparseTensors {
		if !s.tensors(where, yield) {
			return false
		}
	}
	for _, g := range a.Subgraphs() {
		if !g.tensors(yield) {
			return false
		}
	}
	return true
}

func (s *SparseTensor) tensors(where string, yield func(string, *Tensor) bool) bool {
	return yield(where, s.Values) && yield(where, s.Indices)
}
