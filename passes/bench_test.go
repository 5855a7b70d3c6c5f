package passes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// tsm is TSM-ResNet50 for Something-Something as the MIT code's raw export has
// it, 275 MB of it.
var tsm = testmodels.Spec{Depth: 50, Shift: testmodels.ShiftScatter, Classes: 174}

// raceRounds is how often each model of a race runs: medians of fewer are not
// worth reporting.
const raceRounds = 11

// BenchmarkOptimizedTSM runs raw export, optimised model and the network
// without shift side by side on ONNX Runtime, and reports ratios: medians of
// the rounds' ratios, and fastest by fastest. Bars: 0.80 of the raw export,
// 1.12 of the shift-less network, 96 MB. Run it with -benchtime 1x.
func BenchmarkOptimizedTSM(b *testing.B) {
	raw := tsm.Build()
	plain := testmodels.Spec{Depth: tsm.Depth, Classes: tsm.Classes}.Build()
	r, err := Optimize(raw.Clone(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	in := random(b, rand.New(rand.NewPCG(1, 1)), raw.Graph.Inputs()[0].Type)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			var race []ort.Contender
			for _, c := range []struct {
				name  string
				model *graph.Model
			}{{"raw", raw}, {"optimised", r.Model}, {"no shift", plain}} {
				s, err := ort.NewSession(c.model, ort.SessionOptions{Threads: threads}.ForTiming())
				if err != nil {
					b.Skip(err)
				}
				defer s.Close()
				race = append(race, ort.Contender{Name: c.name, Session: s, Inputs: []*graph.Tensor{in}})
			}
			for b.Loop() {
				times, err := ort.Race(context.Background(), race, ort.RaceOptions{Rounds: raceRounds})
				if err != nil {
					b.Fatal(err)
				}
				for i, unit := range []string{"of_raw", "", "of_unshifted"} {
					ratio, err := times[1].RatioTo(times[i])
					if err != nil {
						b.Fatal(err)
					}
					if i != 1 {
						b.ReportMetric(ratio.Median, unit)
						b.ReportMetric(ratio.Minima, unit+"_min")
						b.ReportMetric(ratio.CPU, unit+"_cpu")
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(r.After().Bytes)/1e6, "MB")
		})
	}
}

// BenchmarkReshift runs TSM-MobileNets as PyTorch exported them and optimised: a
// full-depth one of the shared fixtures, and a short one of the project's own.
func BenchmarkReshift(b *testing.B) {
	for _, path := range []string{
		filepath.Join(testutil.Root(b), "testmodels", "exports", "bad_mobilenet.onnx"),
		filepath.Join(testutil.Root(b), "..", "shared", "cases", "reports", "tsm_mobilenetv2.onnx"),
	} {
		b.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(b *testing.B) {
			raw, err := graph.ReadFile(path)
			if err != nil {
				b.Skip(err)
			}
			r, err := Optimize(raw.Clone(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			in := raw.Graph.Inputs()[0].Type
			if !in.Shape[0].Known() {
				in.Shape = append(graph.Shape{graph.D(1)}, in.Shape[1:]...)
			}
			x := random(b, rand.New(rand.NewPCG(1, 1)), in)
			var race []ort.Contender
			for i, m := range []*graph.Model{raw, r.Model} {
				s, err := ort.NewSession(m, ort.SessionOptions{Threads: 1}.ForTiming())
				if err != nil {
					b.Skip(err)
				}
				defer s.Close()
				race = append(race, ort.Contender{Name: []string{"raw", "optimised"}[i], Session: s, Inputs: []*graph.Tensor{x}})
			}
			for b.Loop() {
				times, err := ort.Race(context.Background(), race, ort.RaceOptions{Rounds: 5 * raceRounds})
				if err != nil {
					b.Fatal(err)
				}
				ratio, err := times[1].RatioTo(times[0])
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(ratio.Median, "of_raw")
				b.ReportMetric(ratio.CPU, "cpu_of_raw")
			}
			after := r.After()
			b.ReportMetric(float64(r.Before.Count("ScatterND")), "ScatterND_before")
			b.ReportMetric(float64(after.Count("ScatterND")), "ScatterND")
			b.ReportMetric(float64(r.Before.Nodes), "nodes_before")
			b.ReportMetric(float64(after.Nodes), "nodes")
			b.ReportMetric(float64(fileSize(b, path))/1000, "kB_before")
			optimised := filepath.Join(b.TempDir(), "optimised.onnx")
			write(b, r.Model, optimised)
			b.ReportMetric(float64(fileSize(b, optimised))/1000, "kB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func fileSize(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// BenchmarkOptimizeFile is the compiler's own time: read, optimise, write.
func BenchmarkOptimizeFile(b *testing.B) {
	for _, c := range []struct {
		name string
		spec testmodels.Spec
	}{
		{"R50", testmodels.Spec{Depth: 50, BN: testmodels.BNKept}},
		{"R50-TSM", tsm},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			file := filepath.Join(dir, "in.onnx")
			write(b, c.spec.Build(), file)
			info, err := os.Stat(file)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			for b.Loop() {
				m, err := graph.ReadFile(file)
				if err != nil {
					b.Fatal(err)
				}
				r, err := Optimize(m, Options{})
				if err != nil {
					b.Fatal(err)
				}
				write(b, r.Model, filepath.Join(dir, "out.onnx"))
			}
		})
	}
}

func write(b *testing.B, m *graph.Model, path string) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := m.Encode(f); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
