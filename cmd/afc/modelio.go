package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/verify"
)

// openModel decodes the model in a file the user named. Outputs, "" for none,
// are paths that will be written: they must not be files that the model or its
// external data lies in.
func openModel(path string, outputs ...string) (*graph.Model, error) {
	if err := readable(path); err != nil {
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

func isInput(out, in string) error {
	return usagef("%s: the output is the input %s; choose another name", out, in)
}

// readable tells a path that is no readable file, which is the user's slip,
// from a file whose content is wrong.
func readable(path string) error {
	f, err := os.Open(path)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return usagef("%s: %v", path, pe.Err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		return usagef("%s: is a folder; expected a file", path)
	}
	return nil
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"}
}

// outputPath is where a command writes: what -o says, or the argument behind
// the inputs. It refuses to replace an input.
func outputPath(c *cli.Context, arg string, inputs ...string) (string, error) {
	out := c.String("output")
	switch {
	case out != "" && arg != "":
		return "", usagef("two outputs: %s and -o %s", arg, out)
	case out == "" && arg == "":
		return "", usagef("no output; give it with -o FILE")
	case out == "":
		out = arg
	}
	return out, writable(out, inputs...)
}

// writable refuses an output that would replace an input ("" for none) or has
// no folder to go to.
func writable(out string, inputs ...string) error {
	for _, in := range inputs {
		if in != "" && (filepath.Clean(in) == filepath.Clean(out) || atomicfile.SameFile(in, out)) {
			return isInput(out, in)
		}
	}
	if fi, err := os.Stat(filepath.Dir(out)); err != nil || !fi.IsDir() {
		return usagef("cannot write %s: there is no folder %s", out, filepath.Dir(out))
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
		if err := verify.Seal(m); err != nil {
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
		w.size, err = checkWritten(f.Name())
	}
	if err == nil {
		if err = f.Commit(); err != nil {
			err = cannotWrite(path, err)
		}
	}
	if err != nil {
		undo()
	}
	return w, err
}

func checkWritten(path string) (size int64, err error) {
	m, err := graph.ReadFile(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	if err := graph.Check(m); err != nil {
		return 0, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// cannotWrite names the output in place of the temporary file.
func cannotWrite(path string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, new(*graph.Error)): // its source, not the output, is to blame
		return err
	case errors.As(err, &pe):
		return usagef("cannot write %s: %v", path, pe.Err)
	case errors.As(err, &le):
		return usagef("cannot write %s: %v", path, le.Err)
	}
	return err
}
