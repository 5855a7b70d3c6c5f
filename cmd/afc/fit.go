package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/progress"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify"
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
			externalDataFlag(),
			&cli.IntFlag{Name: "clips", Usage: "clips to fit on (default: all but those held back)"},
			&cli.IntFlag{Name: "held", Usage: "clips held back to measure on, -1 for none (default: a tenth, at most 100)"},
			&cli.StringFlag{Name: "for", Value: string(fit.Schedule), Usage: "selections to fit for: schedule (what --navigation says) or any"},
			&cli.IntFlag{Name: "rows", Value: fit.DefaultRows, Usage: "positions of the maps that a regression looks at"},
			&cli.Uint64Flag{Name: "seed", Usage: "seed of positions and of random selections"},
		}, rewriteFlags()...), inputFlags()...),
			&cli.IntFlag{Name: "threads", Usage: "threads of ONNX Runtime (default: one a core)"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this time, as in 30m"},
			inputShapesFlag(),
			jsonFlag(),
		),
		Action: func(c *cli.Context) error {
			var call fitCall
			read := func(c *cli.Context) (verify.Options, error) { return verify.Options{}, call.read(c) }
			return a.guarded(c, read, func(c *cli.Context, _ verify.Options) error { return a.fit(c, call) })
		},
	}
}

// fitCall is what a call of fit asks for.
type fitCall struct {
	in, out string
	rewrite afblock.RewriteOptions
	options fit.Options
	lower   codegen.Options
}

func (f *fitCall) read(c *cli.Context) (err error) {
	if c.NArg() == 0 || c.NArg() > 2 {
		return usagef("fit takes MODEL.onnx, got %d arguments", c.NArg())
	}
	f.in = c.Args().First()
	if f.out, err = outputPath(c, c.Args().Get(1), f.in, c.String("input"), c.String("list")); err != nil {
		return err
	}
	if err := checkInputFlags(c); err != nil {
		return err
	}
	if c.String("input") == "" && c.String("videos") == "" {
		return usagef("what to fit on? Give clips with --videos DIR (and --list FILE), or --input CLIPS.npz")
	}
	if f.rewrite, err = rewriteOptions(c); err != nil {
		return err
	}
	if f.lower.Target = codegen.Target(c.String("target")); !slices.Contains(codegen.Targets, f.lower.Target) {
		return usagef("--target %s: expected one of %s", f.lower.Target, list(codegen.Targets))
	}
	f.options = fit.Options{
		Clips: c.Int("clips"), Held: c.Int("held"), Rows: c.Int("rows"), For: fit.Masks(c.String("for")),
		Seed: c.Uint64("seed"), Threads: c.Int("threads"),
	}
	switch {
	case f.options.For != fit.Schedule && f.options.For != fit.Any:
		return usagef("--for %s: expected %s or %s", f.options.For, fit.Schedule, fit.Any)
	case f.options.Clips < 0 || f.options.Rows < 1 || f.options.Threads < 0 || c.Duration("timeout") < 0:
		return usagef("--clips, --rows, --threads and --timeout: expected positive numbers")
	}
	return readable(f.in)
}

func (a *app) fit(c *cli.Context, call fitCall) error {
	start := time.Now()
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", call.in)
	m, err := openModel(call.in, call.out)
	if err != nil {
		return err
	}
	if compiled.Is(m) {
		return &graph.Error{File: call.in, Reason: "is an AFNet already; give the TSN or TSM that it was made from"}
	}
	if err := setInputShapes(m, c.StringSlice("input-shapes")); err != nil {
		return err
	}
	call.options.Progress = tellFit(p, time.Now())
	var fitted *fit.Result
	var source *afblock.Network
	opt := passes.Options{Lower: call.lower, Rewrite: func(src *afblock.Network) (*afblock.Network, error) {
		videos, err := videosFor(c, src)
		if err != nil {
			return nil, err
		}
		net, err := afblock.Rewrite(src, call.rewrite)
		if err != nil {
			return nil, err
		}
		p.Step("running %s on the clips", call.in)
		source = src
		fitted, err = fit.Fit(c.Context, fit.Input{Source: src, Net: net, Videos: videos}, call.options)
		if err != nil {
			return nil, err
		}
		return fitted.Net, nil
	}}
	result, err := convertPipeline(c, m, opt)
	if err != nil {
		return fitFailed(call.in, passFailed(err))
	}
	p.Step("writing %s", call.out)
	signed(result.Model)
	w, err := writeModel(c.Context, result.Model, call.out, c.Bool("external-data"))
	if err != nil {
		return err
	}
	p.Stop()
	r := newReport(result, call.out, w, start)
	r.describe(result.Network, call.lower)
	report := fitReport{rewriteReport: r, Fit: fitted}
	if report.Cost, err = fitCost(source, fitted.Net); err != nil {
		return err
	}
	report.Elapsed = time.Since(start)
	return a.tellFitted(c, &report)
}

// videosFor reads the clips that the flags name, for a network.
func videosFor(c *cli.Context, net *afblock.Network) (clips.Videos, error) {
	var opt verify.Options
	err := givenVideos(c, &verify.Subject{Frames: net.Frames, Channels: net.Stem.Conv.In()}, &opt)
	return opt.Videos, err
}

// fitFailed names the model in the errors of a fit, which speak of its layers.
func fitFailed(path string, err error) error {
	var few *fit.TooFewError
	if errors.As(err, &few) {
		return usagef("%s: too few clips: %v", path, few)
	}
	return err
}

