package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/export/triton"
	"github.com/afc-project/afc/internal/terminal"
)

func (a *app) exportCommand() *cli.Command {
	return &cli.Command{
		Name:  "export",
		Usage: "write a network for other programs: weights, PyTorch code that trains it, a Triton repository",
		UsageText: "afc export AF.onnx -o WEIGHTS.safetensors\n" +
			"       afc export AF.onnx --format pytorch -o FOLDER [--source SOURCE.onnx]\n" +
			"       afc export AF.onnx --format triton -o REPOSITORY [--target cuda]",
		Description: "Weights go out under the keys of the AFNet authors' code; the way back is\n" +
			"convert AF.onnx --weights WEIGHTS. Round trips are exact.\n" +
			"--format pytorch writes a folder of plain PyTorch modules, a training script (one GPU or\n" +
			"many), configuration and weights; a source alone is written in the same form.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "format", Usage: afc.List(afc.Formats) + " (default: as the output's name ends)"},
			&cli.StringFlag{Name: "source", Usage: "with --format pytorch: `SOURCE.onnx`, which becomes the teacher"},
			&cli.IntFlag{Name: "source-frames", Usage: "with --format pytorch: frames a clip of a source whose graph does not say"},
			&cli.StringFlag{Name: "name", Usage: "with --format triton: `NAME` of the model (default: the file's)"},
			&cli.StringFlag{Name: "target", Usage: "with --format triton: " + afc.List(triton.Targets) + " (default: cpu)"},
			&cli.IntFlag{Name: "instances", Usage: "with --format triton: copies that serve at once (default: 1)"},
			&cli.IntFlag{Name: "max-batch", Usage: "with --format triton: most clips of a run, where the model takes any number (default: 8)"},
			jsonFlag(),
		},
		Action: a.export,
	}
}

func (a *app) export(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return usagef("export takes AF.onnx and WEIGHTS.safetensors, got %d arguments", c.NArg())
	}
	out, err := outputPath(c, c.Args().Get(1))
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	r, err := afc.Export(c.Context, afc.ExportOptions{
		Model: c.Args().First(), Output: out, Format: afc.Format(c.String("format")), Progress: p.Say,
		Source: c.String("source"), SourceFrames: c.Int("source-frames"),
		Name: c.String("name"), Target: triton.Target(c.String("target")), Instances: c.Int("instances"), MaxBatch: c.Int("max-batch"),
	})
	if err != nil {
		return err
	}
	p.Stop()
	a.written = r.Output
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return a.printExport(r)
}

func (a *app) printExport(r *afc.ExportReport) error {
	if r.Tensors > 0 {
		terminal.Sayf(a.stdout, "%s: %d tensors under keys such as %s\n", r.Output, r.Tensors, r.First)
	} else {
		terminal.Sayf(a.stdout, "%s: written\n", r.Output)
	}
	if r.Rounded {
		terminal.Sayf(a.stdout, "the file is of half precision: these weights, but for navigation's, are rounded to it; export the float32 AFNet to train on\n")
	}
	for _, what := range r.Cannot {
		terminal.Sayf(a.stdout, "the authors' code cannot express %s\n", what)
	}
	_, err := fmt.Fprintf(a.stdout, "next: %s\n", r.Next)
	return err
}
