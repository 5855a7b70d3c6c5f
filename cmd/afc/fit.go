package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	blocks "github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
)

func (a *app) fitCommand() *cli.Command {
	return &cli.Command{
		Name:      "fit",
		Usage:     "make an AFNet that predicts, from a TSN/TSM ResNet and unlabelled clips",
		UsageText: "afc fit MODEL.onnx -o AF.onnx --videos DIR [--list FILE] [flags]\n       afc fit MODEL.onnx -o AF.onnx --input CLIPS.npz [flags]",
		Description: "Each convolution of the AFNet is regressed onto MODEL.onnx's activations on the clips:\n" +
			"no labels, no gradients. 100 clips are usable, 300 are enough for a fixed schedule of\n" +
			"frames (the default); --for any takes more, and serves every selection of frames.\n" +
			"Some clips are held back; the table at the end says how the AFNet does on them.\n" +
			"Activations go to files in the folder that TMPDIR names.",
		Flags: append(append(append([]cli.Flag{
			outputFlag(),
			forceFlag(),
			externalDataFlag(),
			&cli.IntFlag{Name: "clips", Usage: "clips to fit on (default: all but those held back)"},
			&cli.IntFlag{Name: "held", Usage: "clips held back to measure on, -1 for none (default: a tenth, at most 100)"},
			&cli.StringFlag{Name: "for", Value: string(fit.Schedule), Usage: "selections to fit for: schedule (what --navigation says) or any"},
			&cli.StringFlag{Name: "without", Usage: "leave a branch out: ample, which saves its cost and, of bottlenecks at a schedule, is as accurate; what is made is no AFNet"},
			&cli.IntFlag{Name: "rows", Value: fit.DefaultRows, Usage: "positions of the maps that a regression looks at"},
			&cli.Uint64Flag{Name: "seed", Usage: "seed of positions and of random selections"},
		}, slices.Concat(rewriteFlags(), formFlags())...), inputFlags()...),
			&cli.IntFlag{Name: "threads", Usage: "threads of ONNX Runtime (default: one a core)"},
			&cli.BoolFlag{Name: "resume", Usage: "keep the fit so far in AF.onnx.fit (as large as the clips' activations), and go on from an interrupted one"},
			&cli.StringFlag{Name: "report", Usage: "write what was fitted as a web page to `FILE`.html too"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time, as in 30m"},
			inputShapesFlag(),
			jsonFlag(),
		),
		Action: func(c *cli.Context) error { return guarded(a, c, fitOptions, a.fit) },
	}
}

// fitOptions reads fit's flags and arguments.
func fitOptions(c *cli.Context) (opt afc.FitOptions, err error) {
	if c.NArg() == 0 || c.NArg() > 2 {
		return opt, usagef("fit takes MODEL.onnx, got %d arguments", c.NArg())
	}
	opt = afc.FitOptions{
		Model: c.Args().First(), ExternalData: c.Bool("external-data"), InputShapes: c.StringSlice("input-shapes"),
		Navigation: c.String("navigation"), StrideAt: c.String("stride-at"), Unselected: c.String("unselected"),
		Target: codegen.Target(c.String("target")), Without: c.String("without"), Form: form(c),
		Resume: c.Bool("resume"),
		Fit:    fit.Options{Held: c.Int("held"), For: fit.Masks(c.String("for")), Seed: c.Uint64("seed")},
	}
	if opt.Output, err = outputBeside(c, c.Args().Get(1), opt.Model); err != nil {
		return opt, err
	}
	if opt.Clips, err = givenClips(c); err != nil {
		return opt, err
	}
	if err := refuseFlags(c, true, "a fit looks at one clip of a video, cropped in the middle", []string{"clips-per-video", "crops", "dense"}); err != nil {
		return opt, err
	}
	if opt.Clips.Input == "" && opt.Clips.Videos == "" {
		return opt, usagef("what to fit on? Give clips with --videos DIR (and --list FILE), or --input CLIPS.npz")
	}
	for name, to := range map[string]*int{
		"frames": &opt.Frames, "source-frames": &opt.SourceFrames, "alpha": &opt.Alpha, "focal-groups": &opt.FocalGroups,
		"clips": &opt.Fit.Clips, "rows": &opt.Fit.Rows, "threads": &opt.Fit.Threads,
	} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	switch {
	case opt.Fit.For != fit.Schedule && opt.Fit.For != fit.Any:
		return opt, usagef("--for %s: expected %s or %s", opt.Fit.For, fit.Schedule, fit.Any)
	case opt.Without != "" && opt.Without != "ample":
		return opt, usagef("--without %s: expected ample", opt.Without)
	case c.IsSet("held") && opt.Fit.Held == 0:
		return opt, usagef("--held 0: expected 1 or more, or -1 for none")
	}
	if err := timeout(c); err != nil {
		return opt, err
	}
	if report := c.String("report"); report != "" {
		if err := afc.Writable(report, opt.Model, opt.Output, opt.Clips.Input, opt.Clips.Read.List); err != nil {
			return opt, err
		}
	}
	return opt, afc.Readable(opt.Model)
}

func (a *app) fit(c *cli.Context, opt afc.FitOptions) error {
	p := a.progress()
	defer p.Stop()
	opt.Progress, opt.Clips.Read.Broken = p.Say, tellBroken(p)
	r, err := afc.Fit(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	a.written = r.Output
	if path := c.String("report"); path != "" {
		var page bytes.Buffer
		if err := r.WriteHTML(&page, opt.Model); err != nil {
			return err
		}
		if err := afc.WriteFile(path, page.Bytes()); err != nil {
			return err
		}
	}
	return a.tellFitted(c, r)
}

// tellFitted prints the report.
func (a *app) tellFitted(c *cli.Context, r *afc.FitReport) error {
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	for _, n := range r.Notes {
		terminal.Sayf(a.stdout, "note: %s\n", terminal.Message(n))
	}
	t := table.New("residual left, in parts of the source's spread", "conv1", "conv2", "conv3", "positions")
	for _, b := range fit.ByBlock(r.Fit.Layers) {
		t.Add(residualRow(b)...)
	}
	if err := t.Write(a.stdout, "  "); err != nil {
		return err
	}
	if len(r.Fit.Controls) > 0 {
		terminal.Sayf(a.stdout, "\non %d clips held back from the fit:\n", r.Fit.Held)
		t = table.New("frames selected", "share", "source's first class", "error of scores", "right")
		for _, k := range r.Fit.Controls {
			t.Add(k.Name, percent(k.Selected), percent(k.Top1), fmt.Sprintf("%.4f", k.Error), maybe(k.Right))
		}
		t.Add("source", "", "", "", maybe(r.Fit.SourceRight))
		if err := t.Write(a.stdout, "  "); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.stdout)
	if s := r.Cost; s != nil {
		terminal.Sayf(a.stdout, "multiply–accumulates a clip: %s, %.3f of the source's %s\n", macs(s.AFNet), s.Ratio, macs(s.Source))
	}
	terminal.Sayf(a.stdout, "%s: %s of %d frames, fitted for %s on %d clips, lowering %s, %s, in %.1f s\n",
		r.Output, kindOf(r.Network), r.Network.Frames, fittedFor(r.Fit), r.Fit.Clips, r.Network.Lowering, bytesText(r.Size), r.Elapsed.Seconds())
	fmt.Fprintf(a.stdout, "next: afc verify %s %s on clips of your own (--videos, --list)\n", c.Args().First(), r.Output)
	if r.Fit.Clips < fewClips {
		fmt.Fprintf(a.stderr, "afc: %d clips are few: 100 are usable, 300 enough for a fixed schedule\n", r.Fit.Clips)
	}
	return nil
}

// fewClips is the number of clips under which a fit comes with a warning.
const fewClips = 100

func fittedFor(r *fit.Result) string {
	if r.For == fit.Any {
		return "any selection of frames"
	}
	if p := r.Net.Schedule(); p != nil {
		return "the schedule " + p.String()
	}
	for _, n := range r.Net.Navigation() {
		return "the schedule " + n.Fixed.String()
	}
	return "no selection"
}

// maybe is a part in percent, nothing where it is not known.
func maybe(x *float64) string {
	if x == nil {
		return ""
	}
	return percent(*x)
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func macs(n float64) string { return fmt.Sprintf("%.4g G", n/1e9) }

// residualRow is a block's row in the table: three layers, and the positions of
// the last.
func residualRow(b fit.BlockLayers) []string {
	row := make([]string, 5)
	row[0] = blocks.InWords(b.Name)
	for i, l := range b.Layers {
		if i < 3 {
			row[1+i] = fmt.Sprintf("%.3f", l.Residual)
		}
		row[4] = count(l.Rows)
	}
	return row
}

// rewriteFlags shape an AFNet with weights of a source.
func rewriteFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "frames", Usage: "frames a clip of the AFNet, `T` (default: the source's)"},
		sourceFramesFlag(),
		&cli.StringFlag{Name: "navigation", Usage: "frames that transplanted weights select: uniform:R, all or none (default: uniform:0.5)"},
		&cli.IntFlag{Name: "alpha", Usage: "channel reduction of the ample branch (default: 2)"},
		&cli.IntFlag{Name: "focal-groups", Usage: "groups of the focal convolutions, 1 or 2 (default: 2)"},
		&cli.StringFlag{Name: "stride-at", Usage: "where stages halve: fusion (AFNet) or source (as MODEL.onnx has it) (default: fusion)"},
		&cli.StringFlag{Name: "unselected", Usage: "what a skipped frame answers: bias (the weights' F(0)) or zero (default: bias)"},
		&cli.StringFlag{Name: "target", Usage: "where the model is to run, which chooses the lowering: " + afc.List(codegen.Targets) + " (default: cpu)"},
	}
}
