package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/verify/ort"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 9, "timed rounds of each figure")
	spatial := flag.Bool("spatial", false, "measure what cells inside the frames are worth, instead of the bars")
	steps := flag.Bool("steps", false, "measure what each step is worth, instead of the bars")
	markdown := flag.String("md", "", "file for the table as Markdown; default: standard output")
	asJSON := flag.String("json", "", "file for the figures as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	cells := bars()
	switch {
	case *steps:
		cells = worths()
	case *spatial:
		cells = insides()
	}
	r, err := newReport(*rounds)
	if err != nil {
		return err
	}
	for i, c := range cells {
		fmt.Fprintf(os.Stderr, "%d of %d: %s over %s\n", i+1, len(cells), c.of, c.over)
		f, err := measure(ctx, c, *rounds)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "\t%.3f, processor time %.3f\n", f.Ratio, f.CPU)
		r.Figures = append(r.Figures, f)
	}
	if *asJSON != "" {
		b, err := r.json()
		if err != nil {
			return err
		}
		if err := atomicfile.WriteFile(*asJSON, b); err != nil {
			return err
		}
	}
	if *markdown != "" {
		return atomicfile.WriteFile(*markdown, r.markdown())
	}
	_, err = os.Stdout.Write(r.markdown())
	return err
}

// measure races the two models of a cell.
func measure(ctx context.Context, c cell, rounds int) (figure, error) {
	var contenders [2]ort.Contender
	var macs [2]float64
	for i, m := range []model{c.of, c.over} {
		built, n, err := m.build()
		if err != nil {
			return figure{}, err
		}
		macs[i] = n
		s, err := ort.NewSession(built, ort.SessionOptions{Threads: c.threads}.ForTiming())
		if err != nil {
			return figure{}, fmt.Errorf("%s: %w", m, err)
		}
		defer s.Close()
		contenders[i] = ort.Contender{Name: m.String(), Session: s, Inputs: []*graph.Tensor{video(s.Inputs()[0].Type, m.batch)}}
	}
	times, err := ort.Race(ctx, contenders[:], ort.RaceOptions{Rounds: rounds})
	if err != nil {
		return figure{}, err
	}
	ratio, err := times[0].RatioTo(times[1])
	if err != nil {
		return figure{}, err
	}
	return figure{
		Of: c.of.String(), Over: c.over.String(), Size: c.of.size, Batch: c.of.batch, Threads: c.threads,
		Floor: macs[0] / macs[1], Bar: c.bar, Goal: c.goal,
		Ratio: ratio.Median, Low: ratio.Low, Up: ratio.Up, Minima: ratio.Minima, CPU: finite(ratio.CPU),
		Milliseconds: [2]float64{ms(times[0]), ms(times[1])},
	}, nil
}

// finite is x, or 0 where the system did not tell it.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}

func ms(t ort.Timing) float64 { return float64(t.Median().Microseconds()) / 1e3 }

// video fills an input of the given type with values that repeat slowly.
func video(t graph.Type, batch int) *graph.Tensor {
	dims := t.Shape.Dims()
	n := int64(1)
	for i, d := range dims {
		if d < 0 {
			dims[i] = int64(batch)
		}
		n *= dims[i]
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i*7919%1000)/500 - 1
	}
	return graph.Float32s(dims, v...)
}
