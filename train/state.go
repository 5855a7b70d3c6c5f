package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
)

// state is where a training stands, as its file keeps it.
type state struct {
	at   vectors
	best vectors // weights and statistics alone; those of place.Best
	place
}

// place is what a state keeps besides vectors.
type place struct {
	Format  int               `json:"format"`
	Epoch   int               `json:"epoch"` // of the next step
	Step    int               `json:"step"`
	Done    int               `json:"done"` // steps of all epochs
	Best    *Score            `json:"best,omitempty"`
	Of      int               `json:"best_epoch,omitempty"` // that Best was measured behind
	Log     int64             `json:"log_bytes"`
	Curve   []Moment          `json:"curve,omitempty"`
	Scores  []Moment          `json:"scores,omitempty"`
	Options map[string]string `json:"options"` // all that the weights depend on
}

const stateFormat = 1

// Names of a state's tensors.
const (
	placeTensor = "afc.tune"
	bestPrefix  = "best."
)

// save writes a state, whole or not at all.
func (s *state) save(path string) error {
	s.Format = stateFormat
	text, err := json.Marshal(s.place)
	if err != nil {
		return err
	}
	sd := checkpoint.New()
	sd.Set(placeTensor, graph.MustTensor(graph.Uint8, []int64{int64(len(text))}, text))
	for prefix, v := range map[string]vectors{"": s.at, bestPrefix: s.best} { // the writer sorts
		for name, t := range map[string]*graph.Tensor{WeightsIn: v.weights, MomentsIn: v.moments, StatsIn: v.statistics} {
			if t != nil {
				sd.Set(prefix+name, t)
			}
		}
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, sd); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, b.Bytes())
}

// StateError is a state that a training cannot go on from.
type StateError struct{ File, Reason string }

func (e *StateError) Error() string { return e.File + ": " + e.Reason }

// load reads a state, which must be of the same training.
func load(path string, options map[string]string, like vectors) (*state, error) {
	bad := func(format string, args ...any) error { return &StateError{path, fmt.Sprintf(format, args...)} }
	if _, err := os.Stat(path); err != nil {
		return nil, bad("there is no state to go on from; leave out --resume to begin")
	}
	sd, err := checkpoint.Read(path)
	if err != nil {
		return nil, err
	}
	t := sd.Tensor(placeTensor)
	if t == nil || t.DType != graph.Uint8 {
		return nil, bad("not the state of a training")
	}
	text, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(text, &s.place); err != nil {
		return nil, bad("damaged: %v", err)
	}
	if s.Format != stateFormat || s.Epoch < 0 || s.Step < 0 || s.Log < 0 {
		return nil, bad("format %d; this afc reads %d", s.Format, stateFormat)
	}
	if names := changed(s.Options, options); names != nil {
		return nil, bad("it was made with another %s", strings.Join(names, ", "))
	}
	at := func(prefix string) vectors {
		return vectors{sd.Tensor(prefix + WeightsIn), sd.Tensor(prefix + MomentsIn), sd.Tensor(prefix + StatsIn)}
	}
	s.at, s.best = at(""), at(bestPrefix)
	if !s.at.fits(like, true) || s.Best != nil && !s.best.fits(like, false) {
		return nil, bad("its weights are those of another network")
	}
	return s, nil
}

// fits reports whether vectors have the lengths of others.
func (v vectors) fits(like vectors, moments bool) bool {
	same := func(a, b *graph.Tensor) bool {
		if a == nil || b == nil {
			return a == b
		}
		return a.DType == b.DType && slices.Equal(a.Dims, b.Dims)
	}
	return same(v.weights, like.weights) && same(v.statistics, like.statistics) && (!moments || same(v.moments, like.moments))
}

// changed names what two sets of options differ in.
func changed(a, b map[string]string) []string {
	var names []string
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			if a[name] != b[name] && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// told are the options that weights depend on, as a state keeps them.
func (o *Options) told(origin map[string]string) map[string]string {
	m := maps.Clone(origin)
	if m == nil {
		m = map[string]string{}
	}
	for name, v := range map[string]any{
		"train": o.Groups, "masks": o.Masks, "rt": o.Ratio, "lambda": o.Lambda, "budgets": o.Budgets, "labels": o.Labels, "distill": o.Distill,
		"variants": o.Variants, "flip": o.Flip, "dropout": o.Dropout, "bn": o.Norm, "epochs": o.Epochs, "batch": o.Batch,
		"optimizer": o.Update.Optimizer, "momentum": o.Update.Momentum, "weight-decay": o.Update.Decay, "clip-gradient": o.Update.ClipGradient,
		"lr": o.Rate, "lr-schedule": o.Decay, "lr-groups": o.Rates, "seed": o.Seed, "threads": o.Threads,
	} {
		m[name] = fmt.Sprint(v)
	}
	return m
}
