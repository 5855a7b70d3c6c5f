package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
)

func (a *app) convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "rewrite a TSN/TSM ResNet, or an AFNet checkpoint, into an AFNet in ONNX",
		UsageText: "afc convert [MODEL.onnx] [--weights CHECKPOINT] -o AF.onnx [flags]",
		Description: "From MODEL.onnx alone the AFNet takes the source's weights and must be fine-tuned\n" +
			"before it predicts well. From an AFNet that afc wrote, convert lowers it anew.\n" +
			"CHECKPOINT is a .pth, .pth.tar, .safetensors or .npz file of trained AFNet weights.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "weights", Usage: "trained AFNet weights: `CHECKPOINT`"},
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
			&cli.StringFlag{Name: "lowering", Usage: "how to write the focal branch: " + lowerings()},
			&cli.StringFlag{Name: "budget", Usage: "with --lowering topk: `FRAMES` each block computes, one number or one a block"},
			&cli.StringFlag{Name: "unselected", Value: "bias", Usage: "what a skipped frame answers: bias (the weights' F(0)) or zero"},
			&cli.StringFlag{Name: "sampling", Value: "argmax", Usage: "argmax, or gumbel to add a noise input"},
			&cli.StringFlag{Name: "outputs", Usage: "further outputs: masks"},
		},
		Action: func(c *cli.Context) error { return a.convert(c) },
	}
}

func lowerings() string {
	names := make([]string, len(codegen.Lowerings))
	for i, l := range codegen.Lowerings {
		names[i] = string(l)
	}
	return strings.Join(names, ", ")
}

func (a *app) convert(c *cli.Context) error {
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
	var net *afblock.Network
	if in == "" {
		net, err = a.checkpointNetwork(c, p, rewrite)
	} else {
		net, err = a.sourceNetwork(c, p, in, rewrite)
	}
	if err != nil {
		return err
	}
	p.Step("lowering (%s)", lower.Lowering)
	m, err := codegen.Lower(net, lower)
	if err != nil {
		return err
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	p.Step("writing %s", out)
	size, err := writeModel(c.Context, m, out)
	if err != nil {
		return err
	}
	p.Stop()
	if net.FineTune {
		fmt.Fprintf(a.stderr, "afc: %s took its weights from a network that was trained without skipping: fine-tune it before it predicts well\n", out)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: AFNet, %d frames, lowering %s, %d nodes, %s\n", out, net.Frames, lower.Lowering, m.Graph.NumNodes(), bytesText(size))
	return err
}
