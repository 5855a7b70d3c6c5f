package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/published"
)

func (a *app) sweepCommand() *cli.Command {
	return &cli.Command{
		Name:      "sweep",
		Usage:     "compare AFNets with their source, and with the source at fewer frames, by score, cost and time",
		UsageText: "afc sweep SOURCE.onnx AF.onnx … --videos DIR [--list FILE] [--plot FILE.svg] [flags]",
		Description: "Scores are accuracy where all videos have labels, else agreement with SOURCE.onnx.\n" +
			"Times are taken side by side. Figures of papers (--published) are shown apart: they\n" +
			"were not measured here.",
		Flags: append([]cli.Flag{
			sourceFramesFlag(),
			&cli.StringFlag{Name: "frames", Usage: "frames at which the source runs too, as in 2,4 (default: half, a quarter, … to 2)"},
			&cli.StringFlag{Name: "ratios", Usage: "shares of frames that schedules select in place of their own, as in 0.25,0.75"},
			&cli.StringSliceFlag{Name: "lowerings", Usage: "run the AFNets in these lowerings too: " + afc.List(codegen.Lowerings)},
			&cli.StringFlag{Name: "budgets", Usage: "run them as topk with these numbers of frames too, as in 2,4"},
			&cli.IntFlag{Name: "rounds", Value: 9, Usage: "timed rounds"},
			&cli.StringFlag{Name: "published", Usage: "show figures of papers beside: " + strings.Join(published.Names(), ", ")},
			&cli.StringFlag{Name: "plot", Usage: "draw score against cost and against time to `FILE`.svg"},
		}, runFlags()...),
		Action: func(c *cli.Context) error { return guarded(a, c, sweepOptions, a.sweep) },
	}
}

func sweepOptions(c *cli.Context) (opt afc.SweepOptions, err error) {
	if c.NArg() == 0 {
		return opt, usagef("sweep takes SOURCE.onnx and AFNets of it")
	}
	opt = afc.SweepOptions{Source: c.Args().First(), Models: c.Args().Tail(), Published: c.String("published")}
	for _, path := range c.Args().Slice() {
		if err := afc.Readable(path); err != nil {
			return opt, err
		}
	}
	if plot := c.String("plot"); plot != "" {
		if err := afc.Writable(plot, append(c.Args().Slice(), c.String("input"), c.String("list"))...); err != nil {
			return opt, err
		}
	}
	if err := refuseFlags(c, len(opt.Models) == 0, "it is about AFNets, and none is given", []string{"ratios", "lowerings", "budgets"}); err != nil {
		return opt, err
	}
	for name, to := range map[string]*int{"rounds": &opt.Rounds, "source-frames": &opt.SourceFrames} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	if opt.Frames, err = intList("frames", c.String("frames")); err != nil {
		return opt, err
	}
	if opt.Budgets, err = intList("budgets", c.String("budgets")); err != nil {
		return opt, err
	}
	if opt.Ratios, err = shares("ratios", c.String("ratios")); err != nil {
		return opt, err
	}
	for _, name := range names(c, "lowerings") {
		opt.Lowerings = append(opt.Lowerings, codegen.Lowering(name))
	}
	if opt.Clips, err = clipOptions(c); err != nil {
		return opt, err
	}
	opt.Run, err = runtimeOptions(c)
	return opt, err
}

func (a *app) sweep(c *cli.Context, opt afc.SweepOptions) error {
	p := a.progress()
	defer p.Stop()
	opt.Progress, opt.Clips.Read.Broken = p.Say, tellBroken(p)
	r, err := afc.Sweep(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	if plot := c.String("plot"); plot != "" {
		var svg bytes.Buffer
		if err := r.WriteSVG(&svg); err != nil {
			return err
		}
		if err := afc.WriteFile(plot, svg.Bytes()); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return a.tellSwept(r)
}

// tellSwept prints the report, published figures in a table of their own.
func (a *app) tellSwept(r *afc.SweepReport) error {
	score := "agrees"
	if r.Points[0].Accuracy != nil {
		score = "top-1"
	}
	terminal.Sayf(a.stdout, "%s\n", r.Inputs)
	t := table.New("model", "selected", score, "±", "GMACs", "ms", "÷ source", "maps")
	for i, p := range r.Points {
		if i == 0 || r.Points[i-1].Model != p.Model {
			t.Add(filepath.Base(p.Model))
		}
		selected := ""
		if !p.Source {
			selected = fmt.Sprintf("%.0f %%", 100*p.Selected)
		}
		t.Add("  "+p.Name, selected, fmt.Sprintf("%.1f %%", p.Score()), fmt.Sprintf("%.1f", 100*p.Error),
			fmt.Sprintf("%.3g", p.GMACs), fmt.Sprintf("%.2f", p.Millis), fmt.Sprintf("%.3f", p.Ratio), bytesText(p.Activations))
	}
	if err := t.Write(a.stdout, "  "); err != nil {
		return err
	}
	if d := r.Published; d != nil {
		terminal.Sayf(a.stdout, "\npublished for %s, not measured here (%s):\n", d.Name, d.Source)
		t = table.New("method", "frames", d.Score, "GFLOPs")
		for _, row := range d.Rows {
			t.Add(row.Method, row.Frames, fmt.Sprintf("%.1f", row.Score), fmt.Sprintf("%.1f", row.GFLOPs))
		}
		return t.Write(a.stdout, "  ")
	}
	return nil
}
