package verify

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// SameOptions are the choices of Same.
type SameOptions struct {
	// Tolerances by output; "" is for every output not named. Without it,
	// DefaultSame.
	Tolerances map[string]Tolerance

	// Inputs are given inputs, by name ("": of an only input); the others are
	// random.
	Inputs       map[string]*graph.Tensor
	Shapes       map[string][]int64 // of random inputs that the model leaves open; "": of an only input
	Seed         uint64
	Distribution clips.Distribution
	Iterations   int   // with other random inputs each; 0: 1
	Batch        int64 // first dimension of random inputs that leave it open; 0: 2

	// Record keeps inputs and a's answers, in the report; Recorded are such, which
	// stand for a and its inputs.
	Record   bool
	Recorded *Recording

	Session ort.SessionOptions // of both
	// Bisect looks for the first value that differs when an output does.
	Bisect   bool
	Progress func(step string, done, total int) // nil: nobody is told
}

// DefaultSame is the tolerance of Same: what constant folding and fused
// operators cost.
var DefaultSame = Tolerance{Name: "same", Abs: 1e-5, Rel: 1e-4}

// ParseTolerances reads tolerances as "VALUE" for all outputs or "OUTPUT:VALUE"
// for one, and figures of errors (ErrorStats) likewise. What an output's own entries
// leave open is as for all.
func ParseTolerances(atol, rtol, stats []string) (map[string]Tolerance, error) {
	abs, err := byOutput(atol)
	if err != nil {
		return nil, err
	}
	rel, err := byOutput(rtol)
	if err != nil {
		return nil, err
	}
	stat, err := statsByOutput(stats)
	if err != nil {
		return nil, err
	}
	all := DefaultSame
	all.override(abs, rel, stat, "")
	tols := map[string]Tolerance{"": all}
	for _, outputs := range []iter.Seq[string]{maps.Keys(abs), maps.Keys(rel), maps.Keys(stat)} {
		for output := range outputs {
			t := all
			t.override(abs, rel, stat, output)
			tols[output] = t
		}
	}
	return tols, nil
}

// statsByOutput reads "STAT" and "OUTPUT:STAT".
func statsByOutput(specs []string) (map[string]string, error) {
	stats := map[string]string{}
	for _, spec := range specs {
		output, stat := "", spec
		if i := strings.LastIndex(spec, ":"); i >= 0 {
			output, stat = spec[:i], spec[i+1:]
		}
		if !slices.Contains(ErrorStats, stat) {
			return nil, fmt.Errorf("figure of errors %q: expected one of %s, or OUTPUT: and one", spec, strings.Join(ErrorStats, ", "))
		}
		if stats[output] = stat; stat == elementwise {
			stats[output] = ""
		}
	}
	return stats, nil
}

