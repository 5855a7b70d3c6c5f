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
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// maxRounds caps a loop of passes. Six rounds are the most seen on real
// exports; a loop that needs more undoes its own work.
const maxRounds = 20

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

	Recognize recognize.Options
	// Rewrite makes the recognised network an AFNet (ToConvert); nil leaves it.
	Rewrite func(*afblock.Network) (*afblock.Network, error)
	Lower   codegen.Options // ToConvert
}

// Step is what one run of a pass did.
type Step struct {
	Pass    string        `json:"pass"`
	Changes int           `json:"changes"`
	After   Stats         `json:"after"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Result is what a pipeline made.
type Result struct {
	Model   *graph.Model
	Network *afblock.Network // as recognised, or rewritten; nil if neither ran or it was not recognised
	Before  Stats
	Steps   []Step // in the order run; passes of a loop occur once a round
	Notes   []Note // what passes refused, and why
}

// After counts the model as the pipeline left it.
func (r *Result) After() Stats {
	if len(r.Steps) == 0 {
		return r.Before
	}
	return r.Steps[len(r.Steps)-1].After
}

// UnknownPassError is a pass name that the table does not have.
type UnknownPassError struct{ Name string }

func (e *UnknownPassError) Error() string {
	names := passNames(func(Pass) bool { return true })
	return fmt.Sprintf("no pass %q; there are %s", e.Name, strings.Join(names, ", "))
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
	_, err := Run(ToCanonical, m, Options{})
	return err
}

// Optimize runs ToOptimize. It changes m and may return another model.
func Optimize(m *graph.Model, opt Options) (*Result, error) {
	return Run(ToOptimize, m, opt)
}

// Lower writes a network as a model: what ToConvert does from its pass "lower"
// on, for networks that come from a checkpoint or from a compiled model.
func Lower(net *afblock.Network, opt codegen.Options) (*graph.Model, error) {
	m, _, err := codegen.Lower(net, opt)
	if err != nil {
		return nil, err
	}
	return m, deadCode(&State{Model: m, Network: net, opt: &Options{Lower: opt}, pass: "clean-up"})
}

// Run runs a pipeline on a model, which it changes; the model made is in the
// result. Errors are *graph.Error for a model that no pass can help,
// *recognize.Error (ToConvert), *UnknownPassError and
// *RequirementError for options that cannot be met, and those of the file
// system for dumps.
func Run(p Pipeline, m *graph.Model, opt Options) (*Result, error) {
	for _, name := range append(slices.Clone(opt.Skip), opt.StopAfter) {
		if name != "" && find(name) == nil {
			return nil, &UnknownPassError{name}
		}
	}
	if err := graph.Check(m); err != nil {
		return nil, err
	}
	if p == ToOptimize && compiled.Is(m) {
		return leftAlone(m), nil
	}
	r := &runner{
		state:  &State{Model: m, opt: &opt},
		result: &Result{Before: Measure(m)},
		random: rand.New(rand.NewPCG(opt.Seed, 0)),
	}
	if opt.DumpDir != "" {
		if err := os.MkdirAll(opt.DumpDir, 0o777); err != nil {
			return nil, err
		}
		if err := r.dump("source"); err != nil {
			return nil, err
		}
	}
	promised := outputTypes(m)
	err := r.pipeline(p)
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	keepDimNames(r.state.Model, promised)
	r.result.Model, r.result.Network, r.result.Notes = r.state.Model, r.state.Network, r.state.notes
	return r.result, nil
}

// leftAlone is the result of optimising a model that afc wrote: it is as fast as
// afc knows to make it, and its weights are read back by the names and the form
// that lowering gave them.
func leftAlone(m *graph.Model) *Result {
	return &Result{Model: m, Before: Measure(m), Notes: []Note{{Pass: "optimize", Reason: "afc compiled this AFNet; it is left as it is"}}}
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
	start := time.Now()
	if err := pass.Run(s); err != nil {
		return fmt.Errorf("pass %s: %w", pass.Name, err)
	}
	r.result.Steps = append(r.result.Steps, Step{pass.Name, s.changes, Measure(s.Model), time.Since(start)})
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
		shuffle(s.Model, r.random)
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
	if err := graph.Check(r.state.Model); err != nil {
		return &BrokenError{pass.Name, err}
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

// dump writes the model as text into the dump folder, files numbered in the
// order written.
func (r *runner) dump(name string) error {
	file := filepath.Join(r.state.opt.DumpDir, fmt.Sprintf("%02d-%s.txt", r.dumps, name))
	r.dumps++
	return os.WriteFile(file, []byte(graph.Text(r.state.Model)), 0o666)
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
