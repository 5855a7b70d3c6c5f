package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/verify/ort"
)

// Recording is what a model was run on and what it answered, to hold another
// model to, or the same one on another machine.
type Recording struct {
	Path string // of its file
	By   RecordedBy
	Runs []Recorded
}

// RecordedBy says who answered.
type RecordedBy struct {
	Program  string `json:"program"`
	Model    string `json:"model"`
	Runtime  string `json:"onnxruntime"`
	Machine  string `json:"machine"`
	Provider string `json:"provider"`
}

func (b RecordedBy) String() string {
	return fmt.Sprintf("%s on ONNX Runtime %s, provider %s, %s", b.Model, b.Runtime, b.Provider, b.Machine)
}

// Recorded is one run. Masks and Margins are which frames were selected, [clip,
// block, frame] uint8, and by how much, float32; nil where the model does not show
// them.
type Recorded struct {
	Inputs, Outputs map[string]*graph.Tensor
	Masks, Margins  *graph.Tensor
}

// Names of arrays in a recording's file, which is a .npz archive: text in JSON, as
// bytes, that says who answered; then of each run, by its number, the inputs and
// outputs by their names, and the choices.
const (
	recordedBy      = "recording"
	recordedInputs  = "inputs"
	recordedOutputs = "outputs"
	recordedMasks   = "masks"
	recordedMargins = "margins"
)

