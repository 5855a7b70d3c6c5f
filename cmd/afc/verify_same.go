package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/verify"
)

// sameFlags are the flags of verify --same.
func sameFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "same", Usage: "hold two models to the same outputs, whatever they are"},
		&cli.StringSliceFlag{Name: "atol", Usage: "with --same: absolute tolerance, `VALUE` or OUTPUT:VALUE; may be repeated"},
		&cli.StringSliceFlag{Name: "rtol", Usage: "with --same: relative tolerance, `VALUE` or OUTPUT:VALUE; may be repeated"},
		&cli.StringSliceFlag{Name: "check-error-stat", Usage: "with --same: what tolerances are about, `STAT` or OUTPUT:STAT: " + strings.Join(verify.ErrorStats, ", ") + " (default: elemwise)"},
		&cli.IntFlag{Name: "iterations", Value: 1, Usage: "with --same: how many random inputs to compare"},
		&cli.BoolFlag{Name: "bisect", Usage: "with --same: name the first value that differs"},
		inputShapesFlag(),
	}
}

// sameOptions reads the flags of verify --same.
func sameOptions(c *cli.Context) (*afc.SameOptions, error) {
	opt := &afc.SameOptions{
		A: c.Args().Get(0), B: c.Args().Get(1), InputShapes: c.StringSlice("input-shapes"),
		Input: c.String("input"), Seed: c.Uint64("seed"), Bisect: c.Bool("bisect"), Outputs: written(c),
		Record: c.IsSet("save-outputs"), LoadOutputs: c.String("load-outputs"),
	}
	if opt.LoadOutputs != "" {
		opt.A, opt.B = "", opt.A
	}
	if err := refuseFlags(c, opt.LoadOutputs != "", "it is about other inputs, and --load-outputs has its own", []string{"input", "seed", "dist", "iterations", "batch", "save-outputs", "source-frames"}); err != nil {
		return nil, err
	}
	if err := refuseFlags(c, opt.A == "" || opt.B == "", "it compares two models, and one is given", []string{"bisect"}); err != nil {
		return nil, err
	}
	if err := refuseFlags(c, opt.B == "", "nothing is compared where one model is given and its answers are saved", []string{"atol", "rtol", "check-error-stat"}); err != nil {
		return nil, err
	}
	if err := refuseFlags(c, opt.Input != "", "it is about random inputs, and others are given", []string{"seed", "dist", "iterations", "batch"}); err != nil {
		return nil, err
	}
	if err := positive(c, "source-frames", &opt.SourceFrames); err != nil {
		return nil, err
	}
	if err := positive(c, "iterations", &opt.Iterations); err != nil {
		return nil, err
	}
	var err error
	if opt.Distribution, err = distribution(c); err != nil {
		return nil, err
	}
	if opt.Tolerances, err = verify.ParseTolerances(c.StringSlice("atol"), c.StringSlice("rtol"), c.StringSlice("check-error-stat")); err != nil {
		return nil, usagef("%v", err)
	}
	opt.Run, err = runtimeOptions(c)
	return opt, err
}