func byOutput(specs []string) (map[string]float64, error) {
	values := map[string]float64{}
	for _, spec := range specs {
		output, value := "", spec
		if i := strings.LastIndex(spec, ":"); i >= 0 {
			output, value = spec[:i], spec[i+1:]
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || !(v >= 0) {
			return nil, fmt.Errorf("tolerance %q: expected NUMBER or OUTPUT:NUMBER", spec)
		}
		values[output] = v
	}
	return values, nil
}

func (t *Tolerance) override(abs, rel map[string]float64, stat map[string]string, output string) {
	if v, ok := stat[output]; ok {
		t.Stat = v
	}
	if v, ok := abs[output]; ok {
		t.Abs = v
	}
	if v, ok := rel[output]; ok {
		t.Rel = v
	}
}

func (o SameOptions) tolerance(output string) Tolerance {
	if t, ok := o.Tolerances[output]; ok {
		return t
	}
	if t, ok := o.Tolerances[""]; ok {
		return t
	}
	return DefaultSame
}

// Same runs two models on the same inputs and compares output by output, b
// against a. Outputs are matched by name, or by place if no name is shared. a may be
// nil where opt.Recorded says what it answered, and b where opt.Record is all that
// is wanted. Differences are failed rows; an error means that nothing could be
// compared.
func Same(ctx context.Context, a, b *graph.Model, opt SameOptions) (*Report, error) {
	r := newReport(opt.Session.Provider)
	p := &prover{ctx: ctx, r: r}
	c := &comparison{r: r, opt: opt, iterations: max(opt.Iterations, 1)}
	for _, side := range []struct {
		role string
		m    *graph.Model
		to   **ort.Session
	}{{"a", a, &c.a}, {"b", b, &c.b}} {
		if side.m == nil {
			continue
		}
		p.addModel(side.role, side.m, ort.ModelName(side.m), "")
		s, err := ort.NewSession(side.m, opt.Session)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		*side.to = s
	}
	if opt.Record {
		r.Recording = &Recording{By: r.by(a)}
	}
	if err := c.match(); err != nil {
		return nil, err
	}
	for i := range c.iterations {
		if opt.Progress != nil {
			opt.Progress("comparing outputs", i, c.iterations)
		}
		if err := c.run(ctx, i); err != nil {
			return nil, err
		}
	}
	for _, d := range c.worst {
		r.Checks = append(r.Checks, sameRow(d, opt.tolerance(d.Output)))
		r.Errors = append(r.Errors, d)
	}
	if b == nil {
		r.Checks = append(r.Checks, Check{Name: recordedCheck, Title: "answers recorded", Status: Info, Figure: fmt.Sprintf("%d runs of %s", c.iterations, strings.Join(outputNames(c.a), ", "))})
	}
	if c.failing != nil && opt.Bisect {
		row, err := bisectRow(ctx, a, b, c.failing, opt)
		if err != nil {
			return nil, err
		}
		r.Checks = append(r.Checks, row)
	}
	return r, ctx.Err()
}

// comparison is a run of Same under way.
type comparison struct {
	r          *Report
	opt        SameOptions
	iterations int
	a, b       *ort.Session // nil: not there
	outputs    []pair
	worst      []Difference             // by output
	failing    map[string]*graph.Tensor // the first inputs on which an output differed
}

// match pairs the outputs and says what the models are run on.
func (c *comparison) match() (err error) {
	if rec := c.opt.Recorded; rec != nil {
		c.iterations = len(rec.Runs)
		c.r.Inputs = fmt.Sprintf("%d runs as recorded in %s, by %s", c.iterations, rec.Path, rec.By)
		names := slices.Sorted(maps.Keys(rec.Runs[0].Outputs))
		c.outputs, err = matchOutputs(rec.Path, names, c.b.Model, outputNames(c.b))
	} else {
		c.r.Inputs = c.opt.describe(c.a, c.iterations)
		if c.b != nil {
			c.outputs, err = matchOutputs(c.a.Model, outputNames(c.a), c.b.Model, outputNames(c.b))
		}
	}
	c.worst = make([]Difference, len(c.outputs))
	return err
}

// run makes or takes the i-th inputs, and compares the answers to them.
func (c *comparison) run(ctx context.Context, i int) error {
	var one Recorded
	var err error
	if c.opt.Recorded != nil {
		one = c.opt.Recorded.Runs[i]
	} else {
		if one.Inputs, err = c.opt.inputs(c.a, uint64(i)); err != nil {
			return err
		}
		if one.Outputs, err = c.a.RunNamed(ctx, one.Inputs); err != nil {
			return err
		}
	}
	if c.r.Recording != nil {
		c.r.Recording.Runs = append(c.r.Recording.Runs, one)
	}
	if c.b == nil {
		return nil
	}
	got, err := c.b.RunNamed(ctx, one.Inputs)
	if err != nil {
		return err
	}
	for k, o := range c.outputs {
		want := one.Outputs[o.a]
		if want == nil {
			return fmt.Errorf("run %d has no output %q", i, o.a)
		}
		d, err := CompareFully(o.a, got[o.b], want, c.opt.tolerance(o.a))
		if err != nil {
			return err
		}
		if i == 0 || d.worse(c.worst[k]) {
			c.worst[k] = d
		}
		if !d.OK() && c.failing == nil {
			c.failing = one.Inputs
		}
	}
	return nil
}

func sameRow(d Difference, tol Tolerance) Check {
	c := Check{Name: "same", Title: "output " + d.Output, Status: Pass, Limit: tol.String(), Where: d.Where()}
	c.Figure = fmt.Sprintf("max abs %.2e, max rel %.2e", d.MaxAbs, d.MaxRel)
	if tol.Stat != "" {
		c.Figure = fmt.Sprintf("%s abs %.2e, rel %.2e", tol.Stat, d.Statistics.Abs.of(tol.Stat), d.Statistics.Rel.of(tol.Stat))
	}
	if d.OK() {
		return c
	}
	c.Status = Fail
	if d.NonFinite > 0 {
		c.Figure = d.Figure()
		return c
	}
	if tol.Stat != "" {
		return c
	}
	needed := fmt.Sprintf("; %d of %d elements beyond; it would take atol %.2e", d.Bad, d.Count, d.NeededAbs)
	if d.NeededRel >= 0 {
		needed += fmt.Sprintf(" or rtol %.2e", d.NeededRel)
	}
	c.Where += needed
	return c
}

// matchOutputs pairs the outputs of two models.
func matchOutputs(a string, ofA []string, b string, ofB []string) ([]pair, error) {
	var pairs []pair
	for _, name := range ofA {
		if slices.Contains(ofB, name) {
			pairs = append(pairs, pair{name, name})
		}
	}
	if len(pairs) > 0 {
		return pairs, nil
	}
	if len(ofA) != len(ofB) {
		return nil, fmt.Errorf("the models share no output: %s has %s, %s has %s", a, strings.Join(ofA, ", "), b, strings.Join(ofB, ", "))
	}
	for i, name := range ofA {
		pairs = append(pairs, pair{name, ofB[i]})
	}
	return pairs, nil
}

// given looks up what is given for an input, "" standing for an only one.
func given[T any](m map[string]T, s *ort.Session, name string) T {
	if v, ok := m[name]; ok || len(s.Inputs()) > 1 {
		return v
	}
	return m[""]
}

// describe says what the models are run on.
func (o SameOptions) describe(s *ort.Session, iterations int) string {
	count := 0
	for _, io := range s.Inputs() {
		if given(o.Inputs, s, io.Name) != nil {
			count++
		}
	}
	if count == len(s.Inputs()) {
		return "as given"
	}
	return fmt.Sprintf("%d of %d given, the others random (seed %d), %d times", count, len(s.Inputs()), o.Seed, iterations)
}

// inputs makes the i-th set of inputs.
func (o SameOptions) inputs(s *ort.Session, i uint64) (map[string]*graph.Tensor, error) {
	inputs := map[string]*graph.Tensor{}
	for k, io := range s.Inputs() {
		if t := given(o.Inputs, s, io.Name); t != nil {
			inputs[io.Name] = t
			continue
		}
		dims := given(o.Shapes, s, io.Name)
		if dims == nil {
			dims = io.Type.Shape.Dims()
			if len(dims) > 1 && dims[0] < 0 {
				if dims[0] = o.Batch; dims[0] == 0 {
					dims[0] = 2
				}
			}
			if slices.ContainsFunc(dims, func(d int64) bool { return d < 0 }) || !io.Type.Shape.Ranked() {
				return nil, fmt.Errorf("%s: input %s %s has open dimensions: give its shape (--input-shapes %s:…)", s.Model, io.Name, io.Type, io.Name)
			}
		}
		t, err := o.random(io.Type.Elem, dims, i<<16|uint64(k))
		if err != nil {
			return nil, fmt.Errorf("%s: input %s: %w", s.Model, io.Name, err)
		}
		inputs[io.Name] = t
	}
	return inputs, nil
}

// random makes floats as the distribution says, any bytes for images, and zeros
// and ones for other integers, which are valid indices and masks alike.
func (o SameOptions) random(elem graph.DataType, dims []int64, stream uint64) (*graph.Tensor, error) {
	n, err := (&graph.Tensor{Dims: dims}).NumElements()
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, stream))
	if elem == graph.Float32 {
		v := make([]float32, n)
		for i := range v {
			if v[i] = float32(rng.NormFloat64()); o.Distribution == clips.Uniform {
				v[i] = rng.Float32()
			}
		}
		return graph.Float32s(dims, v...), nil
	}
	size := elem.Size()
	if size == 0 || elem.IsFloat() {
		return nil, fmt.Errorf("no random values are made for %s: give the input", elem)
	}
	values := 2
	if elem == graph.Uint8 && len(dims) >= 4 {
		values = 256
	}
	raw := make([]byte, int(n)*size)
	for i := range int(n) {
		raw[i*size] = byte(rng.IntN(values))
	}
	return graph.NewTensor(elem, dims, raw)
}

// bisectRow names the first value that differs.
func bisectRow(ctx context.Context, a, b *graph.Model, inputs map[string]*graph.Tensor, opt SameOptions) (Check, error) {
	so := opt.Session
	so.OptLevel = ort.OptNone // fused nodes would hide the values between them
	c := Check{Name: "bisect", Title: "first value that differs", Status: Info}
	d, err := firstDifference(a, b, opt.tolerance(""), bisectChunk, func(m *graph.Model) (*outcome, error) {
		s, err := ort.NewSession(m, so)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		out, err := s.RunNamed(ctx, inputs)
		if err != nil {
			return nil, err
		}
		return &outcome{names: outputNames(s), outputs: out}, nil
	})
	switch {
	case err != nil:
		return c, err
	case d.Output == "":
		c.Where = "no value that both compute differs before the outputs"
		return c, nil
	}
	c.Figure = d.Figure()
	node := a.Graph.Value(d.Output).Producer()
	c.Where = fmt.Sprintf("%s, made by %s %s; %s", d.Output, node.OpType, node.Name, d.Where())
	if s := names.TorchStage(d.Output); s != "" {
		c.Where = "in " + s + ": " + c.Where
	}
	return c, nil
}
