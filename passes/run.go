package passes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// maxRounds caps a loop of passes. Six rounds are the most seen on real
// exports; a loop that needs more undoes its own work.
const maxRounds = 20

// Input is what a pipeline starts from: a Model, with Weights or without;
// Weights alone; or a Network.
type Input struct {
	Model   *graph.Model
	Weights *checkpoint.StateDict // trained ones, to take the place of the model's
	Network *afblock.Network      // to be lowered as it is
}

// way is the way in which the input is converted.
func (in Input) way() Pipeline {
	switch {
	case in.Network != nil:
		return fromNetwork
	case in.Model == nil:
		return fromWeights
	case compiled.Is(in.Model):
		return fromAFNet
	}
	return fromSource
}

// Options steer a run of a pipeline. The zero value runs everything.
type Options struct {
	StopAfter string   // name of the pass to end with, "" for all
	Skip      []string // names of passes to leave out
	DumpDir   string   // folder for the model as text after each pass, "" for none

	// Check verifies the model's structure and each pass's promises between
	// passes, and shuffles the node order by Seed, which the caller should
	// print.
	Check bool
	Seed  uint64

	// Opset is the ai.onnx version to write, OldestOpset to NewestOpset; 0: as
	// the model has it, or the oldest.
	Opset int64

	Convert // ToConvert

	// Progress is told which pass runs; nil: nobody.
	Progress func(pass string)
}

// Convert says what network ToConvert makes of its input, and how it is
// written.
type Convert struct {
	Recognize recognize.Options // of a source. Frames 0: as its graph says, or else Convert.Frames
	// Accept is asked about a source once it is recognised; nil: all are welcome.
	Accept     func(source *afblock.Network) error
	Rewrite    *afblock.RewriteOptions // makes a plain network an AFNet; nil leaves it plain
	Checkpoint weights.Options         // what weights alone do not say
	// Fit gives an AFNet made of a source other weights; nil leaves it as
	// transplanted.
	Fit func(source, net *afblock.Network) (*afblock.Network, error)

	// Frames is T of the network; 0: as model or weights say.
	Frames int
	// Unselected is what a skipped frame answers; nil: as an AFNet or weights
	// say, or else as Rewrite and Checkpoint do.
	Unselected *afblock.Unselected
	// Cells are chosen inside all frames alike on Checkpoint.Grid, where that is
	// given and no weights choose; nil: those near the middle, half of them.
	Cells *afblock.CellPattern

	Lower codegen.Options
	// KeepMasks, KeepSampling and KeepDial have an AFNet's own output of masks and
	// inputs of noise and of a margin, whatever Lower says.
	KeepMasks, KeepSampling, KeepDial bool
	// KeepPrecision has an AFNet's own precision, whatever Lower says.
	KeepPrecision bool
}

