package fit

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
)

// A fit that is to be resumed keeps, behind each stage but the last, what the
// rest of it starts from: the weights so far, and what the source's and the
// AFNet's next stages read. The streams are kept as they are, not computed
// again, so that a fit which was interrupted ends in the bytes of one that was not.

// state is the part of it that is not arrays.
type state struct {
	Schema  int     `json:"schema"`
	Digest  string  `json:"digest"` // of all that the fit depends on
	Stages  int     `json:"stages"` // finished
	Layers  []Layer `json:"layers"`
	Ahead   kept    `json:"ahead"`
	Student kept    `json:"student"`
}

// kept says what is in a stream's file.
type kept struct {
	Value    string `json:"value"` // its name in the model
	Channels int    `json:"channels"`
	Height   int    `json:"height"`
	Width    int    `json:"width"`
}

const (
	stateSchema = 1
	stateFile   = "state.json"
	weightsFile = "weights.safetensors"
	aheadFile   = "source.f32"
	studentFile = "afnet.f32"
)

// place is how far a fit has come: what the next stage reads.
type place struct {
	stages int // finished
	stream *stream
	name   string
}

// checkpoints keeps and finds states in a folder.
type checkpoints struct {
	dir    string
	digest string
}

// newCheckpoints tells states of this fit from those of others, behind the stem:
// by its output the clips are known, whatever file they come from.
func (e *engine) newCheckpoints() (*checkpoints, error) {
	if e.opt.State == "" {
		return nil, nil
	}
	h := sha256.New()
	fmt.Fprintln(h, e.opt.Rows, e.opt.For, e.opt.Seed, e.opt.ridge, e.opt.Threads, e.run.clips, e.run.frames, e.net.Unselected)
	for _, n := range e.net.Navigation() {
		fmt.Fprintln(h, n.Key, n.Fixed)
	}
	for b := range e.net.Blocks() {
		if b.Schedule != nil {
			fmt.Fprintln(h, b.Key, *b.Schedule)
		}
	}
	for _, net := range []*afblock.Network{e.teacher, e.net} {
		if err := addTensors(h, net); err != nil {
			return nil, err
		}
	}
	if err := e.ahead.save(h); err != nil {
		return nil, err
	}
	return &checkpoints{e.opt.State, hex.EncodeToString(h.Sum(nil))}, nil
}

func addTensors(h hash.Hash, net *afblock.Network) error {
	for key, t := range net.Tensors() {
		raw, err := (*t).Bytes()
		if err != nil {
			return err
		}
		fmt.Fprintln(h, key, (*t).Dims)
		h.Write(raw)
	}
	return nil
}

// folder is where the state behind n stages stands.
func (c *checkpoints) folder(n int) string { return filepath.Join(c.dir, fmt.Sprintf("stage-%d", n)) }

// resume takes over the latest state of this fit; without one it begins at the
// stem.
func (e *engine) resume() (place, error) {
	start := place{stream: e.ahead.share(), name: names.StemOut}
	if e.states == nil {
		return start, nil
	}
	for n := len(e.net.Stages) - 1; n > 0; n-- {
		s, err := e.states.read(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return start, err
		}
		at, err := e.restore(s)
		if err == nil {
			start.stream.close()
		}
		return at, err
	}
	return start, nil
}

