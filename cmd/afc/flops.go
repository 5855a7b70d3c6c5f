package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
)

func (a *app) flopsCommand() *cli.Command {
	return &cli.Command{
		Name:  "flops",
		Usage: "count what a model costs, and what its AFNet costs or will cost",
		Subcommands: []*cli.Command{
			{
				Name:      "estimate",
				Usage:     "count from shapes: a source, its AFNet at ratios of selected frames, or any ONNX model",
				UsageText: "afc flops estimate MODEL.onnx [flags]\nafc flops estimate --arch NAME [flags]",
				Description: "Counts are for one clip. A model that is no TSN/TSM ResNet is counted by operator, for\n" +
					"one run. --ratio takes shares of selected frames, a column each (0.25,0.5,1), or one\n" +
					"column of blocks by name, with the rest (layer1=0.3,layer2.refine_module.0=0.5,rest=1).",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "arch", Usage: "count the network of this `NAME`, without a file: " + afc.List(afc.Architectures())},
					&cli.StringFlag{Name: "ratio", Usage: "`SHARES` of frames that blocks select (default: 0.25,0.5,1)"},
					&cli.StringFlag{Name: "frames", Usage: "frames a clip, a list: `8,12,16`"},
					sourceFramesFlag(),
					&cli.StringFlag{Name: "size", Usage: "frame sizes, a list: `224,256` or 180x320"},
					&cli.StringFlag{Name: "convention", Usage: "mac (multiply–accumulates), flop (2 × MAC + elementwise) or authors (the AFNet authors' counter) (default: mac)"},
					&cli.StringFlag{Name: "by", Usage: "rows: stage, block or operator (default: stage)"},
					&cli.StringFlag{Name: "lowering", Usage: "add what this lowering executes: " + afc.List(codegen.Lowerings)},
					&cli.StringFlag{Name: "budget", Usage: "with --lowering topk: `FRAMES` each block computes"},
					&cli.StringFlag{Name: "stride-at", Usage: "where the AFNet's stages halve: fusion or source (default: fusion)"},
					&cli.IntFlag{Name: "alpha", Usage: "channel reduction of the ample branch (default: 2)"},
					&cli.IntFlag{Name: "focal-groups", Usage: "groups of the focal convolutions, 1 or 2 (default: 2)"},
					&cli.StringFlag{Name: "plot", Usage: "draw the stages' costs as stacked bars into `FILE.svg`"},
					inputShapesFlag(),
					&cli.BoolFlag{Name: "csv", Usage: "print CSV on standard output"},
					jsonFlag(),
				},
				Action: a.flopsEstimate,
			},
			{
				Name:      "measure",
				Usage:     "run clips through an AFNet and count what it really selected",
				UsageText: "afc flops measure AF.onnx [flags]",
				Flags: append(runFlags(),
					&cli.StringFlag{Name: "margins", Usage: "of an AFNet with a dial: what to give it, as in -0.25,0.25 (default: a half and a quarter either way)"}),
				Action: func(c *cli.Context) error { return guarded(a, c, measureOptions, a.flopsMeasure) },
			},
		},
	}
}

// ratios reads --ratio: shares, or shares by block.
func ratios(spec string) ([]afc.Ratio, error) {
	var list []afc.Ratio
	if spec == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(spec, ",") {
		block, share, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			block, share = "", block
		}
		r, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		if err != nil || !(r >= 0 && r <= 1) || named && block == "" {
			return nil, usagef("--ratio %s: expected shares from 0 to 1, such as 0.25,0.5 or layer1=0.5,rest=1; found %q", spec, part)
		}
		list = append(list, afc.Ratio{Block: block, Share: r})
		if (list[0].Block == "") != (block == "") {
			return nil, usagef("--ratio %s: expected shares alone or all with blocks; the others are rest=SHARE", spec)
		}
	}
	return list, nil
}

// unit is what counts are printed in, so that small networks show digits too.
type unit struct {
	size   float64
	letter string
	power  string
}

func unitFor(largest float64) unit {
	if largest < 1e9 {
		return unit{1e6, "M", "10⁶"}
	}
	return unit{1e9, "G", "10⁹"}
}

// text prints a count in the unit, with the digits that tell.
func (u unit) text(v float64) string {
	switch x := v / u.size; {
	case x >= 100 || x == 0:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	default:
		return fmt.Sprintf("%.4f", x)
	}
}
