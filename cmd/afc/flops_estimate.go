package main

import (
	"cmp"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
)

func (a *app) flopsEstimate(c *cli.Context) error {
	switch arch := c.String("arch"); {
	case arch == "" && c.NArg() != 1:
		return usagef("flops estimate takes MODEL.onnx, got %d arguments", c.NArg())
	case arch != "" && c.NArg() != 0:
		return usagef("flops estimate takes MODEL.onnx or --arch, not both")
	}
	if c.Bool("csv") && c.Bool("json") {
		return usagef("--csv and --json both go to standard output: choose one")
	}
	opt, err := estimateOptions(c)
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	opt.Progress = p.Say
	report, err := afc.Estimate(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	if path := c.String("plot"); path != "" {
		if err := plotCosts(report, cmp.Or(opt.Convention, "mac"), path); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("json"):
		return a.writeJSON(report)
	case c.Bool("csv"):
		return writeCostCSV(a.stdout, report)
	}
	return printCost(a.stdout, report)
}

func estimateOptions(c *cli.Context) (afc.EstimateOptions, error) {
	opt := afc.EstimateOptions{
		Model: c.Args().First(), Arch: c.String("arch"), InputShapes: c.StringSlice("input-shapes"), Outputs: []string{c.String("plot")},
		By: c.String("by"), Convention: c.String("convention"), StrideAt: c.String("stride-at"),
		Lowering: codegen.Lowering(c.String("lowering")),
	}
	for name, to := range map[string]*int{"source-frames": &opt.SourceFrames, "alpha": &opt.Alpha, "focal-groups": &opt.FocalGroups} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	var err error
	if opt.Ratio, err = ratios(c.String("ratio")); err != nil {
		return opt, err
	}
	if opt.Frames, err = intList("frames", c.String("frames")); err != nil {
		return opt, err
	}
	if opt.Budget, err = intList("budget", c.String("budget")); err != nil {
		return opt, err
	}
	opt.Size, err = sizeList(c.String("size"))
	return opt, err
}