// read returns the state behind n stages.
func (c *checkpoints) read(n int) (*state, error) {
	path := filepath.Join(c.folder(n), stateFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &state{}
	switch err := json.Unmarshal(raw, s); {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case s.Schema != stateSchema || s.Stages != n:
		return nil, fmt.Errorf("%s: not the state of a fit behind %d stages; remove the folder to begin anew", path, n)
	case s.Digest != c.digest:
		return nil, fmt.Errorf("%s: the state of a fit of another model, on other clips or with other options; remove the folder to begin anew", c.dir)
	}
	return s, nil
}

// restore puts a state in place of what the engine has.
func (e *engine) restore(s *state) (place, error) {
	dir := e.states.folder(s.Stages)
	sd, err := checkpoint.Read(filepath.Join(dir, weightsFile))
	if err != nil {
		return place{}, err
	}
	for key, t := range parameters(e.net) {
		saved := sd.Tensor(key)
		if *t != nil && (saved == nil || !slices.Equal(saved.Dims, (*t).Dims)) {
			return place{}, fmt.Errorf("%s: %s is not there, or of another shape", sd.File, key)
		}
		*t = saved
	}
	e.dirty()
	ahead, err := e.load(filepath.Join(dir, aheadFile), s.Ahead)
	if err != nil {
		return place{}, err
	}
	student, err := e.load(filepath.Join(dir, studentFile), s.Student)
	if err != nil {
		ahead.close()
		return place{}, err
	}
	e.ahead.close()
	e.ahead, e.aheadName = ahead, s.Ahead.Value
	e.layers = s.Layers
	return place{s.Stages, student, s.Student.Value}, nil
}

// load reads a stream of all frames of the clips.
func (e *engine) load(path string, k kept) (*stream, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	frames := e.run.clips * e.run.frames
	if want := 4 * int64(frames) * int64(k.Channels) * int64(k.Height) * int64(k.Width); k.Channels <= 0 || k.Height <= 0 || k.Width <= 0 || info.Size() != want {
		return nil, fmt.Errorf("%s: %d bytes, expected %d", path, info.Size(), want)
	}
	s, err := newStream(frames, k.Channels, afblock.Size{k.Height, k.Width})
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(s.file, f); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// keepState writes what the rest of the fit starts from. The state before it goes
// once the new one is whole.
func (e *engine) keepState(at place) error {
	if e.states == nil || at.stages == len(e.net.Stages) {
		return nil
	}
	dir := e.states.folder(at.stages)
	if err := os.MkdirAll(e.states.dir, 0o777); err != nil {
		return err
	}
	if err := atomicfile.Folder(dir, func(dir string) error { return e.writeState(dir, at) }); err != nil {
		return fmt.Errorf("keeping the fit so far: %w", err)
	}
	return e.states.remove(at.stages - 1)
}

func (e *engine) writeState(dir string, at place) error {
	if err := writeFile(filepath.Join(dir, aheadFile), e.ahead.save); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, studentFile), at.stream.save); err != nil {
		return err
	}
	sd := checkpoint.New()
	for key, t := range parameters(e.net) {
		if *t != nil {
			sd.Set(key, *t)
		}
	}
	err := writeFile(filepath.Join(dir, weightsFile), func(w io.Writer) error { return checkpoint.WriteSafetensors(w, sd) })
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(state{
		Schema: stateSchema, Digest: e.states.digest, Stages: at.stages, Layers: e.layers,
		Ahead: e.ahead.record(e.aheadName), Student: at.stream.record(at.name),
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, stateFile), raw, 0o666)
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// remove removes the state behind n stages, and none of anybody else's files.
func (c *checkpoints) remove(n int) error {
	dir := c.folder(n)
	for _, name := range []string{stateFile, weightsFile, aheadFile, studentFile} { // the state first: without it there is none
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Forget removes what a fit that is to be resumed kept in a folder, and the
// folder where nothing else is in it. It is for after the AFNet was written.
func Forget(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing was kept
	}
	c := &checkpoints{dir: dir}
	for _, entry := range found {
		var n int
		if _, err := fmt.Sscanf(entry.Name(), "stage-%d", &n); err == nil && filepath.Base(c.folder(n)) == entry.Name() {
			if err := c.remove(n); err != nil {
				return err
			}
		}
	}
	os.Remove(dir)
	return nil
}

// parameters iterates over all that a fit may set, biases that are not there
// included.
func parameters(net *afblock.Network) iter.Seq2[string, **graph.Tensor] {
	return func(yield func(string, **graph.Tensor) bool) {
		for l := range net.Layers() {
			var key string
			var w, b **graph.Tensor
			switch l := l.(type) {
			case *afblock.Conv:
				key, w, b = l.Key, &l.Weight, &l.Bias
			case *afblock.Linear:
				key, w, b = l.Key, &l.Weight, &l.Bias
			default:
				continue
			}
			if !yield(key+".weight", w) || !yield(key+".bias", b) {
				return
			}
		}
	}
}

// save writes the stream's values, little-endian.
func (s *stream) save(w io.Writer) error {
	n := int64(s.frames) * int64(s.perFrame()) * 4
	_, err := io.Copy(w, io.NewSectionReader(s.file, 0, n))
	return err
}

func (s *stream) record(value string) kept { return kept{value, s.c, s.at[0], s.at[1]} }
