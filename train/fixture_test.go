package train

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/op"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify/ort"
)

// recorded is two steps of PyTorch in float64 of one network.
type recorded struct {
	net    *afblock.Network
	start  *checkpoint.StateDict // in float64
	arrays map[string]*graph.Tensor
}

func (r *recorded) number(t *testing.T, name string) float64 {
	t.Helper()
	return wide(t, r.arrays[name])[0]
}

// key is how the checkpoint spells a network's key.
func (r *recorded) key(key string) string {
	if rest, ok := strings.CutPrefix(key, r.net.Head.FC.Key+"."); ok {
		return r.net.Keys.FC + "." + rest
	}
	return r.net.Keys.Prefix + key
}

// gather joins what was recorded under PREFIX/KEY by a layout.
func (r *recorded) gather(t *testing.T, prefix string, list []Tensor) []float64 {
	t.Helper()
	var v []float64
	for _, at := range list {
		a := r.arrays[prefix+"/"+r.key(at.Key)]
		if a == nil {
			t.Fatalf("nothing is recorded of %s/%s", prefix, r.key(at.Key))
		}
		v = append(v, wide(t, a)...)
	}
	return v
}

// part is one step's share of an array that has both.
func (r *recorded) part(t *testing.T, name string, step int) []float64 {
	t.Helper()
	v := wide(t, r.arrays[name])
	half := len(v) / 2
	return v[step*half : (step+1)*half]
}

func wide(t *testing.T, x *graph.Tensor) []float64 {
	t.Helper()
	if x == nil {
		t.Fatal("an array is missing")
	}
	x, err := op.Cast(x, graph.Float64)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(raw)/8)
	for i := range v {
		v[i] = math.Float64frombits(uint64(raw[8*i]) | uint64(raw[8*i+1])<<8 | uint64(raw[8*i+2])<<16 | uint64(raw[8*i+3])<<24 |
			uint64(raw[8*i+4])<<32 | uint64(raw[8*i+5])<<40 | uint64(raw[8*i+6])<<48 | uint64(raw[8*i+7])<<56)
	}
	return v
}

// recordings reads every pair NAME.npz, NAME.pth.tar of the training fixtures.
func recordings(t *testing.T) map[string]*recorded {
	t.Helper()
	dir := testutil.Shared(t, "fixtures", "train")
	files, err := filepath.Glob(filepath.Join(dir, "*.npz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no training fixtures in %s: %v", dir, err)
	}
	all := map[string]*recorded{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".npz")
		sd, err := checkpoint.Read(strings.TrimSuffix(file, ".npz") + ".pth.tar")
		if err != nil {
			t.Fatal(err)
		}
		opt := weights.Options{Size: afblock.Size{48, 48}}
		if strings.Contains(name, "tsm") {
			opt.ShiftDiv = 8
		}
		r := &recorded{start: sd, arrays: testutil.NPZ(t, file)}
		if r.net, err = weights.FromStateDict(sd, opt); err != nil {
			t.Fatal(err)
		}
		all[name] = r
	}
	return all
}

// options of the recorded steps.
func (r *recorded) options(t *testing.T, update bool) StepOptions {
	opt := StepOptions{
		Clips: len(r.part(t, "label", 0)), Size: afblock.Size{48, 48}, Groups: Groups, Multiples: Even, Selection: Learned, Norm: Batch, Labels: 1,
	}
	if update {
		opt.Update = Update{Optimizer: SGD, Momentum: r.number(t, "momentum"), Decay: r.number(t, "weight_decay")}
	}
	return opt
}

// feeds are a step's inputs, by name, in float64.
func (r *recorded) feeds(t *testing.T, s *Step, step int, now stand) map[string][]float64 {
	t.Helper()
	labels := r.part(t, "label", step)
	classes := r.net.Head.FC.Out()
	onehot := make([]float64, len(labels)*classes)
	for i, l := range labels {
		onehot[i*classes+int(l)] = 1
	}
	n, b, T := len(labels), s.Blocks, r.net.Frames
	noise, byBlock := make([]float64, n*b*T*2), r.part(t, "noise", step) // recorded [blocks, N, T, 2]
	for i := range byBlock {
		block, clip, rest := i/(n*T*2), i/(T*2)%n, i%(T*2)
		noise[(clip*b+block)*T*2+rest] = byBlock[i]
	}
	return map[string][]float64{
		FramesIn: r.part(t, "clip", step), WeightsIn: now.weights, MomentsIn: now.moments, StatsIn: now.statistics, ClassesIn: onehot, NoiseIn: noise,
		TauIn: {r.number(t, "tau")}, RatioIn: {r.number(t, "rt")}, LambdaIn: {r.number(t, "lambda")}, RateIn: {r.number(t, "lr")},
	}
}

