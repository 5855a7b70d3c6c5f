package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/passes"
)

func (a *app) optimizeCommand() *cli.Command {
	return &cli.Command{
		Name:      "optimize",
		Usage:     "make a model smaller and faster without changing what it computes",
		UsageText: "afc optimize MODEL.onnx -o OUT.onnx [flags]",
		Description: "Folds constants and shape arithmetic, writes the temporal shift as ONNX Runtime runs\n" +
			"it best, folds batch normalisation, removes what is dead or doubled. No AFNet.",
		Flags:  append([]cli.Flag{outputFlag(), externalDataFlag(), inputShapesFlag(), jsonFlag()}, passFlags()...),
		Action: func(c *cli.Context) error { return a.optimize(c) },
	}
}

func (a *app) optimize(c *cli.Context) error {
	start := time.Now()
	if c.NArg() < 1 || c.NArg() > 2 {
		return usagef("optimize takes MODEL.onnx and OUT.onnx, got %d arguments", c.NArg())
	}
	in := c.Args().Get(0)
	out, err := outputPath(c, c.Args().Get(1), in)
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", in)
	m, err := openModel(in, out)
	if err != nil {
		return err
	}
	if err := setInputShapes(m, c.StringSlice("input-shapes")); err != nil {
		return err
	}
	p.Step("optimizing %s", in)
	result, err := passes.Optimize(m, a.passOptions(c))
	if err != nil {
		return passFailed(err)
	}
	p.Step("writing %s", out)
	w, err := writeModel(c.Context, result.Model, out, c.Bool("external-data"))
	if err != nil {
		return err
	}
	p.Stop()
	return a.report(c, newReport(result, out, w, start))
}

func newReport(result *passes.Result, out string, w written, start time.Time) rewriteReport {
	r := rewriteReport{
		Output: out, Before: &result.Before, After: result.After(), Size: w.size, Data: w.data,
		Steps: result.Steps, Elapsed: time.Since(start),
	}
	for _, n := range result.Notes {
		r.Notes = append(r.Notes, n.String())
	}
	return r
}

func (a *app) report(c *cli.Context, r rewriteReport) error {
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return r.print(a)
}
