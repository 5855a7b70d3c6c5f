package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/progress"
	"github.com/afc-project/afc/passes"
)

func (a *app) convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "rewrite a TSN/TSM ResNet, or an AFNet checkpoint, into an AFNet in ONNX",
		UsageText: "afc convert [MODEL.onnx] [--weights CHECKPOINT] -o AF.onnx [flags]",
		Description: "From MODEL.onnx alone the AFNet takes the source's weights and must be fine-tuned\n" +
			"before it predicts well. From an AFNet that afc wrote, convert lowers it anew.\n" +
			"CHECKPOINT is a .pth, .pth.tar, .safetensors or .npz file of trained AFNet weights.",
		Flags: append([]cli.Flag{
			outputFlag(),
			externalDataFlag(),
			&cli.StringFlag{Name: "weights", Usage: "trained AFNet weights, or those of a plain ResNet to rewrite: `CHECKPOINT`"},
			&cli.IntFlag{Name: "frames", Usage: "frames a clip, `T` (default: the source's)"},
			&cli.IntFlag{Name: "source-frames", Usage: "frames a clip of MODEL.onnx, where its graph does not say"},
			&cli.StringFlag{Name: "navigation", Value: "uniform:0.5", Usage: "frames that transplanted weights select: uniform:R, all or none"},
			&cli.IntFlag{Name: "alpha", Value: 2, Usage: "channel reduction of the ample branch"},
			&cli.IntFlag{Name: "focal-groups", Value: 2, Usage: "groups of the focal convolutions, 1 or 2"},
			&cli.StringFlag{Name: "stride-at", Value: "fusion", Usage: "where stages halve: fusion (AFNet) or source (as MODEL.onnx has it)"},
			&cli.BoolFlag{Name: "gate-open", Usage: "open the gate fully to the focal branch"},
			&cli.StringFlag{Name: "size", Usage: "frame size `N` or HxW, with --weights alone (default: 224)"},
			&cli.BoolFlag{Name: "shift", Usage: "temporal shift (TSM), with --weights alone (default: none)"},
			&cli.IntFlag{Name: "shift-div", Value: 8, Usage: "shift 1/`DIV` of the channels either way"},
			&cli.StringFlag{Name: "lowering", Usage: "how to write the focal branch, instead of --target's choice: " + list(codegen.Lowerings)},
			&cli.StringFlag{Name: "target", Value: string(codegen.CPU), Usage: "where the model is to run, which chooses the lowering: " + list(codegen.Targets)},
			&cli.StringFlag{Name: "budget", Usage: "with --lowering topk: `FRAMES` each block computes, one number or one a block"},
			&cli.StringFlag{Name: "unselected", Value: "bias", Usage: "what a skipped frame answers: bias (the weights' F(0)) or zero"},
			&cli.StringFlag{Name: "sampling", Value: "argmax", Usage: "argmax, or gumbel to add a noise input"},
			&cli.StringFlag{Name: "outputs", Usage: "further outputs: masks"},
			inputShapesFlag(),
			jsonFlag(),
		}, passFlags()...),
		Action: func(c *cli.Context) error { return a.convert(c) },
	}
}

