package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/internal/progress"
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
	if c.Args().Present() || c.String("weights") == "" {
		return usagef("convert takes --weights CHECKPOINT; see %s --help", c.Command.HelpName)
	}
	out, err := outputPath(c, "", c.String("weights"))
	if err != nil {
		return err
	}
	lower, err := lowerOptions(c)
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	net, err := a.checkpointNetwork(c, p)
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
	_, err = fmt.Fprintf(a.stdout, "%s: AFNet, %d frames, lowering %s, %d nodes, %s\n", out, net.Frames, lower.Lowering, m.Graph.NumNodes(), bytesText(size))
	return err
}

// checkpointNetwork reads the network that a checkpoint alone describes. What
// its shapes do not say is said, or announced as a default.
func (a *app) checkpointNetwork(c *cli.Context, p *progress.Reporter) (*afblock.Network, error) {
	path := c.String("weights")
	if err := readable(path); err != nil {
		return nil, err
	}
	opt := afblock.CheckpointOptions{Frames: c.Int("frames")}
	var err error
	if opt.Unselected, err = unselected(c); err != nil {
		return nil, err
	}
	if opt.Size, err = frameSize(c.String("size")); err != nil {
		return nil, err
	}
	if c.Bool("shift") {
		opt.ShiftDiv = c.Int("shift-div")
	}
	var defaults []string
	if opt.Size[0] == 0 {
		opt.Size = [2]int{224, 224}
		defaults = append(defaults, "frames of 224×224 (--size)")
	}
	if !c.IsSet("shift") {
		defaults = append(defaults, "no temporal shift (--shift)")
	}
	p.Step("reading %s", path)
	sd, err := afblock.ReadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	net, err := afblock.FromStateDict(sd, opt)
	if err == nil && len(defaults) > 0 {
		fmt.Fprintf(a.stderr, "afc: %s does not say: taking %s\n", path, strings.Join(defaults, ", "))
	}
	return net, err
}

func unselected(c *cli.Context) (afblock.Unselected, error) {
	for _, u := range []afblock.Unselected{afblock.UnselectedBias, afblock.UnselectedZero} {
		if c.String("unselected") == u.String() {
			return u, nil
		}
	}
	return 0, usagef("--unselected %s: expected bias or zero", c.String("unselected"))
}

// frameSize reads "N" or "HxW"; "" is no size.
func frameSize(s string) ([2]int, error) {
	if s == "" {
		return [2]int{}, nil
	}
	h, w, two := strings.Cut(s, "x")
	if !two {
		w = h
	}
	hn, herr := strconv.Atoi(h)
	wn, werr := strconv.Atoi(w)
	if herr != nil || werr != nil || hn < 1 || wn < 1 {
		return [2]int{}, usagef("--size %s: expected N or HxW, such as 224 or 180x320", s)
	}
	return [2]int{hn, wn}, nil
}

func lowerOptions(c *cli.Context) (codegen.Options, error) {
	opt := codegen.Options{Lowering: codegen.Mask}
	if l := codegen.Lowering(c.String("lowering")); l != "" {
		if !slices.Contains(codegen.Lowerings, l) {
			return opt, usagef("--lowering %s: expected one of %s", l, lowerings())
		}
		opt.Lowering = l
	}
	switch c.String("outputs") {
	case "":
	case "masks":
		opt.MasksOutput = true
	default:
		return opt, usagef("--outputs %s: expected masks", c.String("outputs"))
	}
	switch c.String("sampling") {
	case "argmax":
	case "gumbel":
		opt.Gumbel = true
	default:
		return opt, usagef("--sampling %s: expected argmax or gumbel", c.String("sampling"))
	}
	budget := c.String("budget")
	if (opt.Lowering == codegen.TopK) != (budget != "") {
		return opt, usagef("--lowering topk and --budget go together")
	}
	if budget != "" {
		for f := range strings.SplitSeq(budget, ",") {
			n, err := strconv.Atoi(f)
			if err != nil || n < 1 {
				return opt, usagef("--budget %s: expected a number of frames, or one a block, as in 4,4,2", budget)
			}
			opt.Budget = append(opt.Budget, n)
		}
	}
	return opt, nil
}

// bytesText writes a size as people say it.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
