package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
)

func (a *app) optimizeCommand() *cli.Command {
	return &cli.Command{
		Name:      "optimize",
		Usage:     "make a model smaller and faster without changing what it computes",
		UsageText: "afc optimize MODEL.onnx -o OUT.onnx [flags]",
		Description: "Folds constants and shape arithmetic, writes the temporal shift as ONNX Runtime runs\n" +
			"it best, folds batch normalisation, removes what is dead or doubled. No AFNet.",
		Flags:  slices.Concat([]cli.Flag{outputFlag(), externalDataFlag(), inputShapesFlag(), jsonFlag()}, formFlags(), passFlags()),
		Action: a.optimize,
	}
}

func (a *app) optimize(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return usagef("optimize takes MODEL.onnx and OUT.onnx, got %d arguments", c.NArg())
	}
	opt := afc.OptimizeOptions{Model: c.Args().Get(0), ExternalData: c.Bool("external-data"), InputShapes: c.StringSlice("input-shapes"), Form: form(c)}
	var err error
	if opt.Output, err = outputPath(c, c.Args().Get(1)); err != nil {
		return err
	}
	if opt.PassOptions, err = a.passOptions(c); err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	opt.Progress = p.Say
	r, err := afc.Optimize(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	return a.report(c, r)
}

// report prints what was done to a model that is now written.
func (a *app) report(c *cli.Context, r *afc.RewriteReport) error {
	a.written = r.Output
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return printRewrite(a.stdout, r)
}
