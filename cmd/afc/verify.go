package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "prove on ONNX Runtime that an AFNet computes what it should, and time it",
		UsageText: "afc verify [SOURCE.onnx] AF.onnx [flags]\n       afc verify --same A.onnx B.onnx [flags]",
		Description: "Without SOURCE.onnx the AFNet is held to its own mask lowering alone. Every check is a\n" +
			"row: pass, fail or skipped with the reason. Exit code 1 says that one failed.\n" +
			"Checks: " + strings.Join(verify.CheckNames(), ", ") + ".",
		Flags: append(append(runFlags(), sameFlags()...),
			&cli.StringSliceFlag{Name: "only", Usage: "run `CHECKS` alone, as in load,reference"},
			&cli.StringSliceFlag{Name: "skip", Usage: "leave out `CHECKS`"},
			&cli.IntFlag{Name: "rounds", Value: 9, Usage: "timed rounds of the latency check"},
			&cli.Float64Flag{Name: "min-top1", Usage: "fail below this part of clips with the source's first class"},
			&cli.StringFlag{Name: "report", Usage: "write the report as a web page to `FILE`.html too"},
		),
		Action: func(c *cli.Context) error { return a.guarded(c, verifyOptions, a.verify) },
	}
}

// runFlags are the flags of commands that run models.
func runFlags() []cli.Flag {
	return append(inputFlags(),
		&cli.IntFlag{Name: "clips", Value: 4, Usage: "random clips to run"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of random clips"},
		&cli.StringFlag{Name: "dist", Value: "normal", Usage: "random pixels: normal or uniform"},
		&cli.IntFlag{Name: "batch", Value: 2, Usage: "clips at once, where the model takes any number"},
		&cli.IntFlag{Name: "source-frames", Usage: "frames a clip of SOURCE.onnx, where its graph does not say"},
		&cli.StringFlag{Name: "provider", Value: "cpu", Usage: strings.Join(ort.Providers, ", ") + "; options as in cuda:device_id=1"},
		&cli.BoolFlag{Name: "allow-fallback", Usage: "let nodes the provider cannot run fall back to the CPU, and list them"},
		&cli.IntFlag{Name: "threads", Usage: "threads of one run (default: one a core)"},
		&cli.DurationFlag{Name: "timeout", Usage: "give up after this time, as in 5m"},
		jsonFlag(),
	)
}

// verifyOptions reads verify's flags and arguments.
func verifyOptions(c *cli.Context) (verify.Options, error) {
	opt, err := runOptions(c)
	if err != nil {
		return opt, err
	}
	opt.Rounds, opt.MinTop1 = c.Int("rounds"), c.Float64("min-top1")
	opt.Only, opt.Skip = names(c, "only"), names(c, "skip")
	for _, name := range slices.Concat(opt.Only, opt.Skip) {
		if !slices.Contains(verify.CheckNames(), name) {
			return opt, usagef("no check %q; there are %s", name, strings.Join(verify.CheckNames(), ", "))
		}
	}
	if opt.Rounds < 0 {
		return opt, usagef("--rounds: expected a positive number")
	}
	if opt.MinTop1 < 0 || opt.MinTop1 > 1 {
		return opt, usagef("--min-top1 %g: expected a part of the clips, 0 to 1", opt.MinTop1)
	}
	for _, name := range []string{"atol", "rtol", "iterations", "bisect"} {
		if c.IsSet(name) && !c.Bool("same") {
			return opt, usagef("--%s goes with --same", name)
		}
	}
	switch {
	case c.Bool("same") && c.NArg() != 2:
		return opt, usagef("verify --same takes two models, got %d arguments", c.NArg())
	case c.NArg() != 1 && c.NArg() != 2:
		return opt, usagef("verify takes [SOURCE.onnx] AF.onnx, got %d arguments", c.NArg())
	}
	for _, path := range c.Args().Slice() {
		if err := readable(path); err != nil {
			return opt, err
		}
	}
	if report := c.String("report"); report != "" { // beside what a model has outside its file, which is openModel's
		return opt, writable(report, append(c.Args().Slice(), c.String("input"), c.String("list"))...)
	}
	return opt, nil
}

func (a *app) verify(c *cli.Context, opt verify.Options) error {
	if c.Bool("same") {
		return a.verifySame(c, opt)
	}
	var source string
	path := c.Args().Get(c.NArg() - 1)
	if c.NArg() == 2 {
		source = c.Args().First()
	}
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", path)
	s, err := subjectOf(path, c.String("report"))
	if err != nil {
		return err
	}
	if err := givenVideos(c, s, &opt); err != nil {
		return err
	}
	if source != "" {
		p.Step("reading %s", source)
		if s.Source, err = openModel(source, c.String("report")); err != nil {
			return err
		}
		s.SourceFrames = clipsOf(source, c.Int("source-frames")).frames
	}
	opt.Resident = []string{residentName}
	opt.Progress = func(check string, done, total int) { p.Step("check %d of %d: %s", done+1, total, check) }
	report, err := verify.Verify(c.Context, s, opt)
	if err != nil {
		return err
	}
	p.Stop()
	return a.verdict(c, report, path)
}

// runOptions reads runFlags.
func runOptions(c *cli.Context) (verify.Options, error) {
	opt := verify.Options{Batch: c.Int("batch"), Threads: c.Int("threads")}
	if err := checkInputFlags(c); err != nil {
		return opt, err
	}
	dist := clips.Distribution(c.String("dist"))
	switch {
	case dist != clips.Normal && dist != clips.Uniform:
		return opt, usagef("--dist %s: expected %s or %s", dist, clips.Normal, clips.Uniform)
	case c.Int("clips") < 1 || opt.Batch < 1:
		return opt, usagef("--clips and --batch: expected 1 or more")
	case opt.Threads < 0:
		return opt, usagef("--threads: expected a positive number")
	case c.Duration("timeout") < 0:
		return opt, usagef("--timeout %v: expected a positive time", c.Duration("timeout"))
	}
	opt.Videos = clips.Random{Count: c.Int("clips"), Seed: c.Uint64("seed"), Distribution: dist}
	provider, err := ort.ParseProvider(c.String("provider"))
	if err != nil {
		return opt, usagef("%v", err)
	}
	provider.AllowFallback = c.Bool("allow-fallback")
	opt.Provider = provider
	return opt, nil
}

// subjectOf reads what there is to verify about a file; outputs as in openModel.
func subjectOf(path string, outputs ...string) (*verify.Subject, error) {
	m, err := openModel(path, outputs...)
	if err != nil {
		return nil, err
	}
	s := &verify.Subject{Model: m, Path: path}
	if !compiled.Is(m) {
		clips := clipsOf(path, 0)
		s.Frames, s.Channels = clips.frames, clips.channels
		return s, nil
	}
	net, file, err := compiled.ReadModel(m)
	if err != nil {
		return nil, err
	}
	s.Lowering, s.Budget = file.Lowering, file.Budget
	s.Channels = net.Stem.Conv.In()
	s.Frames, s.Size, s.FineTune, s.Probabilities = net.Frames, net.Size, net.FineTune, net.Head.Softmax
	for _, b := range codegen.FocalBlocks(net) {
		s.Blocks = append(s.Blocks, verify.FocalBlock(b))
	}
	s.Reference = func(masksIn bool) (*graph.Model, error) {
		m, _, err := codegen.Lower(net, codegen.Options{Lowering: codegen.Mask, MasksInput: masksIn, MasksOutput: true})
		return m, err
	}
	s.Identity = func() (*graph.Model, error) {
		all, err := net.AllFocal()
		if err != nil {
			return nil, &verify.InapplicableError{Reason: err.Error()}
		}
		m, _, err := codegen.Lower(all, codegen.Options{Lowering: codegen.Mask})
		return m, err
	}
	return s, nil
}

// clipFacts is what recognition says of the clips a model takes.
type clipFacts struct {
	frames   int  // 0: it is for the model's input to say
	channels int  // 3 where recognition says nothing
	folded   bool // frames are rows of the batch
}

// clipsOf says what clips a model file takes that afc did not write. Given
// frames decide. What is not recognised can be verified too.
func clipsOf(path string, frames int) clipFacts {
	given := clipFacts{frames: frames, channels: 3}
	m, err := openModel(path)
	if err != nil {
		return given
	}
	defer m.Close()
	if err := passes.Canonicalize(m); err != nil {
		return given
	}
	net, err := recognize.Network(m, recognize.Options{Frames: frames})
	if err != nil {
		return given
	}
	return clipFacts{net.Frames, net.Stem.Conv.In(), net.Shell.Clip().Segments == 0}
}
