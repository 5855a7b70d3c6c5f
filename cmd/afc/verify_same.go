package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/numpy"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// sameFlags are the flags of verify --same.
func sameFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "same", Usage: "hold two models to the same outputs, whatever they are"},
		&cli.StringSliceFlag{Name: "atol", Usage: "with --same: absolute tolerance, `VALUE` or OUTPUT:VALUE; may be repeated"},
		&cli.StringSliceFlag{Name: "rtol", Usage: "with --same: relative tolerance, `VALUE` or OUTPUT:VALUE; may be repeated"},
		&cli.IntFlag{Name: "iterations", Value: 1, Usage: "with --same: how many random inputs to compare"},
		&cli.BoolFlag{Name: "bisect", Usage: "with --same: name the first value that differs"},
		inputShapesFlag(),
	}
}

// verifySame holds two models to the same outputs.
func (a *app) verifySame(c *cli.Context, run verify.Options) error {
	opt := verify.SameOptions{
		Seed: c.Uint64("seed"), Distribution: clips.Distribution(c.String("dist")), Iterations: c.Int("iterations"),
		Session: ort.SessionOptions{Threads: run.Threads, Provider: run.Provider}, Bisect: c.Bool("bisect"),
	}
	var err error
	if opt.Tolerances, err = verify.ParseTolerances(c.StringSlice("atol"), c.StringSlice("rtol")); err != nil {
		return usagef("%v", err)
	}
	if opt.Inputs, err = namedInputs(c.String("input")); err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	var models [2]*graph.Model
	for i, path := range c.Args().Slice() {
		p.Step("reading %s", path)
		if models[i], err = openModel(path, c.String("report")); err != nil {
			return err
		}
		if err := setInputShapes(models[i], c.StringSlice("input-shapes")); err != nil {
			return err
		}
	}
	opt.Batch = int64(c.Int("batch"))
	if clips := clipsOf(c.Args().First(), c.Int("source-frames")); clips.folded {
		opt.Batch *= int64(clips.frames) // whole clips of them
	}
	opt.Progress = func(step string, done, total int) { p.Step("%s (%d of %d)", step, done+1, total) }
	report, err := verify.Same(c.Context, models[0], models[1], opt)
	if err != nil {
		return err
	}
	p.Stop()
	return a.verdict(c, report, strings.Join(c.Args().Slice(), " and "))
}

// namedInputs reads the arrays of a NumPy file as inputs by their names, those
// of a lone array under "".
func namedInputs(path string) (map[string]*graph.Tensor, error) {
	if path == "" {
		return nil, nil
	}
	arrays, err := numpy.ReadFile(path)
	if err != nil {
		return nil, usagef("%v", err)
	}
	inputs := map[string]*graph.Tensor{}
	for _, array := range arrays {
		inputs[array.Name] = array.Tensor
	}
	return inputs, nil
}
