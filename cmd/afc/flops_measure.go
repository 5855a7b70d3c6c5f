package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	blocks "github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
)

// measureOptions reads the flags and argument of flops measure.
func measureOptions(c *cli.Context) (opt afc.MeasureOptions, err error) {
	if c.NArg() != 1 {
		return opt, usagef("flops measure takes AF.onnx, got %d arguments", c.NArg())
	}
	opt.Model = c.Args().First()
	if err := afc.Readable(opt.Model); err != nil {
		return opt, err
	}
	if opt.Clips, err = clipOptions(c); err != nil {
		return opt, err
	}
	if opt.Margins, err = margins(c.String("margins")); err != nil {
		return opt, err
	}
	opt.Run, err = runtimeOptions(c)
	return opt, err
}

// margins reads turns of a dial.
func margins(spec string) ([]float64, error) {
	var list []float64
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		m, err := strconv.ParseFloat(strings.TrimSpace(s), 32)
		if err != nil || math.IsNaN(m) || math.IsInf(m, 0) {
			return nil, usagef("--margins %s: expected numbers, such as -0.25,0.25", spec)
		}
		list = append(list, m)
	}
	return list, nil
}

func (a *app) flopsMeasure(c *cli.Context, opt afc.MeasureOptions) error {
	p := a.progress()
	defer p.Stop()
	opt.Progress, opt.Clips.Read.Broken = p.Say, tellBroken(p)
	r, err := afc.Measure(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	return printMeasured(a.stdout, r)
}

// printDial writes what other margins take.
func printDial(w io.Writer, points []afc.DialPoint, u unit) error {
	if points == nil {
		return nil
	}
	t := table.New("margin", "frames selected", "computed", u.letter+"MACs a clip", "milliseconds")
	for _, p := range points {
		t.Add(fmt.Sprintf("%+g", p.Margin), fmt.Sprintf("%.1f %%", 100*p.Selected), fmt.Sprintf("%.1f %%", 100*p.Executed), u.text(1e9*p.ExecutedGMACs), fmt.Sprintf("%.2f", p.Millis))
	}
	terminal.Sayf(w, "\nby what the dial is given, the input %q:\n", blocks.Margin)
	return t.Write(w, "  ")
}

// printMeasured writes the report for people.
func printMeasured(w io.Writer, r *afc.MeasureReport) error {
	terminal.Sayf(w, "%s: %d clips, %s\n\n", r.Model, r.Clips, r.Inputs)
	u := unitFor(1e9 * r.All)
	t := table.New("block", "mean", "min", "max")
	percent := func(name string, s afc.Spread) {
		t.Add(name, fmt.Sprintf("%.1f %%", 100*s.Mean), fmt.Sprintf("%.1f %%", 100*s.Min), fmt.Sprintf("%.1f %%", 100*s.Max))
	}
	for _, b := range r.Blocks {
		percent(blocks.InWords(b.Block), b.Spread)
	}
	t.Rule()
	percent("frames selected", r.Ratio)
	percent("frames computed", r.Executed)
	count := func(name string, s afc.Spread) { t.Add(name, u.text(1e9*s.Mean), u.text(1e9*s.Min), u.text(1e9*s.Max)) }
	count(u.letter+"MACs a clip, of frames selected", r.GMACs)
	count(u.letter+"MACs a clip, of frames computed", r.ExecutedGMACs)
	count(u.letter+"FLOPs (2 × MAC + elementwise)", r.GFLOPs)
	count("authors' count, "+u.power, r.Author)
	t.Add("milliseconds a clip", fmt.Sprintf("%.2f", r.Millis.Mean), fmt.Sprintf("%.2f", r.Millis.Min), fmt.Sprintf("%.2f", r.Millis.Max))
	if err := t.Write(w, "  "); err != nil {
		return err
	}
	if err := printDial(w, r.Dial, u); err != nil {
		return err
	}
	terminal.Sayf(w, "\nclips by %sMACs (every frame selected: %s)\n", u.letter, u.text(1e9*r.All))
	for _, b := range r.Bins {
		fmt.Fprintf(w, "  from %s  %4d  %s\n", u.text(1e9*b.From), b.Clips, strings.Repeat("█", (40*b.Clips+r.Clips-1)/r.Clips))
	}
	return nil
}