// runner computes a step's outputs by name.
type runner func(feeds map[string][]float64) map[string][]float64

// onRuntime runs a step on ONNX Runtime, in float32.
func onRuntime(t *testing.T, s *Step) runner {
	t.Helper()
	session, err := ort.NewSession(s.Model, ort.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return func(feeds map[string][]float64) map[string][]float64 {
		in := map[string]*graph.Tensor{}
		for _, i := range session.Inputs() {
			x := make([]float32, len(feeds[i.Name]))
			for k, v := range feeds[i.Name] {
				x[k] = float32(v)
			}
			in[i.Name] = graph.Float32s(i.Type.Shape.Dims(), x...)
		}
		out, err := session.RunNamed(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]float64{}
		for name, v := range out {
			got[name] = wide(t, v)
		}
		return got
	}
}

// apart is the relative L2 distance of got from want.
func apart(got, want []float64) float64 {
	var d, n float64
	for i, w := range want {
		d += (got[i] - w) * (got[i] - w)
		n += w * w
	}
	return math.Sqrt(d) / math.Max(math.Sqrt(n), 1e-300)
}

// worst compares vectors tensor by tensor; those whose norm is below the given
// part of the largest are zero but for rounding, and left out.
func worst(list []Tensor, got, want []float64, negligible float64) (at string, distance float64, skipped int) {
	norm := func(t Tensor) (n float64) {
		for _, x := range want[t.At : t.At+t.elements()] {
			n += x * x
		}
		return math.Sqrt(n)
	}
	largest := 0.0
	for _, t := range list {
		largest = max(largest, norm(t))
	}
	for _, t := range list {
		if norm(t) <= negligible*largest {
			skipped++
			continue
		}
		if d := apart(got[t.At:t.At+t.elements()], want[t.At:t.At+t.elements()]); d > distance || math.IsNaN(d) {
			at, distance = t.Key, d
		}
	}
	return at, distance, skipped
}

// TestTrainingFixtures holds two steps of training to PyTorch's in float64:
// answers, choices, both losses, every gradient, weights, running statistics.
func TestTrainingFixtures(t *testing.T) {
	all := recordings(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			r := all[name]
			t.Run("float64", func(t *testing.T) {
				if testing.Short() {
					t.Skip("takes seconds")
				}
				r.gradients(t)
				r.steps(t, inFloat64, true)
			})
			t.Run("ONNX Runtime", func(t *testing.T) {
				if _, err := ort.Version(); err != nil {
					t.Skip(err)
				}
				r.steps(t, onRuntime, false)
				r.smooth(t)
			})
		})
	}
}

// Tolerances: of a loss, of the larger of 1 and it; of each tensor's gradient, in
// L2 relative to that in float64; of each tensor of weights or statistics behind a
// step, likewise.
const (
	lossTolerance     = 1e-5
	gradientTolerance = 1e-4
	stepTolerance     = 1e-5
)

// gradients holds the gradient of the first step, in float64, to the one
// recorded.
func (r *recorded) gradients(t *testing.T) {
	t.Helper()
	s, err := NewStep(r.net, r.options(t, false))
	if err != nil {
		t.Fatal(err)
	}
	got := inFloat64(t, s)(r.feeds(t, s, 0, r.before(t, s, 0)))
	compare(t, "gradient", s.Layout.Weights, got[GradientOut], r.gather(t, "grad", s.Layout.Weights), gradientTolerance)
}

