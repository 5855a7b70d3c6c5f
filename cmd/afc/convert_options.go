package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/codegen"
)

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

func strideAt(c *cli.Context) (afblock.StrideAt, error) {
	switch at := c.String("stride-at"); at {
	case "fusion":
		return afblock.StrideFusion, nil
	case "source":
		return afblock.StrideSource, nil
	default:
		return 0, usagef("--stride-at %s: expected fusion or source", at)
	}
}

// rewriteOptions are the choices that shape an AFNet with transplanted weights.
func rewriteOptions(c *cli.Context) (afblock.RewriteOptions, error) {
	opt := afblock.RewriteOptions{
		Frames: c.Int("frames"), Alpha: c.Int("alpha"), Groups: c.Int("focal-groups"), GateOpen: c.Bool("gate-open"),
	}
	var err error
	if opt.Navigation, err = afblock.ParsePattern(c.String("navigation")); err != nil {
		return opt, usagef("--%v", err)
	}
	if opt.Unselected, err = unselected(c); err != nil {
		return opt, err
	}
	if opt.StrideAt, err = strideAt(c); err != nil {
		return opt, err
	}
	switch {
	case opt.Frames < 0 || c.Int("source-frames") < 0:
		return opt, usagef("a clip has at least one frame")
	case opt.Alpha < 1:
		return opt, usagef("--alpha %d: expected 1 or more", opt.Alpha)
	case opt.Groups != 1 && opt.Groups != 2:
		return opt, usagef("--focal-groups %d: expected 1 or 2", opt.Groups)
	}
	return opt, nil
}

func lowerOptions(c *cli.Context) (codegen.Options, error) {
	opt, err := loweringFlags(c)
	if err != nil {
		return opt, err
	}
	if opt.Target = codegen.Target(c.String("target")); !slices.Contains(codegen.Targets, opt.Target) {
		return opt, usagef("--target %s: expected one of %s", opt.Target, list(codegen.Targets))
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
	return opt, nil
}

// loweringFlags reads --lowering and the --budget that goes with topk.
func loweringFlags(c *cli.Context) (codegen.Options, error) {
	opt := codegen.Options{Lowering: codegen.Lowering(c.String("lowering"))}
	if opt.Lowering != "" && !slices.Contains(codegen.Lowerings, opt.Lowering) {
		return opt, usagef("--lowering %s: expected one of %s", opt.Lowering, list(codegen.Lowerings))
	}
	budget, err := intList("budget", c.String("budget"))
	if err != nil {
		return opt, err
	}
	switch {
	case opt.Lowering == codegen.TopK && budget == nil:
		return opt, usagef("--lowering topk needs --budget FRAMES")
	case opt.Lowering != codegen.TopK && opt.Lowering != "" && budget != nil:
		return opt, usagef("--budget is for --lowering topk, not %s", opt.Lowering)
	}
	opt.Budget = budget
	return opt, nil
}