// Write writes a recording. Same answers, same bytes.
func (r *Recording) Write(w io.Writer) error {
	by, err := json.Marshal(r.By)
	if err != nil {
		return err
	}
	text, err := graph.NewTensor(graph.Uint8, []int64{int64(len(by))}, by)
	if err != nil {
		return err
	}
	arrays := []numpy.Array{{Name: recordedBy, Tensor: text}}
	for i, run := range r.Runs {
		add := func(kind, name string, t *graph.Tensor) {
			if t != nil {
				arrays = append(arrays, numpy.Array{Name: fmt.Sprintf("%s/%d/%s", kind, i, name), Tensor: t})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(run.Inputs)) {
			add(recordedInputs, name, run.Inputs[name])
		}
		for _, name := range slices.Sorted(maps.Keys(run.Outputs)) {
			add(recordedOutputs, name, run.Outputs[name])
		}
		add(recordedMasks, "selected", run.Masks)
		add(recordedMargins, "selected", run.Margins)
	}
	return numpy.WriteArchive(w, arrays)
}

// ReadRecording reads what Write wrote. The file may be anything.
func ReadRecording(path string) (*Recording, error) {
	arrays, err := numpy.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Recording{Path: path}
	for i, a := range arrays {
		if i == 0 {
			if err = r.readBy(a); err != nil {
				break
			}
			continue
		}
		if err = r.read(a); err != nil {
			err = fmt.Errorf("array %q: %w", terminal.Line(a.Name), err)
			break
		}
	}
	if err == nil && len(r.Runs) == 0 {
		err = errors.New("it holds no run")
	}
	for i, run := range r.Runs {
		if err == nil && (len(run.Inputs) == 0 || len(run.Outputs) == 0) {
			err = fmt.Errorf("run %d has %d inputs and %d outputs", i, len(run.Inputs), len(run.Outputs))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a recording of --save-outputs: %w", path, err)
	}
	return r, nil
}

func (r *Recording) readBy(a numpy.Array) error {
	if a.Name != recordedBy || a.Tensor.DType != graph.Uint8 {
		return fmt.Errorf("its first array is %q, not %q", terminal.Line(a.Name), recordedBy)
	}
	raw, err := a.Tensor.Bytes()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &r.By); err != nil {
		return err
	}
	for _, text := range []*string{&r.By.Program, &r.By.Model, &r.By.Runtime, &r.By.Machine, &r.By.Provider} {
		*text = terminal.Line(*text)
	}
	return nil
}

// read takes an array: runs follow one another.
func (r *Recording) read(a numpy.Array) error {
	kind, rest, _ := strings.Cut(a.Name, "/")
	number, name, named := strings.Cut(rest, "/")
	i, err := strconv.Atoi(number)
	if err != nil || !named || i < 0 || i > len(r.Runs) || i < len(r.Runs)-1 {
		return errors.New("expected KIND/RUN/NAME, run by run")
	}
	if i == len(r.Runs) {
		r.Runs = append(r.Runs, Recorded{Inputs: map[string]*graph.Tensor{}, Outputs: map[string]*graph.Tensor{}})
	}
	run := &r.Runs[i]
	switch kind {
	case recordedInputs, recordedOutputs:
		to := run.Inputs
		if kind == recordedOutputs {
			to = run.Outputs
		}
		if to[name] != nil {
			return errors.New("it stands twice")
		}
		to[name] = a.Tensor
	case recordedMasks:
		if run.Masks = a.Tensor; len(a.Tensor.Dims) != 3 || a.Tensor.DType != graph.Uint8 {
			return fmt.Errorf("it is %s%v, want uint8 [clip, block, frame]", a.Tensor.DType, a.Tensor.Dims)
		}
	case recordedMargins:
		if run.Margins = a.Tensor; a.Tensor.DType != graph.Float32 {
			return fmt.Errorf("it is %s, want float32", a.Tensor.DType)
		}
	default:
		return fmt.Errorf("there is no kind %q", terminal.Line(kind))
	}
	return nil
}

// by says who answers now.
func (r *Report) by(m *graph.Model) RecordedBy {
	return RecordedBy{Program: r.Program, Model: ort.ModelName(m), Runtime: r.Runtime, Machine: r.Machine, Provider: r.Provider}
}

// recording is what the model answered to the clips of this verification, with its
// choices.
func (p *prover) recording() (*Recording, error) {
	r := &Recording{By: p.r.by(p.s.Model)}
	r.By.Provider = "cpu" // where baselines run
	for i, clips := range p.batches {
		o, err := p.baseline(i)
		if err != nil {
			return nil, err
		}
		s, err := p.sessions.open(p.showing[p.s.Model], p.unoptimised())
		if err != nil {
			return nil, err
		}
		inputs, err := p.inputs(p.s.Model, s, clips, nil)
		if err != nil {
			return nil, err
		}
		run := Recorded{Inputs: map[string]*graph.Tensor{}, Outputs: map[string]*graph.Tensor{}}
		for k, io := range s.Inputs() {
			run.Inputs[io.Name] = inputs[k]
		}
		for _, name := range o.names {
			run.Outputs[name] = o.outputs[name]
		}
		if o.masks != nil {
			if run.Masks, run.Margins, err = o.choices(); err != nil {
				return nil, err
			}
		}
		r.Runs = append(r.Runs, run)
	}
	return r, nil
}

// choices are an outcome's masks and margins as Recorded has them.
func (o *outcome) choices() (masks, margins *graph.Tensor, err error) {
	dims := []int64{int64(len(o.masks)), int64(len(o.masks[0])), int64(len(o.masks[0][0]))}
	var bits []byte
	for _, clip := range o.masks {
		for _, block := range clip {
			bits = append(bits, block...)
		}
	}
	if masks, err = graph.NewTensor(graph.Uint8, dims, bits); err != nil || o.margins == nil {
		return masks, nil, err
	}
	narrow := make([]float32, len(o.margins))
	for i, m := range o.margins {
		narrow[i] = float32(m)
	}
	return masks, graph.Float32s([]int64{int64(len(narrow))}, narrow...), nil
}

// outcome is a run as it was recorded.
func (run Recorded) outcome() (*outcome, error) {
	o := &outcome{names: slices.Sorted(maps.Keys(run.Outputs)), outputs: run.Outputs}
	if run.Masks == nil {
		return o, nil
	}
	bits, err := run.Masks.Bytes()
	if err != nil {
		return nil, err
	}
	d := run.Masks.Dims
	o.masks = newMasks(int(d[0]), int(d[1]), int(d[2]))
	for i, b := range bits {
		at := int64(i)
		o.masks[at/d[2]/d[1]][at/d[2]%d[1]][at%d[2]] = min(b, 1)
	}
	if run.Margins != nil {
		if o.margins, err = float64s(run.Margins); err != nil {
			return nil, err
		}
		if len(o.margins) != len(bits) {
			return nil, fmt.Errorf("%d margins of %d choices", len(o.margins), len(bits))
		}
	}
	return o, nil
}

// checkRecorded runs the model on the inputs of a recording and holds it to its
// answers. Kernels of another machine sum in another order.
func (p *prover) checkRecorded() (Check, error) {
	r := p.opt.Recorded
	if r == nil {
		return Check{}, &InapplicableError{"no answers are given to hold it to (--load-outputs)"}
	}
	so, tol := p.unoptimised(), Folded
	if !p.opt.Provider.CPU() {
		so, tol = p.optimised(), Device
	}
	worst := Check{Status: Pass}
	for i, run := range r.Runs {
		c, err := p.checkRun(i, run, so, p.tol(tol))
		if err != nil {
			return c, fmt.Errorf("run %d of %s: %w", i, r.Path, err)
		}
		if i == 0 || c.Status == Fail || c.size > worst.size {
			worst = c
		}
		if c.Status == Fail {
			worst.Where = fmt.Sprintf("run %d: %s", i, c.Where)
			break
		}
	}
	worst.Where = strings.TrimPrefix(worst.Where+"; by "+r.By.String(), "; ")
	return worst, nil
}

func (p *prover) checkRun(i int, run Recorded, so ort.SessionOptions, tol Tolerance) (Check, error) {
	want, err := run.outcome()
	if err != nil {
		return Check{}, err
	}
	m := p.shown(p.s.Model)
	s, err := ort.NewSession(m, so)
	if err != nil {
		return Check{}, err
	}
	defer s.Close()
	named, err := s.RunNamed(p.ctx, run.Inputs)
	if err != nil {
		return Check{}, err
	}
	got := &outcome{names: outputNames(s), outputs: named}
	if want.masks != nil && len(want.masks)%p.crops == 0 {
		if err := p.readMasks(got, len(want.masks)/p.crops); err != nil {
			return Check{}, err
		}
		if len(want.masks[0]) != len(got.masks[0]) || len(want.masks[0][0]) != len(got.masks[0][0]) {
			want.masks = nil // another network's
		}
	}
	return p.sameButForTies(recordedCheck, got, want, tol)
}

// recordedCheck is the check against a recording.
const recordedCheck = "recorded"
