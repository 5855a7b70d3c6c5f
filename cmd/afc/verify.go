package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "prove on ONNX Runtime that an AFNet computes what it should, and time it",
		UsageText: "afc verify [[SOURCE.onnx] AF.onnx] [flags]\n       afc verify --same A.onnx B.onnx [flags]\n       afc verify --same MODEL.onnx --save-outputs RUN.npz | --load-outputs RUN.npz",
		Description: "Without SOURCE.onnx the AFNet is held to its own mask lowering and to an interpreter. Every check is a\n" +
			"row: pass, fail or skipped with the reason. Exit code 1 says that one failed.\n" +
			"--save-outputs keeps inputs and answers, to which --load-outputs holds a model on another machine.\n" +
			"Checks: " + strings.Join(verify.CheckNames(), ", ") + ".",
		Flags: append(append(runFlags(), sameFlags()...),
			sourceFramesFlag(),
			&cli.BoolFlag{Name: "alone", Usage: "do not look for the source of AF.onnx beside it"},
			&cli.StringSliceFlag{Name: "only", Usage: "run `CHECKS` alone, as in load,reference"},
			&cli.StringSliceFlag{Name: "skip", Usage: "leave out `CHECKS`"},
			&cli.StringSliceFlag{Name: "require", Usage: "fail where one of `CHECKS` is skipped"},
			&cli.IntFlag{Name: "rounds", Value: 9, Usage: "timed rounds of the latency check"},
			&cli.Float64Flag{Name: "min-top1", Usage: "fail below this part of clips with the source's first class"},
			&cli.StringFlag{Name: "save-outputs", Usage: "write what the model ran on and answered to `RUN`.npz (with --same: the first model)"},
			&cli.StringFlag{Name: "load-outputs", Usage: "run the model on what is in `RUN`.npz and hold it to the answers there"},
			&cli.StringFlag{Name: "report", Usage: "write the report as a web page to `FILE`.html too"},
		),
		Action: func(c *cli.Context) error { return guarded(a, c, verifyOptions, a.verify) },
	}
}

// runFlags are the flags of commands that run models.
func runFlags() []cli.Flag {
	return append(inputFlags(),
		&cli.IntFlag{Name: "clips", Value: 4, Usage: "random clips to run"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of random clips"},
		&cli.StringFlag{Name: "dist", Value: "normal", Usage: "random pixels: normal or uniform"},
		&cli.IntFlag{Name: "batch", Value: 2, Usage: "clips at once, where the model takes any number"},
		&cli.StringFlag{Name: "provider", Value: "cpu", Usage: strings.Join(ort.Providers, ", ") + "; options as in cuda:device_id=1"},
		&cli.BoolFlag{Name: "allow-fallback", Usage: "let nodes the provider cannot run fall back to the CPU, and list them"},
		&cli.IntFlag{Name: "threads", Usage: "threads of one run (default: one a core)"},
		&cli.DurationFlag{Name: "timeout", Usage: "give up after this time, as in 5m"},
		jsonFlag(),
	)
}

// verifyRun is what verify was asked to do: to prove things about a model, or
// to hold two together.
type verifyRun struct {
	verify afc.VerifyOptions
	chose  []string // what was not said, in words
	same   *afc.SameOptions
}

// verifyOptions reads verify's flags and arguments.
func verifyOptions(c *cli.Context) (run verifyRun, err error) {
	switch {
	case c.Bool("same") && c.IsSet("load-outputs") && c.NArg() != 1:
		return run, usagef("verify --same --load-outputs takes one model, got %d arguments", c.NArg())
	case c.Bool("same") && c.NArg() != 2 && !(c.NArg() == 1 && (c.IsSet("load-outputs") || c.IsSet("save-outputs"))):
		return run, usagef("verify --same takes two models, got %d arguments", c.NArg())
	case c.NArg() > 2:
		return run, usagef("verify takes [SOURCE.onnx] AF.onnx, got %d arguments", c.NArg())
	}
	if err := refuseFlags(c, c.Bool("same"), "with --same, models run on inputs of their own", ofClips); err != nil {
		return run, err
	}
	if err := refuseFlags(c, !c.Bool("same"), "it goes with --same", []string{"atol", "rtol", "check-error-stat", "iterations", "bisect", "input-shapes"}); err != nil {
		return run, err
	}
	for _, path := range c.Args().Slice() {
		if err := afc.Readable(path); err != nil {
			return run, err
		}
	}
	for _, path := range written(c) { // beside what a model has outside its file, which is looked at when it is read
		if err := afc.Writable(path, append(c.Args().Slice(), c.String("input"), c.String("list"), c.String("load-outputs"))...); err != nil {
			return run, err
		}
	}
	if recorded := c.String("load-outputs"); recorded != "" {
		if err := afc.Readable(recorded); err != nil {
			return run, err
		}
	}
	if c.Bool("same") {
		run.same, err = sameOptions(c)
		return run, err
	}
	model, source, chose, err := whatToVerify(c)
	if err != nil {
		return run, err
	}
	run.chose = chose
	run.verify, err = proofOptions(c, model, source)
	return run, err
}

// whatToVerify is the AFNet and its source: those given, or the one AFNet in
// this folder and the source that it says it was made from, beside it.
func whatToVerify(c *cli.Context) (model, source string, chose []string, err error) {
	switch c.NArg() {
	case 2:
		return c.Args().Get(1), c.Args().Get(0), nil, refuseFlags(c, true, "it is for an AFNet whose source is not given", []string{"alone"})
	case 1:
		model = c.Args().First()
	default:
		if model, err = theAFNetHere(); err != nil {
			return "", "", nil, err
		}
		chose = append(chose, "verifying "+model+", the AFNet in this folder")
	}
	if c.Bool("alone") {
		return model, "", chose, nil
	}
	source, why, err := afc.FindSource(model)
	switch {
	case errors.As(err, new(*graph.Error)):
		return model, "", chose, nil // verification says it
	case source != "":
		chose = append(chose, "source is "+source)
	case why != "":
		chose = append(chose, "verifying "+model+" without its source: "+why)
	}
	return model, source, chose, err
}

// theAFNetHere is the one AFNet in the working folder.
func theAFNetHere() (string, error) {
	found, err := afc.AFNets(".")
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", usagef("what to verify? There is no AFNet in this folder: afc verify [SOURCE.onnx] AF.onnx")
	case len(found) > 1:
		return "", usagef("which one to verify? In this folder are %s: afc verify FILE", strings.Join(found, ", "))
	}
	return found[0], nil
}

