package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
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
				UsageText: "afc flops estimate MODEL.onnx [flags]",
				Description: "Counts are for one clip. A model that is no TSN/TSM ResNet is counted by operator, for\n" +
					"one run. --ratio takes shares of selected frames, a column each (0.25,0.5,1), or one\n" +
					"column of blocks by name, with the rest (layer1=0.3,layer2.refine_module.0=0.5,rest=1).",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "ratio", Value: "0.25,0.5,1", Usage: "`SHARES` of frames that blocks select"},
					&cli.StringFlag{Name: "frames", Usage: "frames a clip, a list: `8,12,16`"},
					&cli.IntFlag{Name: "source-frames", Usage: "frames a clip of MODEL.onnx, where its graph does not say"},
					&cli.StringFlag{Name: "size", Usage: "frame sizes, a list: `224,256` or 180x320"},
					&cli.StringFlag{Name: "convention", Value: "mac", Usage: "mac (multiply–accumulates), flop (2 × MAC + elementwise) or authors (the AFNet authors' counter)"},
					&cli.StringFlag{Name: "by", Value: "stage", Usage: "rows: stage, block or operator"},
					&cli.StringFlag{Name: "lowering", Usage: "add what this lowering executes: " + list(codegen.Lowerings)},
					&cli.StringFlag{Name: "budget", Usage: "with --lowering topk: `FRAMES` each block computes"},
					&cli.StringFlag{Name: "stride-at", Value: "fusion", Usage: "where the AFNet's stages halve: fusion or source"},
					&cli.IntFlag{Name: "alpha", Value: 2, Usage: "channel reduction of the ample branch"},
					&cli.IntFlag{Name: "focal-groups", Value: 2, Usage: "groups of the focal convolutions, 1 or 2"},
					&cli.StringFlag{Name: "plot", Usage: "draw the stages' costs as stacked bars into `FILE.svg`"},
					inputShapesFlag(),
					&cli.BoolFlag{Name: "csv", Usage: "print CSV on standard output"},
					jsonFlag(),
				},
				Action: func(c *cli.Context) error { return a.flopsEstimate(c) },
			},
			{
				Name:      "measure",
				Usage:     "run clips through an AFNet and count what it really selected",
				UsageText: "afc flops measure AF.onnx [flags]",
				Flags:     runFlags(),
				Action:    func(c *cli.Context) error { return a.guarded(c, measureOptions, a.flopsMeasure) },
			},
		},
	}
}

// ratioColumn is one answer to "how many frames does each block select?".
type ratioColumn struct {
	name   string
	ratios []float64 // in network order
}

// ratioColumns reads --ratio for the focal blocks of a network, and adds the
// ends of the range, none and all.
func ratioColumns(spec string, blocks []codegen.FocalNames) ([]ratioColumn, error) {
	if strings.Contains(spec, "=") {
		ratios, err := namedRatios(spec, blocks)
		if err != nil {
			return nil, err
		}
		return []ratioColumn{sameRatio(0, blocks), {"at ratios", ratios}, sameRatio(1, blocks)}, nil
	}
	shares := []float64{0, 1}
	for s := range strings.SplitSeq(spec, ",") {
		r, err := parseRatio(spec, s)
		if err != nil {
			return nil, err
		}
		shares = append(shares, r)
	}
	slices.Sort(shares)
	var columns []ratioColumn
	for _, r := range slices.Compact(shares) {
		columns = append(columns, sameRatio(r, blocks))
	}
	return columns, nil
}

func sameRatio(r float64, blocks []codegen.FocalNames) ratioColumn {
	name := strconv.FormatFloat(100*r, 'g', 4, 64) + " %"
	switch r {
	case 0:
		name = "none"
	case 1:
		name = "all"
	}
	return ratioColumn{name, slices.Repeat([]float64{r}, len(blocks))}
}

func parseRatio(spec, s string) (float64, error) {
	r, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(r >= 0 && r <= 1) {
		return 0, usagef("--ratio %s: expected shares from 0 to 1, such as 0.25,0.5, found %q", spec, s)
	}
	return r, nil
}

// namedRatios reads BLOCK=R,…: a block or a stage by name, or the rest.
func namedRatios(spec string, blocks []codegen.FocalNames) ([]float64, error) {
	ratios := slices.Repeat([]float64{-1}, len(blocks))
	rest := 1.0
	for part := range strings.SplitSeq(spec, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		r, err := parseRatio(spec, value)
		if err != nil {
			return nil, err
		}
		if name == "rest" {
			rest = r
			continue
		}
		found := false
		for i, b := range blocks {
			if b.Name == name || strings.HasPrefix(b.Name, name+".") {
				ratios[i], found = r, true
			}
		}
		if !found {
			names := make([]string, len(blocks))
			for i, b := range blocks {
				names[i] = b.Name
			}
			return nil, usagef("--ratio %s: no block or stage %q; there are %s", spec, name, strings.Join(names, ", "))
		}
	}
	for i, r := range ratios {
		if r < 0 {
			ratios[i] = rest
		}
	}
	return ratios, nil
}

// intList reads "8,12,16"; "" is no list.
func intList(flag, spec string) ([]int, error) {
	var list []int
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, usagef("--%s %s: expected numbers from 1, such as 8,12,16", flag, spec)
		}
		list = append(list, n)
	}
	return list, nil
}

// sizeList reads "224,180x320"; "" is no list.
func sizeList(spec string) ([][2]int, error) {
	var list [][2]int
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		size, err := frameSize(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		list = append(list, size)
	}
	return list, nil
}

// conventionText says what a convention counts.
func conventionText(c afblock.Convention) string {
	switch c {
	case afblock.CountFLOPs:
		return "flop: 2 × multiply–accumulates + 1 for each element that anything else makes"
	case afblock.CountAuthors:
		return "authors: the counter of the AFNet authors' code (pools 9·C·H·W, nothing for BN and ReLU)"
	}
	return "mac: multiply–accumulates of convolutions and linear layers, which papers call FLOPs"
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
