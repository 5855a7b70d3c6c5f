package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/internal/atomicfile"
)

func (a *app) exportCommand() *cli.Command {
	return &cli.Command{
		Name:        "export",
		Usage:       "write an AFNet's weights under the authors' keys, for fine-tuning in PyTorch",
		UsageText:   "afc export AF.onnx -o WEIGHTS.safetensors",
		Description: "The way back is convert --weights WEIGHTS.safetensors. Round trips are exact.",
		Flags:       []cli.Flag{outputFlag()},
		Action:      func(c *cli.Context) error { return a.export(c) },
	}
}

func (a *app) export(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return usagef("export takes AF.onnx and WEIGHTS.safetensors, got %d arguments", c.NArg())
	}
	in := c.Args().Get(0)
	out, err := outputPath(c, c.Args().Get(1), in)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(out, ".safetensors") {
		return usagef("%s: weights are written as safetensors; name the file so (WEIGHTS.safetensors)", out)
	}
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", in)
	m, err := openModel(in, out)
	if err != nil {
		return err
	}
	net, _, err := compiled.ReadModel(m)
	if err != nil {
		return err
	}
	sd, err := weights.Export(net)
	if err != nil {
		return err
	}
	p.Step("writing %s", out)
	f, err := atomicfile.Create(out)
	if err != nil {
		return cannotWrite(out, err)
	}
	defer f.Discard()
	if err := checkpoint.WriteSafetensors(f, sd); err != nil {
		return cannotWrite(out, err)
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return cannotWrite(out, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %d tensors under keys such as %s\n", out, sd.Len(), sd.Names()[0])
	return err
}
