package main

import (
	"bytes"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/terminal"
)

func (a *app) explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show on clips what an AFNet computed, what it answered and what it cost, as a page",
		UsageText: "afc explain AF.onnx --videos DIR [--list FILE] [-o PAGE.html] [--source SOURCE.onnx]",
		Description: "For each clip the frames, under them what each block computed, the product of the\n" +
			"masks along a stage, the answer against label and source; then over all clips.\n" +
			"The page needs nothing else; --json gives the same as data.",
		Flags: append([]cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "source", Usage: "run `SOURCE.onnx` too and compare answers and costs"},
			sourceFramesFlag(),
		}, runFlags()...),
		Action: func(c *cli.Context) error { return guarded(a, c, explainOptions, a.explain) },
	}
}

func explainOptions(c *cli.Context) (opt afc.ExplainOptions, err error) {
	if c.NArg() != 1 {
		return opt, usagef("explain takes AF.onnx, got %d arguments", c.NArg())
	}
	opt = afc.ExplainOptions{Model: c.Args().First(), Source: c.String("source"), SourceFrames: c.Int("source-frames")}
	if err := afc.Readable(opt.Model); err != nil {
		return opt, err
	}
	if out := c.String("output"); out != "" {
		if err := afc.Writable(out, opt.Model, opt.Source); err != nil {
			return opt, err
		}
	}
	if opt.Clips, err = clipOptions(c); err != nil {
		return opt, err
	}
	opt.Run, err = runtimeOptions(c)
	return opt, err
}

func (a *app) explain(c *cli.Context, opt afc.ExplainOptions) error {
	p := a.progress()
	defer p.Stop()
	opt.Progress, opt.Clips.Read.Broken = p.Say, tellBroken(p)
	r, err := afc.Explain(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	out := c.String("output")
	if c.Bool("json") {
		if out == "" {
			return a.writeJSON(r.Data())
		}
	} else if out == "" {
		out = afc.PageName(opt.Model)
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		return err
	}
	if err := afc.WriteFile(out, page.Bytes()); err != nil {
		return err
	}
	a.written = out
	if c.Bool("json") {
		return a.writeJSON(r.Data())
	}
	terminal.Sayf(a.stdout, "%s\n", r.Headline())
	_, err = fmt.Fprintln(a.stdout, out)
	return err
}
