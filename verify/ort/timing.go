package ort

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/afc-project/afc/graph"
)

// Contender is a session with its inputs in a race.
type Contender struct {
	Name    string
	Session *Session
	Inputs  []*graph.Tensor // in session order
}

// RaceOptions say how long a race runs.
type RaceOptions struct {
	Warmup int // rounds before timing, beside each contender's first run; 0: 2
	Rounds int // timed rounds; 0: 9
	// Progress is told of every round done, warm-up included; nil: nobody.
	Progress func(done, total int)
}

// Timing is what a race measured of a contender.
type Timing struct {
	Name  string
	Clips int64           // first dimension of the first input
	First time.Duration   // the first run of the session: allocations, algorithm search
	Runs  []time.Duration // wall time of the timed rounds, in order
	CPU   []time.Duration // processor time of the whole process in the same rounds; empty where the system does not tell
}

// ForTiming returns options for sessions that are timed side by side: threads
// of a session that is not running must not spin on the others' cores.
func (o SessionOptions) ForTiming() SessionOptions {
	config := map[string]string{"session.force_spinning_stop": "1"}
	maps.Copy(config, o.Config)
	o.Config = config
	return o
}

// Race times contenders side by side: every round runs each once, starting
// with another one each time, so that what else the machine does hits all
// alike. The timed rounds use the runtime's IO binding (Session.BindIO): the
// inputs are on the device before, a run ends when its outputs are back in main
// memory. First is the session's first run from main memory to main memory.
func Race(ctx context.Context, contenders []Contender, opt RaceOptions) ([]Timing, error) {
	if opt.Warmup == 0 {
		opt.Warmup = 2
	}
	if opt.Rounds == 0 {
		opt.Rounds = 9
	}
	times := make([]Timing, len(contenders))
	bound := make([]*Bound, len(contenders))
	defer func() {
		for _, b := range bound {
			if b != nil {
				b.Release()
			}
		}
	}()
	for i, c := range contenders {
		times[i].Name = c.Name
		if dims := c.Inputs[0].Dims; len(dims) > 0 {
			times[i].Clips = dims[0]
		}
		start := time.Now()
		outputs, err := c.Session.Run(ctx, c.Inputs...)
		if err != nil {
			return nil, err
		}
		times[i].First = time.Since(start)
		if bound[i], err = c.Session.BindIO(c.Inputs, outputs); err != nil {
			return nil, err
		}
	}
	total := opt.Warmup + opt.Rounds
	for round := range total {
		for k := range contenders {
			i := (k + round) % len(contenders)
			cpu, hasCPU := processTime()
			start := time.Now()
			if _, err := bound[i].Run(ctx); err != nil {
				return nil, err
			}
			wall := time.Since(start)
			if round < opt.Warmup {
				continue
			}
			times[i].Runs = append(times[i].Runs, wall)
			if end, ok := processTime(); ok && hasCPU {
				times[i].CPU = append(times[i].CPU, end-cpu)
			}
		}
		if opt.Progress != nil {
			opt.Progress(round+1, total)
		}
	}
	return times, nil
}

// Percentile returns the smallest timed run that at least p percent of the
// runs do not exceed (nearest rank).
func (t Timing) Percentile(p float64) time.Duration { return percentile(t.Runs, p) }

// Median returns the middle of the timed runs.
func (t Timing) Median() time.Duration { return median(t.Runs) }

// Throughput returns clips a second at the median.
func (t Timing) Throughput() float64 {
	if m := t.Median(); m > 0 {
		return float64(t.Clips) / m.Seconds()
	}
	return 0
}

// Ratio compares a contender's time with a reference's of the same race.
type Ratio struct {
	Median  float64 // median over rounds of the two times of one round
	Minima  float64 // fastest by fastest
	CPU     float64 // median over rounds, processor time; NaN where the system does not tell
	Low, Up float64 // quartiles of the rounds' ratios
}

// RatioTo divides t by ref, round by round.
func (t Timing) RatioTo(ref Timing) (Ratio, error) {
	if len(t.Runs) == 0 || len(t.Runs) != len(ref.Runs) {
		return Ratio{}, fmt.Errorf("%s and %s were not timed in one race", t.Name, ref.Name)
	}
	wall := paired(t.Runs, ref.Runs)
	r := Ratio{
		Median: median(wall),
		Minima: float64(slices.Min(t.Runs)) / float64(slices.Min(ref.Runs)),
		CPU:    math.NaN(),
		Low:    percentile(wall, 25),
		Up:     percentile(wall, 75),
	}
	if len(t.CPU) == len(t.Runs) && len(ref.CPU) == len(t.Runs) {
		r.CPU = median(paired(t.CPU, ref.CPU))
	}
	return r, nil
}

func paired(a, b []time.Duration) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = float64(a[i]) / float64(b[i])
	}
	return out
}

func percentile[T time.Duration | float64](x []T, p float64) T {
	if len(x) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(x))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func median[T time.Duration | float64](x []T) T {
	if len(x) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(x))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
