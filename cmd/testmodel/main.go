package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/internal/numpy"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/testmodels/motion"
)

// shifts names the spellings of the temporal shift, in the order of
// testmodels.Shift.
var shifts = []string{"none", "scatter", "mmaction", "concat", "pad", "conv1d"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testmodel:", err)
		os.Exit(2)
	}
}

func run() error {
	var s testmodels.Spec
	out := flag.String("o", "", "file to write")
	shift := flag.String("shift", "none", "temporal shift: "+strings.Join(shifts, ", "))
	kept := flag.Bool("bn", false, "keep batch normalisation apart")
	external := flag.Bool("external", false, "put the weights into FILE.data")
	flag.IntVar(&s.Depth, "depth", 50, "18, 34, 50, 101 or 152")
	flag.IntVar(&s.Width, "width", 64, "channels behind the stem")
	flag.IntVar(&s.Frames, "frames", 8, "frames a clip")
	flag.IntVar(&s.Size, "size", 224, "height and width of a frame")
	flag.IntVar(&s.Classes, "classes", 400, "classes")
	flag.BoolVar(&s.Dynamic, "dynamic", false, "dynamic batch")
	flag.Int64Var(&s.Opset, "opset", 13, "opset, 9 to 23")
	flag.Uint64Var(&s.Seed, "seed", 0, "seed of the weights")
	motionDir := flag.String("motion", "", "write into this folder, in place of a model: tsm.onnx, clips to fit on (fit/) and others (test/)")
	count := flag.Int("clips", 200, "with -motion: clips to fit on, and half as many others")
	arrays := flag.String("arrays", "", "write clips of motions as PREFIX.clips.npy and PREFIX.labels.npy, of -seed")
	shapes := flag.Bool("shapes", false, "with -arrays: labels are the actor's shape")
	flag.Parse()
	if *arrays != "" {
		return writeArrays(*arrays, motion.Videos{Seed: s.Seed, Count: *count, Shapes: *shapes})
	}
	if *motionDir != "" {
		return writeMotion(*motionDir, *count)
	}
	if *out == "" || flag.NArg() > 0 {
		return fmt.Errorf("usage: testmodel [flags] -o FILE")
	}
	known := false
	for i, name := range shifts {
		if name == *shift {
			s.Shift, known = testmodels.Shift(i), true
		}
	}
	if !known {
		return fmt.Errorf("no shift %q; there are %s", *shift, strings.Join(shifts, ", "))
	}
	if *kept {
		s.BN = testmodels.BNKept
	}
	if err := s.Validate(); err != nil {
		return err
	}
	return write(s.Build(), *out, *external)
}

// writeMotion writes the trained source and clips as folders of images.
func writeMotion(dir string, count int) error {
	for _, part := range []struct {
		name string
		motion.Videos
	}{{"fit", motion.Videos{Seed: 303, Count: count}}, {"test", motion.Videos{Seed: 202, Count: count / 2}}} {
		if err := part.Write(filepath.Join(dir, part.name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "tsm.onnx"), motion.Source, 0o666)
}

func write(m *graph.Model, path string, external bool) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if !external {
		if err := m.Encode(f); err != nil {
			return err
		}
		return f.Commit()
	}
	data, err := atomicfile.Create(path + ".data")
	if err != nil {
		return err
	}
	defer data.Discard()
	if err := m.EncodeExternal(f, data, filepath.Base(path)+".data"); err != nil {
		return err
	}
	if err := data.Commit(); err != nil {
		return err
	}
	return f.Commit()
}

// writeArrays writes clips as NumPy's arrays.
func writeArrays(prefix string, v motion.Videos) error {
	pixels, labels, err := v.Arrays()
	if err != nil {
		return err
	}
	return errors.Join(writeArray(prefix+".clips.npy", pixels), writeArray(prefix+".labels.npy", labels))
}

func writeArray(path string, t *graph.Tensor) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(numpy.Write(f, t), f.Close())
}
