package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
)

func (a *app) convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "rewrite a TSN/TSM ResNet, or an AFNet checkpoint, into an AFNet in ONNX",
		UsageText: "afc convert [MODEL.onnx] [--weights CHECKPOINT] [-o AF.onnx] [flags]",
		Description: "From MODEL.onnx alone the AFNet takes the source's weights and must be fine-tuned\n" +
			"before it predicts well. From an AFNet that afc wrote, convert lowers it anew.\n" +
			"CHECKPOINT is a .pth, .pth.tar, .safetensors or .npz file of trained AFNet weights.\n" +
			"Without -o it writes MODEL.af.onnx beside what it is made of.",
		Flags: slices.Concat([]cli.Flag{
			outputFlag(),
			forceFlag(),
			externalDataFlag(),
			&cli.StringFlag{Name: "weights", Usage: "trained AFNet weights, or those of a plain ResNet to rewrite: `CHECKPOINT`"},
			&cli.StringFlag{Name: "weights-key", Usage: "take the weights under `KEY` of CHECKPOINT, such as state_dict_ema (default: state_dict)"},
		}, rewriteFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "gate-open", Usage: "open the gate fully to the focal branch"},
			&cli.StringFlag{Name: "size", Usage: "frame size `N` or HxW, with --weights alone (default: 224)"},
			&cli.BoolFlag{Name: "shift", Usage: "temporal shift (TSM), with --weights alone (default: none)"},
			&cli.IntFlag{Name: "shift-div", Value: 8, Usage: "with --shift: shift 1/`DIV` of the channels either way"},
			&cli.StringFlag{Name: "spatial", Usage: "compute only some cells of the selected frames: `GRID` cells a side, one number a module or one for all (default: whole frames)"},
			&cli.StringFlag{Name: "spatial-pattern", Usage: "with --spatial, where no trained weights choose: center:R (the share R nearest to the middle), checker or all (default: center:0.5)"},
			&cli.StringFlag{Name: "lowering", Usage: "how to write the focal branch, instead of --target's choice: " + afc.List(codegen.Lowerings)},
			&cli.StringFlag{Name: "budget", Usage: "with --lowering topk: `FRAMES` each block computes, one number or one a block"},
			&cli.StringFlag{Name: "sampling", Usage: "argmax, or gumbel to add a noise input (default: argmax)"},
			&cli.StringFlag{Name: "dial", Usage: "yes or no: an input \"margin\" by which callers choose how many frames are computed (default: no)"},
			&cli.StringFlag{Name: "outputs", Usage: "further outputs: masks"},
			inputShapesFlag(),
			jsonFlag(),
		}, formFlags(), passFlags()),
		Action: a.convert,
	}
}

func (a *app) convert(c *cli.Context) error {
	if c.NArg() > 2 {
		return usagef("convert takes MODEL.onnx and AF.onnx, got %d arguments", c.NArg())
	}
	opt, err := convertOptions(c)
	if err != nil {
		return err
	}
	if opt.Model == "" && opt.Weights == "" {
		return usagef("what to convert? Give MODEL.onnx, --weights CHECKPOINT, or both")
	}
	if opt.Output, err = outputBeside(c, c.Args().Get(1), cmp.Or(opt.Model, opt.Weights)); err != nil {
		return err
	}
	if opt.PassOptions, err = a.passOptions(c); err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	opt.Progress = p.Say
	r, err := afc.Convert(c.Context, opt)
	if err != nil {
		return err
	}
	p.Stop()
	if r.FineTune {
		fmt.Fprintf(a.stderr, "afc: %s has weights of a network that was trained without skipping: fine-tune it before it predicts well\n", r.Output)
	}
	return a.report(c, r)
}

// convertOptions reads the flags that say what to make.
func convertOptions(c *cli.Context) (afc.ConvertOptions, error) {
	opt := afc.ConvertOptions{
		Model: c.Args().Get(0), Weights: c.String("weights"), WeightsKey: c.String("weights-key"),
		ExternalData: c.Bool("external-data"), InputShapes: c.StringSlice("input-shapes"),
		Navigation: c.String("navigation"), StrideAt: c.String("stride-at"), GateOpen: c.Bool("gate-open"),
		SpatialPattern: c.String("spatial-pattern"),
		Unselected:     c.String("unselected"), Sampling: c.String("sampling"),
		Lowering: codegen.Lowering(c.String("lowering")), Target: codegen.Target(c.String("target")), Form: form(c),
	}
	for name, to := range map[string]*int{
		"frames": &opt.Frames, "source-frames": &opt.SourceFrames, "alpha": &opt.Alpha, "focal-groups": &opt.FocalGroups,
	} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	if c.Bool("shift") {
		if err := positive(c, "shift-div", &opt.ShiftDiv); err != nil {
			return opt, err
		}
	} else if c.IsSet("shift-div") {
		return opt, usagef("--shift-div goes with --shift")
	}
	var err error
	if opt.Size, err = frameSize(c.String("size")); err != nil {
		return opt, err
	}
	if opt.Budget, err = intList("budget", c.String("budget")); err != nil {
		return opt, err
	}
	if opt.Spatial, err = intList("spatial", c.String("spatial")); err != nil {
		return opt, err
	}
	if opt.Dial, err = yes(c, "dial"); err != nil {
		return opt, err
	}
	if c.IsSet("outputs") {
		opt.Outputs = []string{}
		if name := c.String("outputs"); name != "" {
			opt.Outputs = []string{name}
		}
	}
	return opt, nil
}