// ofClips are the flags about checks on clips, which --same has none of.
var ofClips = []string{
	"clips", "videos", "list", "labels", "subset", "clips-per-video", "crops", "dense", "strict", "template", "first-frame", "scale", "mean", "std", "bgr",
	"only", "skip", "require", "rounds", "min-top1", "alone",
}

// written are the files that verify writes.
func written(c *cli.Context) []string {
	return slices.DeleteFunc([]string{c.String("report"), c.String("save-outputs")}, func(path string) bool { return path == "" })
}

// refuseFlags refuses flags that are set, on a condition and for the reason.
func refuseFlags(c *cli.Context, condition bool, why string, flags []string) error {
	for _, name := range flags {
		if condition && c.IsSet(name) {
			return usagef("--%s: %s", name, why)
		}
	}
	return nil
}

// proofOptions reads the flags of a verification.
func proofOptions(c *cli.Context, model, source string) (opt afc.VerifyOptions, err error) {
	opt = afc.VerifyOptions{
		Model: model, Source: source, Only: names(c, "only"), Skip: names(c, "skip"), Require: names(c, "require"), MinTop1: c.Float64("min-top1"),
		Resident: []string{residentName}, Outputs: written(c), Record: c.IsSet("save-outputs"), LoadOutputs: c.String("load-outputs"),
	}
	for _, name := range slices.Concat(opt.Only, opt.Skip, opt.Require) {
		if !slices.Contains(verify.CheckNames(), name) {
			return opt, usagef("no check %q; there are %s", name, strings.Join(verify.CheckNames(), ", "))
		}
	}
	if opt.MinTop1 < 0 || opt.MinTop1 > 1 || c.IsSet("min-top1") && opt.MinTop1 == 0 {
		return opt, usagef("--min-top1 %g: expected a part of the clips, above 0 and up to 1", opt.MinTop1)
	}
	if err := positive(c, "rounds", &opt.Rounds); err != nil {
		return opt, err
	}
	if err := positive(c, "source-frames", &opt.SourceFrames); err != nil {
		return opt, err
	}
	if err := refuseFlags(c, opt.Source == "", "it is about SOURCE.onnx, which is not given", []string{"source-frames", "min-top1"}); err != nil {
		return opt, err
	}
	runs := func(check string) bool {
		return (opt.Only == nil || slices.Contains(opt.Only, check)) && !slices.Contains(opt.Skip, check)
	}
	for _, name := range opt.Require {
		if !runs(name) {
			return opt, usagef("--require %s: --only or --skip leaves it out", name)
		}
	}
	if opt.LoadOutputs != "" && !runs("recorded") {
		return opt, usagef("--load-outputs: it is about the check recorded, which does not run")
	}
	if c.IsSet("rounds") && !runs("latency") {
		return opt, usagef("--rounds: it is about the check latency, which does not run")
	}
	if opt.Clips, err = clipOptions(c); err != nil {
		return opt, err
	}
	opt.Run, err = runtimeOptions(c)
	return opt, err
}

func (a *app) verify(c *cli.Context, run verifyRun) error {
	p := a.progress()
	defer p.Stop()
	var report *verify.Report
	var err error
	subject := strings.Join(c.Args().Slice(), " and ")
	if run.same != nil {
		run.same.Progress = p.Say
		report, err = afc.Same(c.Context, *run.same)
	} else {
		for _, text := range run.chose {
			fmt.Fprintf(a.stderr, "afc: %s\n", text)
		}
		run.verify.Progress = p.Say
		run.verify.Clips.Read.Broken = tellBroken(p)
		subject = run.verify.Model
		report, err = afc.Verify(c.Context, run.verify)
	}
	if err != nil {
		return err
	}
	p.Stop()
	return a.verdict(c, report, subject)
}

// runtimeOptions reads the flags that say how models run.
func runtimeOptions(c *cli.Context) (r afc.Runtime, err error) {
	if err := positive(c, "batch", &r.Batch); err != nil {
		return r, err
	}
	if err := positive(c, "threads", &r.Threads); err != nil {
		return r, err
	}
	if err := timeout(c); err != nil {
		return r, err
	}
	if r.Provider, err = ort.ParseProvider(c.String("provider")); err != nil {
		return r, usagef("%v", err)
	}
	r.Provider.AllowFallback = c.Bool("allow-fallback")
	if r.Provider.AllowFallback && r.Provider.CPU() {
		return r, usagef("--allow-fallback: it is about providers other than cpu (--provider)")
	}
	return r, nil
}

// timeout refuses a --timeout that is no time to give up after.
func timeout(c *cli.Context) error {
	if t := c.Duration("timeout"); c.IsSet("timeout") && t <= 0 {
		return usagef("--timeout %v: expected a positive time", t)
	}
	return nil
}