// tellFit shows how far a fit is and how long it will take.
func tellFit(p *progress.Reporter, start time.Time) func(done, total int, l fit.Layer) {
	return func(done, total int, l fit.Layer) {
		left := time.Since(start) * time.Duration(total-done) / time.Duration(done)
		p.Step("fitting %d of %d: %s, residual %.3f; about %v left", done, total, l.Name, l.Residual, left.Round(time.Second))
	}
}

// fitReport is what fit tells at its end.
type fitReport struct {
	rewriteReport
	Fit  *fit.Result `json:"fit"`
	Cost *costShares `json:"cost,omitempty"` // absent for frames of any size
}

// costShares are multiply–accumulates of a clip.
type costShares struct {
	Source float64 `json:"source_macs"`
	AFNet  float64 `json:"afnet_macs"` // at the schedule
	Ratio  float64 `json:"ratio"`
}

// fitCost counts a clip of the source and of the AFNet at its schedule.
func fitCost(source, net *afblock.Network) (*costShares, error) {
	if net.Size[0] == 0 {
		return nil, nil
	}
	var ratios []float64
	for i, n := range net.AllNavigation() {
		selected := 0
		for _, s := range n.Fixed.Select(net.Frames, i) {
			if s {
				selected++
			}
		}
		ratios = append(ratios, float64(selected)/float64(net.Frames))
	}
	before, err := source.Cost(afblock.CostOptions{})
	if err != nil {
		return nil, err
	}
	after, err := net.Cost(afblock.CostOptions{Ratios: ratios})
	if err != nil {
		return nil, err
	}
	s := &costShares{Source: before.Total().MACs, AFNet: after.Total().MACs}
	s.Ratio = float64(s.AFNet) / float64(s.Source)
	return s, nil
}

// tellFitted prints the report.
func (a *app) tellFitted(c *cli.Context, r *fitReport) error {
	if c.Bool("json") {
		return a.writeJSON(r)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(a.stdout, "note: %s\n", oneLine(n))
	}
	t := table.New("residual left, in parts of the source's spread", "", "", "", "positions")
	for _, b := range byBlock(r.Fit.Layers) {
		t.Add(append([]string{b.name}, b.cells...)...)
	}
	if err := t.Write(a.stdout, "  "); err != nil {
		return err
	}
	if len(r.Fit.Controls) > 0 {
		fmt.Fprintf(a.stdout, "\non %d clips held back from the fit:\n", r.Fit.Held)
		t = table.New("frames selected", "share", "source's first class", "error of scores")
		for _, k := range r.Fit.Controls {
			t.Add(k.Name, percent(k.Selected), percent(k.Top1), fmt.Sprintf("%.4f", k.Error))
		}
		if err := t.Write(a.stdout, "  "); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.stdout)
	if s := r.Cost; s != nil {
		fmt.Fprintf(a.stdout, "multiply–accumulates a clip: %s, %.3f of the source's %s\n", macs(s.AFNet), s.Ratio, macs(s.Source))
	}
	fmt.Fprintf(a.stdout, "%s: AFNet of %d frames, fitted for %s on %d clips, lowering %s, %s, in %.1f s\n",
		r.Output, r.Network.Frames, fittedFor(r.Fit), r.Fit.Clips, r.Network.Lowering, bytesText(r.Size), r.Elapsed.Seconds())
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
	for _, n := range r.Net.AllNavigation() {
		return "the schedule " + n.Fixed.String()
	}
	return "no selection"
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func macs(n float64) string { return fmt.Sprintf("%.4g G", n/1e9) }

// blockRow is the residuals of a block's layers.
type blockRow struct {
	name  string
	cells []string // three layers, and the positions of the last
}

// byBlock gathers layers under the block whose name theirs begin with.
func byBlock(layers []fit.Layer) []blockRow {
	var rows []blockRow
	for _, l := range layers {
		name := l.Name
		if i := strings.LastIndex(name, ".conv"); i >= 0 {
			name = name[:i]
		}
		if len(rows) == 0 || rows[len(rows)-1].name != name {
			rows = append(rows, blockRow{name: name, cells: make([]string, 4)})
		}
		r := &rows[len(rows)-1]
		for i := range 3 {
			if r.cells[i] == "" {
				r.cells[i] = fmt.Sprintf("%.3f", l.Residual)
				break
			}
		}
		r.cells[3] = count(l.Rows)
	}
	return rows
}

// rewriteFlags shape an AFNet with weights of a source.
func rewriteFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "frames", Usage: "frames a clip, `T` (default: the source's)"},
		&cli.IntFlag{Name: "source-frames", Usage: "frames a clip of MODEL.onnx, where its graph does not say"},
		&cli.StringFlag{Name: "navigation", Value: "uniform:0.5", Usage: "frames that are selected: uniform:R, all or none"},
		&cli.IntFlag{Name: "alpha", Value: 2, Usage: "channel reduction of the ample branch"},
		&cli.IntFlag{Name: "focal-groups", Value: 2, Usage: "groups of the focal convolutions, 1 or 2"},
		&cli.StringFlag{Name: "stride-at", Value: "fusion", Usage: "where stages halve: fusion (AFNet) or source (as MODEL.onnx has it)"},
		&cli.StringFlag{Name: "unselected", Value: "bias", Usage: "what a skipped frame answers: bias (the weights' F(0)) or zero"},
		&cli.StringFlag{Name: "target", Value: string(codegen.CPU), Usage: "where the model is to run, which chooses the lowering: " + list(codegen.Targets)},
	}
}
