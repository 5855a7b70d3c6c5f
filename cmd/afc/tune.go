package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/train"
)

func (a *app) tuneCommand() *cli.Command {
	return &cli.Command{
		Name:      "tune",
		Usage:     "train an AFNet on its source's answers, or on labels",
		UsageText: "afc tune AF.onnx -o TUNED.onnx --videos DIR [--list FILE] [--source MODEL.onnx] [flags]\n       afc tune AF.onnx -o TUNED.onnx --input CLIPS.npz [--val-input CLIPS.npz] [flags]",
		Description: "Steps of training (answer, loss, gradient, update) run on ONNX Runtime. An AFNet that\n" +
			"was fitted learns from its source, on clips without labels, under the schedule of\n" +
			"frames that it has; --rt has its navigation learn to choose, --budgets makes one set\n" +
			"of weights serve several. The best weights on --val or --val-input are kept.\n" +
			"A training that was interrupted goes on with --resume (docs/TUNE.md).",
		Flags: append(append([]cli.Flag{
			outputFlag(),
			forceFlag(),
			externalDataFlag(),
			&cli.StringFlag{Name: "source", Usage: "model that teaches, `MODEL`.onnx (default: the one beside AF.onnx that it was made of)"},
			sourceFramesFlag(),
			&cli.StringFlag{Name: "val", Usage: "with --videos: list `FILE` of clips to choose the best weights by"},
			&cli.StringFlag{Name: "val-input", Usage: "with --input: clips to choose the best weights by, `FILE`.npz"},
			&cli.Float64Flag{Name: "distill", Usage: "weight of the distance to the source's scores (default: 1, or 0 with --label-weight)"},
			&cli.Float64Flag{Name: "label-weight", Usage: "weight of the cross-entropy with the clips' labels (default: 0, or 1 with --distill 0)"},
			&cli.StringFlag{Name: "train", Usage: "what learns: all, body (all but the stem), or some of " + afc.List(train.Groups) + " (default: body, or all with labels)"},
			&cli.Float64Flag{Name: "rt", Usage: "part of the frames that navigation learns to choose, `R` (default: the schedule stays)"},
			&cli.StringFlag{Name: "budgets", Usage: "parts of the frames that one set of weights is to serve, as in 0.25,0.5,1; TUNED.onnx gets a dial (convert --dial)"},
			&cli.Float64Flag{Name: "lambda", Usage: "with --rt: weight of the ratio's loss (default: 0.5)"},
			&cli.IntFlag{Name: "epochs", Usage: "times that every clip is seen (default: 10, or as many as make 400 steps; 55 with labels)"},
			&cli.IntFlag{Name: "batch", Usage: "clips a step (default: 16, or 32 with labels)"},
			&cli.StringFlag{Name: "optimizer", Usage: "adamw or sgd (default: adamw, or sgd with labels)"},
			&cli.Float64Flag{Name: "lr", Usage: "learning rate (default: 0.0003, or 0.01 of sgd)"},
			&cli.StringFlag{Name: "lr-schedule", Usage: "cosine, or steps as the authors' (default: cosine, or steps of sgd)"},
			&cli.StringFlag{Name: "lr-groups", Usage: "even, or authors: ten times the rate for navigation, five for the linear layer (default: even, or authors of sgd)"},
			&cli.Float64Flag{Name: "momentum", Usage: "of sgd (default: 0.9)"},
			&cli.Float64Flag{Name: "weight-decay", Usage: "(default: 0.01, or 0.0005 of sgd)"},
			&cli.Float64Flag{Name: "clip-gradient", Usage: "norm that a gradient is cut to, 0: none (default: 20)"},
			&cli.Float64Flag{Name: "dropout", Usage: "part of the features left out before the linear layer (default: 0, or 0.5 with labels)"},
			&cli.StringFlag{Name: "bn", Usage: "batch normalisation by the batch or frozen (default: batch)"},
			&cli.BoolFlag{Name: "flip", Usage: "mirror half the clips, label and all; not where left and right matter"},
			&cli.StringFlag{Name: "variants", Usage: "yes or no: show clips mirrored and backwards, as the source labels them (default: yes with fewer than 1000 clips)"},
			&cli.Uint64Flag{Name: "seed", Usage: "seed of the order of clips, and of all that is drawn"},
			&cli.StringFlag{Name: "state", Usage: "`FILE` that the training so far is kept in (default: beside TUNED.onnx)"},
			&cli.BoolFlag{Name: "resume", Usage: "go on from the state of a training that was interrupted"},
			&cli.IntFlag{Name: "save-every", Usage: "steps between states (default: one an epoch)"},
			&cli.StringFlag{Name: "log", Usage: "append a JSON object a step to `FILE`.jsonl"},
			&cli.StringFlag{Name: "report", Usage: "write curves and which frames were chosen as a web page to `FILE`.html too"},
			&cli.StringFlag{Name: "dump-step", Usage: "write the graph of a step to `FILE`.onnx"},
			&cli.StringFlag{Name: "target", Usage: "where the model is to run, which chooses the lowering: " + afc.List(codegen.Targets) + " (default: cpu)"},
		}, slices.Concat(formFlags(), inputFlags())...),
			&cli.IntFlag{Name: "threads", Usage: "threads of ONNX Runtime (default: one a core)"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time, as in 30m"},
			jsonFlag(),
		),
		Action: func(c *cli.Context) error { return guarded(a, c, tuneOptions, a.tune) },
	}
}

// tuneOptions reads tune's flags and arguments.
func tuneOptions(c *cli.Context) (opt afc.TuneOptions, err error) {
	if c.NArg() == 0 || c.NArg() > 2 {
		return opt, usagef("tune takes AF.onnx, got %d arguments", c.NArg())
	}
	opt = afc.TuneOptions{
		Model: c.Args().First(), ExternalData: c.Bool("external-data"), Target: codegen.Target(c.String("target")), Form: form(c),
		Source: c.String("source"), Train: c.String("train"), Optimizer: c.String("optimizer"), LrSchedule: c.String("lr-schedule"),
		LrGroups: c.String("lr-groups"), Bn: c.String("bn"), Flip: c.Bool("flip"), Seed: c.Uint64("seed"),
		State: c.String("state"), Resume: c.Bool("resume"), Log: c.String("log"), DumpStep: c.String("dump-step"),
	}
	if opt.Output, err = outputBeside(c, c.Args().Get(1), opt.Model); err != nil {
		return opt, err
	}
	if err := tuneClips(c, &opt); err != nil {
		return opt, err
	}
	for name, to := range map[string]*int{
		"source-frames": &opt.SourceFrames, "epochs": &opt.Epochs, "batch": &opt.Batch, "save-every": &opt.SaveEvery, "threads": &opt.Threads,
	} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	for name, to := range map[string]**float64{
		"distill": &opt.Distill, "label-weight": &opt.LabelWeight, "rt": &opt.Rt, "lambda": &opt.Lambda, "momentum": &opt.Momentum,
		"weight-decay": &opt.WeightDecay, "clip-gradient": &opt.ClipGradient, "dropout": &opt.Dropout,
	} {
		if c.IsSet(name) {
			x := c.Float64(name)
			if !(x >= 0 && x <= 1e6) { // NaN too
				return opt, usagef("--%s %g: expected a number from 0 on", name, x)
			}
			*to = &x
		}
	}
	if opt.Lr = c.Float64("lr"); c.IsSet("lr") && !(opt.Lr > 0 && opt.Lr <= 1e3) {
		return opt, usagef("--lr %g: expected a number above 0", opt.Lr)
	}
	if opt.Variants, err = yes(c, "variants"); err != nil {
		return opt, err
	}
	if opt.Budgets, err = shares("budgets", c.String("budgets")); err != nil {
		return opt, err
	}
	if err := timeout(c); err != nil {
		return opt, err
	}
	if opt.Source != "" {
		if err := afc.Readable(opt.Source); err != nil {
			return opt, err
		}
	}
	if report := c.String("report"); report != "" {
		if err := afc.Writable(report, opt.Model, opt.Source, opt.Output, opt.Clips.Input, opt.Clips.Read.List, opt.Val.Input, opt.Val.Read.List, opt.State, opt.Log, opt.DumpStep); err != nil {
			return opt, err
		}
	}
	return opt, afc.Readable(opt.Model)
}

// tuneClips reads which clips to train on and which to choose by.
func tuneClips(c *cli.Context, opt *afc.TuneOptions) (err error) {
	if opt.Clips, err = givenClips(c); err != nil {
		return err
	}
	if opt.Clips.Input == "" && opt.Clips.Videos == "" {
		return usagef("what to train on? Give clips with --videos DIR (and --list FILE), or --input CLIPS.npz")
	}
	if err := refuseFlags(c, true, "training looks at one clip of a video at a time", []string{"clips-per-video", "crops", "dense"}); err != nil {
		return err
	}
	if err := refuseFlags(c, opt.Clips.Videos == "", "it goes with --videos", []string{"val"}); err != nil {
		return err
	}
	if err := refuseFlags(c, opt.Clips.Input == "", "it goes with --input", []string{"val-input"}); err != nil {
		return err
	}
	opt.Val.Input = c.String("val-input")
	if list := c.String("val"); list != "" {
		opt.Val = opt.Clips
		opt.Val.Read.List = list
	}
	return nil
}

// yes reads a flag of yes or no, nil if it is not set.
func yes(c *cli.Context, name string) (*bool, error) {
	said := c.String(name)
	is := said == "yes"
	switch {
	case !c.IsSet(name):
		return nil, nil
	case is, said == "no":
		return &is, nil
	}
	return nil, usagef("--%s %s: expected yes or no", name, said)
}

func (a *app) tune(c *cli.Context, opt afc.TuneOptions) error {
	p := a.progress()
	defer p.Stop()
	opt.Progress, opt.Clips.Read.Broken, opt.Val.Read.Broken = p.Say, tellBroken(p), tellBroken(p)
	r, err := afc.Tune(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	a.written = r.Output
	if path := c.String("report"); path != "" {
		var page bytes.Buffer
		if err := r.WriteHTML(&page, opt.Model, opt.Source); err != nil {
			return err
		}
		if err := afc.WriteFile(path, page.Bytes()); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return a.tellTuned(r)
}

// tellTuned prints the report.
func (a *app) tellTuned(r *afc.TuneReport) error {
	for _, n := range r.Notes {
		terminal.Sayf(a.stdout, "note: %s\n", terminal.Message(n))
	}
	if r.Tune.Best != nil {
		terminal.Sayf(a.stdout, "on %d clips that were not trained on:\n", r.Tune.Best.Clips)
		t := table.New("weights", "frames", "source's first class", "error of scores", "right")
		for _, row := range []struct {
			name  string
			score *train.Score
		}{{"before", r.Tune.Before}, {fmt.Sprintf("kept, of epoch %d", r.Tune.Of), r.Tune.Best}, {"last", r.Tune.Last}} {
			if s := row.score; s != nil {
				lost := ""
				if s.Error != nil {
					lost = fmt.Sprintf("%.4f", *s.Error)
				}
				t.Add(row.name, percent(s.Selected), maybe(s.Agrees), lost, maybe(s.Right))
			}
		}
		if err := t.Write(a.stdout, "  "); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	if s := r.Cost; s != nil {
		terminal.Sayf(a.stdout, "multiply–accumulates a clip: %s, %.3f of the source's %s\n", macs(s.AFNet), s.Ratio, macs(s.Source))
	}
	terminal.Sayf(a.stdout, "%s: AFNet of %d frames, %d steps on %d clips, lowering %s, %s, in %.1f s\n",
		r.Output, r.Network.Frames, r.Tune.Steps, r.Tune.Clips, r.Network.Lowering, bytesText(r.Size), r.Elapsed.Seconds())
	return nil
}
