package fit

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	statedict "github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/testmodels/motion"
	"github.com/afc-project/afc/verify/ort"
)

// sourcesVariable names the folder of the sources that scripts/fit-sources.sh
// trains.
const sourcesVariable = "AFC_FIT_SOURCES"

// BenchmarkSources fits to other sources than BenchmarkMotion's: a TSM of basic
// blocks on motions, and a TSN that tells what moves.
func BenchmarkSources(b *testing.B) {
	if _, err := ort.Version(); err != nil {
		b.Skip(err)
	}
	dir := os.Getenv(sourcesVariable)
	if dir == "" {
		b.Skipf("%s is not set; scripts/fit-sources.sh sets it", sourcesVariable)
	}
	half := afblock.RewriteOptions{Navigation: afblock.Pattern{Ratio: 0.5}}
	scheduled := half
	scheduled.NoAmple = true
	for _, bb := range []struct {
		name, folder string
		shapes       bool
		rewrite      afblock.RewriteOptions
	}{
		{"basic-tsm", "basic-tsm", false, half}, {"basic-tsm-without-ample", "basic-tsm", false, scheduled},
		{"basic-tsn", "basic-tsn", true, half}, {"basic-tsn-without-ample", "basic-tsn", true, scheduled},
	} {
		b.Run(bb.name, func(b *testing.B) {
			source := trainedSource(b, filepath.Join(dir, bb.folder))
			net, err := afblock.Rewrite(source, bb.rewrite)
			if err != nil {
				b.Fatal(err)
			}
			videos := motion.Videos{Seed: 303, Count: 300, Shapes: bb.shapes}
			for b.Loop() {
				r, err := Fit(b.Context(), Input{source, net, videos}, Options{Held: -1})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				report(b, r, source, motion.Videos{Seed: 202, Count: 1000, Shapes: bb.shapes})
				b.StartTimer()
			}
		})
	}
}

// trainedSource reads a folder of export/pytorch, with the weights that were
// trained in it.
func trainedSource(b *testing.B, dir string) *afblock.Network {
	written, err := checkpoint.Read(filepath.Join(dir, "weights.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	trained, err := checkpoint.Read(filepath.Join(dir, "trained.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	trained.Skeleton = written.Skeleton
	net, err := statedict.FromStateDict(trained, statedict.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return net
}
