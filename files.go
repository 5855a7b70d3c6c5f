package afc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/compiled/seal"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/internal/regular"
	"github.com/afc-project/afc/passes"
)

// openModel decodes the model in a file. Outputs, "" for none, are paths that
// will be written: they must not be files that the model or its external data
// lies in.
func openModel(path string, outputs ...string) (*graph.Model, error) {
	if err := Readable(path); err != nil {
		return nil, err
	}
	m, err := graph.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, out := range outputs {
		for _, in := range m.Files() {
			if out != "" && atomicfile.SameFile(in, out) {
				return nil, errors.Join(isInput(out, in), m.Close())
			}
		}
	}
	return m, nil
}

// networkOf reads a compiled model back, or recognises a source, which it makes
// canonical. Of a source nothing is known of how afc wrote it.
func networkOf(m *graph.Model, opt recognize.Options) (*afblock.Network, compiled.FileInfo, error) {
	if compiled.Is(m) {
		return compiled.ReadModel(m)
	}
	if err := passes.Canonicalize(m); err != nil {
		return nil, compiled.FileInfo{}, passFailed(err, PassOptions{})
	}
	net, err := recognize.Network(m, opt)
	return net, compiled.FileInfo{}, err
}

func isInput(out, in string) error {
	return filef("%s: the output is the input %s; choose another name", out, in)
}

// Readable tells a path that is no readable file, which is the caller's slip,
// from a file whose content is wrong. Its error is a *FileError.
func Readable(path string) error {
	f, err := regular.Open(path)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return filef("%s: %v", path, pe.Err)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Writable refuses an output that would replace an input ("" for none) or has
// no folder to go to. Its error is a *FileError.
func Writable(out string, inputs ...string) error {
	if out == "-" {
		return filef("-: files are not written to standard output; name one (./- for one of that name)")
	}
	for _, in := range inputs {
		if in != "" && (filepath.Clean(in) == filepath.Clean(out) || atomicfile.SameFile(in, out)) {
			return isInput(out, in)
		}
	}
	if fi, err := os.Stat(filepath.Dir(out)); err != nil || !fi.IsDir() {
		return filef("cannot write %s: there is no folder %s", out, filepath.Dir(out))
	}
	return nil
}

// WriteFile writes data to a path, whole or not at all. Its error is a
// *FileError that names the path.
func WriteFile(path string, data []byte) error {
	if err := atomicfile.WriteFile(path, data); err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

// written says what writeModel wrote.
type written struct {
	size int64  // of the model file
	data string // path of the weights, "" if they are in the model
}

// writeModel writes a model so that the path holds the old file or the whole
// new one: what it wrote is decoded and checked before it gets its name. An
// AFNet is sealed. Weights go to a file of their own if external, or if the
// model is too large otherwise.
func writeModel(ctx context.Context, m *graph.Model, path string, external bool) (w written, err error) {
	if compiled.Is(m) {
		if err := seal.Write(m); err != nil {
			return w, err
		}
	}
	if !external {
		if external, err = needsExternal(m); err != nil {
			return w, err
		}
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return w, cannotWrite(path, err)
	}
	defer f.Discard()
	undo := func() {}
	if external {
		w.data, undo, err = encodeExternal(m, f, path)
		if err != nil {
			return w, err
		}
	} else if err := m.Encode(f); err != nil {
		return w, cannotWrite(path, err)
	}
	err = ctx.Err()
	if err == nil && f.Temporary() {
		w.size, err = checkWritten(f.Name(), path)
	}
	if err == nil {
		if err = f.Commit(); err != nil {
			err = cannotWrite(path, err)
		}
	}
	if err != nil {
		undo()
		return w, err
	}
	if f.Temporary() {
		removeUnnamed(path, w.data)
	}
	return w, nil
}

// checkWritten decodes and checks the temporary file that is to get a path.
func checkWritten(temporary, path string) (size int64, err error) {
	m, err := graph.ReadFile(temporary)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	m.Path = path // for messages
	if err := graph.Check(m); err != nil {
		return 0, err
	}
	fi, err := os.Stat(temporary)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}
