package passes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
)

// tsm is TSM-ResNet50 for Something-Something as the MIT code's raw export has
// it, 275 MB of it.
var tsm = testmodels.Spec{Depth: 50, Shift: testmodels.ShiftScatter, Classes: 174}

// BenchmarkOptimizedTSM runs raw export, optimised model and the network
// without shift side by side on ONNX Runtime, and reports ratios of medians.
// Bars: 0.80 of the raw export, 1.12 of the shift-less network, 96 MB.
func BenchmarkOptimizedTSM(b *testing.B) {
	raw := tsm.Build()
	plain := testmodels.Spec{Depth: 50, Classes: 174}.Build()
	r, err := Optimize(raw.Clone(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	in := random(b, rand.New(rand.NewPCG(1, 1)), raw.Graph.Inputs()[0].Type)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			var race []verify.Contender
			for _, c := range []struct {
				name  string
				model *graph.Model
			}{{"raw", raw}, {"optimised", r.Model}, {"no shift", plain}} {
				s, err := verify.NewSession(c.model, verify.SessionOptions{Threads: threads}.ForTiming())
				if err != nil {
					b.Skip(err)
				}
				defer s.Close()
				race = append(race, verify.Contender{Name: c.name, Session: s, Inputs: []*graph.Tensor{in}})
			}
			times, err := verify.Race(context.Background(), race, verify.RaceOptions{Rounds: max(b.N, 9)})
			if err != nil {
				b.Fatal(err)
			}
			median := func(i int) float64 { return float64(times[i].Median().Microseconds()) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(1)/1e3, "ms")
			b.ReportMetric(median(1)/median(0), "of_raw")
			b.ReportMetric(median(1)/median(2), "of_unshifted")
			// Processor time holds on a machine that is busy otherwise.
			b.ReportMetric(float64(slices.Min(times[1].CPU))/float64(slices.Min(times[0].CPU)), "cpu_of_raw")
			b.ReportMetric(float64(slices.Min(times[1].CPU))/float64(slices.Min(times[2].CPU)), "cpu_of_unshifted")
		})
	}
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
