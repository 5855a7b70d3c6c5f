package afc_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify/ort"
)

// inFolder runs f in a fresh folder with a small source, model.onnx.
func inFolder(f func(dir string) error) {
	dir, err := os.MkdirTemp("", "afc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, "model.onnx"))
	if err != nil {
		log.Fatal(err)
	}
	spec := testmodels.Spec{Blocks: []int{2, 2}, Width: 8, Frames: 4, Size: 24, Classes: 3}
	if err := spec.Build().Encode(file); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	if err := f(dir); err != nil {
		log.Fatal(err)
	}
}

// A source model becomes an AFNet that skips half the frames.
func ExampleConvert() {
	inFolder(func(dir string) error {
		r, err := afc.Convert(context.Background(), afc.ConvertOptions{
			Model: filepath.Join(dir, "model.onnx"), Output: filepath.Join(dir, "af.onnx"), Navigation: "uniform:0.5",
		})
		if err != nil {
			return err
		}
		fmt.Printf("T = %d, lowering %s; must be fine-tuned: %v\n", r.Network.Frames, r.Network.Lowering, r.FineTune)
		return nil
	})
	// Output: T = 4, lowering branch; must be fine-tuned: true
}

// An option that the run cannot honour is an error that names it.
func ExampleOptionError() {
	inFolder(func(dir string) error {
		_, err := afc.Convert(context.Background(), afc.ConvertOptions{Model: filepath.Join(dir, "model.onnx"), Size: [2]int{64, 64}})
		fmt.Println(err)
		return nil
	})
	// Output: option Size: it is for weights without a model; the model says it
}

func ExampleOptimize() {
	inFolder(func(dir string) error {
		r, err := afc.Optimize(context.Background(), afc.OptimizeOptions{Model: filepath.Join(dir, "model.onnx"), Output: filepath.Join(dir, "fast.onnx")})
		if err != nil {
			return err
		}
		fmt.Printf("%d nodes, then %d\n", r.Before.Nodes, r.After.Nodes)
		return nil
	})
	// Output: 41 nodes, then 39
}

func ExampleInspect() {
	inFolder(func(dir string) error {
		d, err := afc.Inspect(context.Background(), afc.InspectOptions{Model: filepath.Join(dir, "model.onnx")})
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d frames, %d stages\n", d.Method, d.Frames, len(d.Stages))
		return nil
	})
	// Output: TSN, 4 frames, 2 stages
}

// What a clip costs the source, and its AFNet where blocks select half the
// frames.
func ExampleEstimate() {
	inFolder(func(dir string) error {
		r, err := afc.Estimate(context.Background(), afc.EstimateOptions{Model: filepath.Join(dir, "model.onnx"), Ratio: []afc.Ratio{{Share: 0.5}}})
		if err != nil {
			return err
		}
		for _, n := range r.Clips[0].Columns {
			fmt.Printf("%s: %.1f MMACs\n", n.Name, n.MACs/1e6)
		}
		return nil
	})
	// Output:
	// source: 1.4 MMACs
	// none: 1.3 MMACs
	// 50 %: 1.4 MMACs
	// all: 1.4 MMACs
}

func ExampleExport() {
	inFolder(func(dir string) error {
		af := filepath.Join(dir, "af.onnx")
		if _, err := afc.Convert(context.Background(), afc.ConvertOptions{Model: filepath.Join(dir, "model.onnx"), Output: af}); err != nil {
			return err
		}
		r, err := afc.Export(context.Background(), afc.ExportOptions{Model: af, Output: filepath.Join(dir, "weights.safetensors")})
		if err != nil {
			return err
		}
		fmt.Println(r.First)
		return nil
	})
	// Output: module.base_model.conv1.weight
}

// Verify needs ONNX Runtime (afc doctor finds it).
func ExampleVerify() {
	report, err := afc.Verify(context.Background(), afc.VerifyOptions{Source: "model.onnx", Model: "af.onnx", Skip: []string{"latency"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Failed())
}

// Same holds any two models to the same outputs.
func ExampleSame() {
	report, err := afc.Same(context.Background(), afc.SameOptions{A: "model.onnx", B: "fast.onnx", Iterations: 3, Run: afc.Runtime{Threads: 1}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Failed())
}

// Measure runs clips through an AFNet: here on a GPU, and on clips of a folder.
func ExampleMeasure() {
	r, err := afc.Measure(context.Background(), afc.MeasureOptions{
		Model: "af.onnx",
		Clips: afc.Clips{Videos: "frames", Read: clips.Options{List: "val.txt"}},
		Run:   afc.Runtime{Provider: ort.Provider{Name: "cuda"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f GMACs a clip\n", r.GMACs.Mean)
}

// Fit makes an AFNet that predicts without training.
func ExampleFit() {
	r, err := afc.Fit(context.Background(), afc.FitOptions{
		Model: "model.onnx", Output: "af.onnx",
		Clips: afc.Clips{Videos: "frames", Read: clips.Options{Preprocessing: clips.Preprocessing{Scale: 256}}},
		Fit:   fit.Options{For: fit.Any},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Fit.Clips)
}

// Tune trains a fitted AFNet further, on what its source says of the clips.
func ExampleTune() {
	r, err := afc.Tune(context.Background(), afc.TuneOptions{
		Model: "af.onnx", Source: "model.onnx", Output: "tuned.onnx",
		Clips: afc.Clips{Videos: "frames", Read: clips.Options{List: "train.txt"}},
		Val:   afc.Clips{Videos: "frames", Read: clips.Options{List: "val.txt"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Tune.Best)
}

// Sweep compares an AFNet with what one would do instead: its source at fewer
// frames.
func ExampleSweep() {
	r, err := afc.Sweep(context.Background(), afc.SweepOptions{
		Source: "model.onnx", Models: []string{"af.onnx"},
		Clips: afc.Clips{Videos: "videos", Read: clips.Options{List: "val.txt"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range r.Points {
		fmt.Printf("%s %s: %.1f %% at %.2f GMACs, %.1f ms\n", p.Model, p.Name, p.Score(), p.GMACs, p.Millis)
	}
}
