package graph

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/afc-project/afc/graph/internal/mem"
	"github.com/afc-project/afc/internal/regular"
)

// mapThreshold is the size from which files are mapped instead of read.
const mapThreshold = 1 << 20

// ReadFile decodes the model in a file. A large file is mapped into memory,
// read-only, and its tensors alias the mapping until Close; it must not be
// changed in place meanwhile (replacing it by a rename is fine; see Guard for
// one that is cut short). External data
// is looked for in the file's folder, checked to be there in full, and read
// when it is used.
func ReadFile(path string) (*Model, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	data, mapped, err := readOrMap(f)
	if err != nil {
		return nil, fileError(path, err)
	}
	m, err := Decode(data)
	if err == nil {
		m.Path = path
		err = m.resolveExternal()
	}
	if err != nil {
		if mapped {
			err = errors.Join(err, mem.Unmap(data))
		}
		var ge *Error
		if errors.As(err, &ge) && ge.File == "" {
			ge.File = path
		}
		return nil, err
	}
	if mapped {
		m.mapping = data
	}
	return m, nil
}

func fileError(path string, err error) error {
	err = pathCause(err)
	return &Error{File: path, Reason: err.Error(), Err: err}
}

// readOrMap returns the contents of a file and whether they are a mapping.
func readOrMap(f *os.File) (data []byte, mapped bool, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	switch {
	case st.IsDir():
		return nil, false, errors.New("is a folder, not a file")
	case st.Mode().IsRegular() && st.Size() >= mapThreshold:
		if st.Size() != int64(int(st.Size())) {
			return nil, false, fmt.Errorf("%d bytes are too many for this machine's address space", st.Size())
		}
		data, err = mem.Map(f, int(st.Size()))
		return data, err == nil, err
	case st.Mode()&os.ModeDevice != 0: // may have no end
		return nil, false, errors.New("is a device, not a file")
	}
	data, err = io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize {
		err = fmt.Errorf("has more than %d bytes, the most that protobuf allows", MaxFileSize)
	}
	return data, false, err
}

// Files returns the paths of the files that the model was read from: its own,
// then those of its external data, in the order of use.
func (m *Model) Files() []string {
	var paths []string
	if m.Path != "" {
		paths = append(paths, m.Path)
	}
	for _, f := range m.files {
		paths = append(paths, filepath.Join(f.folder, f.location))
	}
	return paths
}

// Close gives back the memory that files of the model are mapped to. Neither
// the model's tensors nor anything that shares their bytes may be used
// afterwards. Programs that end soon after need not call it.
func (m *Model) Close() error {
	var errs []error
	if m.mapping != nil {
		errs = append(errs, mem.Unmap(m.mapping))
	}
	for _, f := range m.files {
		f.once.Do(func() { f.err = os.ErrClosed })
		if f.mapped {
			errs = append(errs, mem.Unmap(f.data))
		}
		f.data, f.mapped, f.err = nil, false, os.ErrClosed
	}
	m.mapping, m.files = nil, nil
	return errors.Join(errs...)
}