// smooth holds two steps in float32 to those in float64, of the same network
// with Sigmoid in the place of ReLU: where the input of a ReLU is near zero,
// rounding flips its gradient, which says nothing of the graph.
func (r *recorded) smooth(t *testing.T) {
	t.Helper()
	if testing.Short() {
		return // takes seconds
	}
	opt := r.options(t, false)
	opt.smooth = true
	s, err := NewStep(r.net, opt)
	if err != nil {
		t.Fatal(err)
	}
	feeds := r.feeds(t, s, 0, r.before(t, s, 0))
	compare(t, "smooth gradient", s.Layout.Weights, onRuntime(t, s)(feeds)[GradientOut], inFloat64(t, s)(feeds)[GradientOut], gradientTolerance)
	opt = r.options(t, true)
	opt.smooth = true
	if s, err = NewStep(r.net, opt); err != nil {
		t.Fatal(err)
	}
	single, double := onRuntime(t, s), inFloat64(t, s)
	a, b := r.before(t, s, 0), r.before(t, s, 0)
	for i := range 2 {
		x, y := single(r.feeds(t, s, i, a)), double(r.feeds(t, s, i, b))
		a, b = after(x), after(y)
		compare(t, fmt.Sprint("smooth step ", i+1), s.Layout.Weights, a.weights, b.weights, stepTolerance)
		compare(t, fmt.Sprint("smooth step ", i+1), s.Layout.Statistics, a.statistics, b.statistics, stepTolerance)
	}
}

// stand is where training stands, by the layout.
type stand struct{ weights, moments, statistics []float64 }

func after(got map[string][]float64) stand {
	return stand{got[WeightsOut], got[MomentsOut], got[StatsOut]}
}

// before is what was recorded before a step. The momentum behind the first is the
// gradient with the decay.
func (r *recorded) before(t *testing.T, s *Step, step int) stand {
	t.Helper()
	var w stand
	for _, at := range s.Layout.Weights {
		w.weights = append(w.weights, wide(t, r.start.Tensor(r.key(at.Key)))...)
	}
	for _, at := range s.Layout.Statistics {
		w.statistics = append(w.statistics, wide(t, r.start.Tensor(r.key(at.Key)))...)
	}
	w.moments = make([]float64, len(w.weights))
	if step == 0 {
		return w
	}
	w.moments = r.gather(t, "grad", s.Layout.Weights)
	for i, x := range w.weights {
		w.moments[i] += r.number(t, "weight_decay") * x
	}
	w.weights, w.statistics = r.gather(t, "after1", s.Layout.Weights), r.gather(t, "after1", s.Layout.Statistics)
	return w
}

// compare compares vectors tensor by tensor.
func compare(t *testing.T, what string, list []Tensor, got, want []float64, tolerance float64) {
	t.Helper()
	at, d, skipped := worst(list, got, want, 1e-9)
	t.Logf("%s of %d tensors: worst %.2g at %s; %d are zero", what, len(list)-skipped, d, at, skipped)
	if !(d <= tolerance) {
		t.Errorf("%s: %s is off by %.2g", what, at, d)
	}
}

// steps holds both steps to those recorded, each begun with what was recorded
// before it. Weights are compared in float64 alone: these networks' gradients
// change by percents where rounding flips a ReLU (smooth).
func (r *recorded) steps(t *testing.T, run func(*testing.T, *Step) runner, exact bool) {
	t.Helper()
	s, err := NewStep(r.net, r.options(t, true))
	if err != nil {
		t.Fatal(err)
	}
	step := run(t, s)
	for i := range 2 {
		got := step(r.feeds(t, s, i, r.before(t, s, i)))
		for k, name := range s.Facts {
			want, recorded := map[string]string{"loss_classes": "loss_cls", "loss_ratio": "loss_ratio"}[name]
			if !recorded {
				continue
			}
			x := r.number(t, fmt.Sprint(want, i))
			if e := math.Abs(got[FactsOut][k]-x) / math.Max(math.Abs(x), 1); !(e <= lossTolerance) {
				t.Errorf("step %d: %s is %g, recorded %g", i+1, name, got[FactsOut][k], x)
			}
		}
		if d := apart(got[ScoresOut], wide(t, r.arrays[fmt.Sprint("logits", i)])); !(d <= 10*lossTolerance) {
			t.Errorf("step %d: scores are off by %.2g", i+1, d)
		}
		masks := wide(t, r.arrays[fmt.Sprint("masks", i)])
		if n := differing(got[ChoicesOut], masks); n > 0 {
			t.Errorf("step %d: %d of %d choices differ", i+1, n, len(masks))
		}
		now := after(got)
		name := fmt.Sprint("after", i+1)
		compare(t, name, s.Layout.Statistics, now.statistics, r.gather(t, name, s.Layout.Statistics), stepTolerance)
		if exact {
			compare(t, name, s.Layout.Weights, now.weights, r.gather(t, name, s.Layout.Weights), stepTolerance)
		}
	}
}

func differing(a, b []float64) int {
	n := 0
	for i := range b {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