// list names choices for messages.
func list[S ~string](choices []S) string {
	names := make([]string, len(choices))
	for i, s := range choices {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func (a *app) convert(c *cli.Context) error {
	start := time.Now()
	if c.NArg() > 2 {
		return usagef("convert takes MODEL.onnx and AF.onnx, got %d arguments", c.NArg())
	}
	in, weights := c.Args().Get(0), c.String("weights")
	if in == "" && weights == "" {
		return usagef("what to convert? Give MODEL.onnx, --weights CHECKPOINT, or both")
	}
	for _, name := range []string{"size", "shift", "shift-div"} {
		if in != "" && c.IsSet(name) {
			return usagef("--%s is for --weights without a model; %s says it", name, in)
		}
	}
	out, err := outputPath(c, c.Args().Get(1), in, weights)
	if err != nil {
		return err
	}
	rewrite, err := rewriteOptions(c)
	if err != nil {
		return err
	}
	lower, err := lowerOptions(c)
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	var r rewriteReport
	if in == "" {
		r, err = a.convertCheckpoint(c, p, rewrite, lower, out)
	} else {
		r, err = a.convertModel(c, p, in, rewrite, lower, out)
	}
	if err != nil {
		return err
	}
	p.Stop()
	r.Elapsed = time.Since(start)
	if r.FineTune {
		fmt.Fprintf(a.stderr, "afc: %s has weights of a network that was trained without skipping: fine-tune it before it predicts well\n", out)
	}
	return a.report(c, r)
}

// convertModel runs the pipeline from a model file to the output.
func (a *app) convertModel(c *cli.Context, p *progress.Reporter, in string, rewrite afblock.RewriteOptions, lower codegen.Options, out string) (rewriteReport, error) {
	start := time.Now()
	p.Step("reading %s", in)
	m, err := openModel(in, out)
	if err != nil {
		return rewriteReport{}, err
	}
	if err := setInputShapes(m, c.StringSlice("input-shapes")); err != nil {
		return rewriteReport{}, err
	}
	if compiled.Is(m) {
		return a.convertAgain(c, p, m, rewrite, lower, out)
	}
	opt := a.passOptions(c)
	opt.Lower = lower
	opt.Rewrite = func(src *afblock.Network) (*afblock.Network, error) {
		if c.String("weights") == "" {
			return afblock.Rewrite(src, rewrite)
		}
		p.Step("reading %s", c.String("weights"))
		return trainedNetwork(c.String("weights"), src, rewrite)
	}
	p.Step("converting %s", in)
	result, err := convertPipeline(c, m, opt)
	if err != nil {
		return rewriteReport{}, passFailed(err)
	}
	p.Step("writing %s", out)
	signed(result.Model)
	w, err := writeModel(c.Context, result.Model, out, c.Bool("external-data"))
	if err != nil {
		return rewriteReport{}, err
	}
	r := newReport(result, out, w, start)
	if result.Network != nil {
		r.describe(result.Network, lower)
	}
	return r, nil
}

// convertPipeline runs the passes. A source that does not say T gets it from
// --source-frames, or else from --frames.
func convertPipeline(c *cli.Context, m *graph.Model, opt passes.Options) (*passes.Result, error) {
	opt.Recognize.Frames = c.Int("source-frames")
	result, err := passes.Run(passes.ToConvert, m, opt)
	var no *recognize.Error
	if errors.As(err, &no) && no.NeedFrames && opt.Recognize.Frames == 0 && c.Int("frames") > 0 {
		opt.Recognize.Frames = c.Int("frames")
		return passes.Run(passes.ToConvert, m, opt)
	}
	return result, err
}

// convertCheckpoint writes the network that a checkpoint alone describes.
func (a *app) convertCheckpoint(c *cli.Context, p *progress.Reporter, rewrite afblock.RewriteOptions, lower codegen.Options, out string) (rewriteReport, error) {
	net, err := a.checkpointNetwork(c, p, rewrite)
	if err != nil {
		return rewriteReport{}, err
	}
	return lowerTo(c, p, net, lower, out)
}

// convertAgain lowers an AFNet that afc wrote anew, with its own weights or,
// after fine-tuning, those of a checkpoint. Inputs and outputs beside clips and
// answer stay unless flags say otherwise.
func (a *app) convertAgain(c *cli.Context, p *progress.Reporter, m *graph.Model, rewrite afblock.RewriteOptions, lower codegen.Options, out string) (rewriteReport, error) {
	net, file, err := compiled.ReadModel(m)
	if err != nil {
		return rewriteReport{}, err
	}
	if !c.IsSet("outputs") {
		lower.MasksOutput = file.Masks
	}
	if !c.IsSet("sampling") {
		lower.Gumbel = file.Sampling == "gumbel"
	}
	if path := c.String("weights"); path != "" {
		sd, err := readCheckpoint(path)
		if err != nil {
			return rewriteReport{}, err
		}
		if net, err = weights.Replace(net, sd); err != nil {
			return rewriteReport{}, err
		}
	}
	if rewrite.Frames > 0 {
		if net, err = net.WithFrames(rewrite.Frames); err != nil {
			return rewriteReport{}, err
		}
	}
	if c.IsSet("unselected") {
		net.Unselected = rewrite.Unselected
	}
	before := passes.Measure(m)
	r, err := lowerTo(c, p, net, lower, out)
	r.Before = &before
	return r, err
}

// lowerTo lowers a network and writes the model.
func lowerTo(c *cli.Context, p *progress.Reporter, net *afblock.Network, lower codegen.Options, out string) (rewriteReport, error) {
	p.Step("lowering (%s)", codegen.Choose(net, lower).Lowering)
	m, err := passes.Lower(net, lower)
	if err != nil {
		return rewriteReport{}, err
	}
	if err := c.Context.Err(); err != nil {
		return rewriteReport{}, err
	}
	p.Step("writing %s", out)
	signed(m)
	w, err := writeModel(c.Context, m, out, c.Bool("external-data"))
	if err != nil {
		return rewriteReport{}, err
	}
	r := rewriteReport{Output: out, After: passes.Measure(m), Size: w.size, Data: w.data}
	r.describe(net, lower)
	return r, nil
}

// signed names afc as what made a model.
func signed(m *graph.Model) { m.ProducerName, m.ProducerVersion = "afc", version }

// describe adds what was written of a network.
func (r *rewriteReport) describe(net *afblock.Network, lower codegen.Options) {
	r.FineTune = net.FineTune
	choice := codegen.Choose(net, lower)
	r.Network = &networkFacts{Frames: net.Frames, Lowering: string(choice.Lowering), Reason: choice.Reason}
}