// Ran is what one run of a pass did.
type Ran struct {
	Pass    string        `json:"pass"`
	Changes int           `json:"changes"`
	After   *Stats        `json:"after,omitempty"` // absent before there is a model
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Result is what a pipeline made.
type Result struct {
	Model   *graph.Model
	Network *afblock.Network // as recognised, or rewritten; nil if neither ran or it was not recognised
	Choice  codegen.Choice   // the lowering, if it was lowered
	Before  *Stats           // nil where there was no model
	Steps   []Ran            // in the order run; passes of a loop occur once a round
	Notes   []Note           // what passes refused, and why
}

// After counts the model as the pipeline left it.
func (r *Result) After() Stats {
	if len(r.Steps) == 0 {
		return *r.Before
	}
	return *r.Steps[len(r.Steps)-1].After
}

// UnknownPassError is a pass name that the pipeline does not have.
type UnknownPassError struct {
	Name string
	Way  string   // what is being done
	Has  []string // the passes that run then
}

func (e *UnknownPassError) Error() string {
	switch {
	case find(e.Name) == nil:
		return fmt.Sprintf("no pass %q; there are %s", e.Name, strings.Join(passNames(func(Pass) bool { return true }), ", "))
	case len(e.Has) == 0:
		return fmt.Sprintf("pass %s does not run to %s; no pass does", e.Name, e.Way)
	}
	return fmt.Sprintf("pass %s does not run to %s; those that do are %s", e.Name, e.Way, strings.Join(e.Has, ", "))
}

// NoModelError is a run that ended before there was a model.
type NoModelError struct{ After string }

func (e *NoModelError) Error() string {
	return fmt.Sprintf("weights alone are no model yet after pass %s; there is one after pass lower", e.After)
}

// RequirementError is a pass that cannot run because the pass that prepares
// the model for it was skipped.
type RequirementError struct{ Pass, Needs, From string }

func (e *RequirementError) Error() string {
	return fmt.Sprintf("pass %s needs that %s; do not skip %s", e.Pass, e.Needs, e.From)
}

// BrokenError is a model that graph.Check accepted before a pass and refuses
// after it.
type BrokenError struct {
	Pass string
	Err  error // of graph.Check
}

func (e *BrokenError) Error() string { return fmt.Sprintf("after pass %s: %v", e.Pass, e.Err) }

func (e *BrokenError) Unwrap() error { return e.Err }

// errStop ends a run at Options.StopAfter.
var errStop = errors.New("stop")

// Canonicalize runs ToCanonical on a model, in place.
func Canonicalize(m *graph.Model) error {
	_, err := Run(ToCanonical, Input{Model: m}, Options{})
	return err
}

// Optimize runs ToOptimize. It changes m and may return another model.
func Optimize(m *graph.Model, opt Options) (*Result, error) {
	return Run(ToOptimize, Input{Model: m}, opt)
}

// Lower writes a network as a model.
func Lower(net *afblock.Network, opt codegen.Options) (*graph.Model, error) {
	r, err := Run(ToConvert, Input{Network: net}, Options{Convert: Convert{Lower: opt}})
	if err != nil {
		return nil, err
	}
	return r.Model, nil
}

// Run runs a pipeline. It changes the input's model; the model made is in the
// result. Errors are *graph.Error for a model that no pass can help,
// *recognize.Error and *checkpoint.Error (ToConvert),
// *UnknownPassError, *RequirementError and *NoModelError for options that
// cannot be met, and those of the file system for dumps.
func Run(p Pipeline, in Input, opt Options) (*Result, error) {
	p = p.of(in)
	if err := checkNames(p, opt); err != nil {
		return nil, err
	}
	r := &runner{
		state:  &State{Model: in.Model, Network: in.Network, weights: in.Weights, opt: &opt},
		result: &Result{},
		random: rand.New(rand.NewPCG(opt.Seed, 0)),
	}
	if in.Model != nil {
		if err := graph.Check(in.Model); err != nil {
			return nil, err
		}
		r.result.Before = r.stats()
	}
	if opt.DumpDir != "" {
		if err := os.MkdirAll(opt.DumpDir, 0o777); err != nil {
			return nil, err
		}
		if err := r.dump("source"); err != nil {
			return nil, err
		}
	}
	if p == toKeep {
		r.state.pass = "optimize"
		r.state.note(nil, "afc compiled this AFNet; it is left as it is")
	}
	var promised map[string]graph.Type
	if in.Model != nil {
		promised = outputTypes(in.Model)
	}
	err := r.pipeline(p)
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	if r.state.Model == nil {
		return nil, &NoModelError{r.state.pass}
	}
	keepDimNames(r.state.Model, promised)
	r.result.Model, r.result.Network, r.result.Choice = r.state.Model, r.state.Network, r.state.choice
	r.result.Notes = r.state.notes
	return r.result, nil
}

// checkNames refuses names of passes that the pipeline does not run.
func checkNames(p Pipeline, opt Options) error {
	for _, name := range append(slices.Clone(opt.Skip), opt.StopAfter) {
		if pass := find(name); name != "" && (pass == nil || pass.In&p == 0) {
			return &UnknownPassError{name, ways[p], passNames(func(q Pass) bool { return q.In&p != 0 })}
		}
	}
	return nil
}

type runner struct {
	state  *State
	result *Result
	random *rand.Rand
	dumps  int
	done   []*Pass // those whose promises are checked from now on
}

func (r *runner) pipeline(p Pipeline) error {
	var todo []*Pass
	for i := range Table {
		if pass := &Table[i]; pass.In&p != 0 && !slices.Contains(r.state.opt.Skip, pass.Name) {
			todo = append(todo, pass)
		}
	}
	for len(todo) > 0 {
		k := 1
		for todo[0].Loop != "" && k < len(todo) && todo[k].Loop == todo[0].Loop {
			k++
		}
		if err := r.loop(todo[:k]); err != nil {
			return err
		}
		todo = todo[k:]
	}
	return nil
}

// loop runs passes once, or, where they form a loop, until nothing changes.
func (r *runner) loop(passes []*Pass) error {
	for round := 1; ; round++ {
		changes := 0
		for _, pass := range passes {
			if err := r.run(pass); err != nil {
				return err
			}
			changes += r.state.changes
		}
		if passes[0].Loop == "" || changes == 0 {
			return nil
		}
		if round == maxRounds {
			r.state.note(nil, "the loop %q still made %d changes in round %d; it was ended there", passes[0].Loop, changes, round)
			return nil
		}
	}
}

func (r *runner) run(pass *Pass) error {
	s := r.state
	for _, fact := range pass.Requires {
		if !fact.holds(s) {
			return &RequirementError{pass.Name, fact.Name, ensurer(fact)}
		}
	}
	s.pass, s.changes = pass.Name, 0
	if s.opt.Progress != nil {
		s.opt.Progress(pass.Name)
	}
	start := time.Now()
	if err := pass.Run(s); err != nil {
		return fmt.Errorf("pass %s: %w", pass.Name, err)
	}
	r.result.Steps = append(r.result.Steps, Ran{pass.Name, s.changes, r.stats(), time.Since(start)})
	if s.opt.DumpDir != "" {
		if err := r.dump(pass.Name); err != nil {
			return err
		}
	}
	r.done = append(r.done, pass)
	if s.opt.Check {
		if err := r.check(pass); err != nil {
			return err
		}
		if s.Model != nil {
			shuffle(s.Model, r.random)
		}
	}
	if pass.Name == s.opt.StopAfter {
		return errStop
	}
	return nil
}

// check tests the model and the promises that hold from now on. A model that
// is no longer valid may have been at fault before: a bias of the wrong length
// shows only once it is folded.
func (r *runner) check(pass *Pass) error {
	if r.state.Model != nil {
		if err := graph.Check(r.state.Model); err != nil {
			return &BrokenError{pass.Name, err}
		}
	}
	for _, p := range r.done {
		for _, fact := range p.Ensures {
			if !fact.holds(r.state) {
				panic(fmt.Sprintf("BUG: after pass %s it no longer holds that %s", pass.Name, fact.Name))
			}
		}
	}
	return nil
}

// stats counts the model, if there is one.
func (r *runner) stats() *Stats {
	if r.state.Model == nil {
		return nil
	}
	s := Measure(r.state.Model)
	return &s
}

// dump writes the model as text into the dump folder, files numbered in the
// order written; before there is a model, what the network is, if there is one.
func (r *runner) dump(name string) error {
	var text strings.Builder
	switch s := r.state; {
	case s.Model != nil:
		text.WriteString(graph.Text(s.Model))
	case s.Network != nil:
		if err := describe.Network(s.Network).WriteText(&text); err != nil {
			return err
		}
	default:
		return nil
	}
	file := filepath.Join(r.state.opt.DumpDir, fmt.Sprintf("%02d-%s.txt", r.dumps, name))
	r.dumps++
	return os.WriteFile(file, []byte(text.String()), 0o666)
}

// ensurer names the pass that ensures a fact.
func ensurer(f Fact) string {
	for _, p := range Table {
		for _, e := range p.Ensures {
			if e.Name == f.Name {
				return p.Name
			}
		}
	}
	panic("BUG: no pass ensures that " + f.Name)
}
