package train

import (
	"context"
	"fmt"
	"math"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// machine runs a step on ONNX Runtime. Weights, moments and statistics lie in two
// places each; a step reads one and writes the other, without copies where the
// runtime computes in main memory. A step whose loss is not a number leaves the
// place that it read as it was.
type machine struct {
	step    *Step
	session *ort.Session
	places  [2]vectors
	now     int
	facts   *graph.Tensor
	scores  *graph.Tensor
	choices *graph.Tensor
}

// vectors are what training changes.
type vectors struct{ weights, moments, statistics *graph.Tensor }

func newMachine(s *Step, v vectors, threads int) (*machine, error) {
	session, err := ort.NewSession(s.Model, ort.SessionOptions{Threads: threads, Config: quiet})
	if err != nil {
		return nil, err
	}
	m := &machine{step: s, session: session, places: [2]vectors{v, v.empty()}}
	for _, o := range session.Outputs() {
		switch t := zeros(o.Type.Shape.Dims()...); o.Name {
		case FactsOut:
			m.facts = t
		case ScoresOut:
			m.scores = t
		case ChoicesOut:
			m.choices = t
		}
	}
	return m, nil
}

func (v vectors) empty() vectors {
	like := func(t *graph.Tensor) *graph.Tensor {
		if t == nil {
			return nil
		}
		return zeros(t.Dims...)
	}
	return vectors{like(v.weights), like(v.moments), like(v.statistics)}
}

func zeros(dims ...int64) *graph.Tensor {
	return graph.Float32s(dims, make([]float32, product(dims))...)
}

func vector(x []float32) *graph.Tensor { return graph.Float32s([]int64{int64(len(x))}, x...) }

func (m *machine) close() { m.session.Close() }

// current is where training stands.
func (m *machine) current() vectors { return m.places[m.now] }

// run runs a step and returns its facts by name. It is a *DivergedError if the
// loss or the gradient is not finite; the weights are then those before.
func (m *machine) run(ctx context.Context, feeds map[string]*graph.Tensor) (map[string]float64, error) {
	from, to := m.places[m.now], m.places[1-m.now]
	var in, out []*graph.Tensor
	for _, i := range m.session.Inputs() {
		t := map[string]*graph.Tensor{WeightsIn: from.weights, MomentsIn: from.moments, StatsIn: from.statistics}[i.Name]
		if t == nil {
			t = feeds[i.Name]
		}
		if t == nil {
			return nil, fmt.Errorf("BUG: the step's input %s is not fed", i.Name)
		}
		in = append(in, t)
	}
	for _, o := range m.session.Outputs() {
		out = append(out, map[string]*graph.Tensor{
			WeightsOut: to.weights, MomentsOut: to.moments, StatsOut: to.statistics, FactsOut: m.facts, ScoresOut: m.scores, ChoicesOut: m.choices,
		}[o.Name])
	}
	bound, err := m.session.BindIO(in, out)
	if err != nil {
		return nil, err
	}
	defer bound.Release()
	if _, err := bound.Run(ctx); err != nil {
		return nil, err
	}
	facts, err := m.told()
	if err != nil {
		return nil, err
	}
	if bad := facts["loss"] + facts["gradient_norm"]; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return facts, &DivergedError{Facts: facts}
	}
	m.now = 1 - m.now
	return facts, nil
}

func (m *machine) told() (map[string]float64, error) {
	v, err := m.facts.Float32s()
	if err != nil {
		return nil, err
	}
	facts := make(map[string]float64, len(v))
	for i, name := range m.step.Facts {
		facts[name] = float64(v[i])
	}
	return facts, nil
}

// DivergedError is a step whose loss is not a finite number.
type DivergedError struct {
	Epoch, Step int // from 0 on
	Facts       map[string]float64
	State       string // where the last good weights are; "": nowhere
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("epoch %d, step %d: the loss is %g, the gradient's norm %g", e.Epoch+1, e.Step+1, e.Facts["loss"], e.Facts["gradient_norm"])
	if e.State != "" {
		s += fmt.Sprintf("; %s holds the weights of before", e.State)
	}
	return s + ": try a smaller learning rate"
}
