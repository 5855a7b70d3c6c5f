package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
)

func (a *app) exportCommand() *cli.Command {
	return &cli.Command{
		Name:        "export",
		Usage:       "write an AFNet's weights under the authors' keys, for fine-tuning in PyTorch",
		UsageText:   "afc export AF.onnx -o WEIGHTS.safetensors",
		Description: "The way back is convert --weights WEIGHTS.safetensors. Round trips are exact.",
		Flags:       []cli.Flag{outputFlag(), jsonFlag()},
		Action:      a.export,
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
	r, err := afc.Export(c.Context, afc.ExportOptions{Model: c.Args().First(), Output: out, Progress: p.Say})
	if err != nil {
		return err
	}
	p.Stop()
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %d tensors under keys such as %s\n", r.Output, r.Tensors, r.First)
	return err
}
