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
	switch c.String("stride-at") {
	case "fusion":
		opt.StrideAt = afblock.StrideFusion
	case "source":
		opt.StrideAt = afblock.StrideSource
	default:
		return opt, usagef("--stride-at %s: expected fusion or source", c.String("stride-at"))
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
	opt := codegen.Options{Target: codegen.Target(c.String("target"))}
	if !slices.Contains(codegen.Targets, opt.Target) {
		return opt, usagef("--target %s: expected one of %s", opt.Target, list(codegen.Targets))
	}
	if l := codegen.Lowering(c.String("lowering")); l != "" {
		if !slices.Contains(codegen.Lowerings, l) {
			return opt, usagef("--lowering %s: expected one of %s", l, list(codegen.Lowerings))
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
	switch {
	case opt.Lowering == codegen.TopK && budget == "":
		return opt, usagef("--lowering topk needs --budget FRAMES")
	case opt.Lowering != codegen.TopK && opt.Lowering != "" && budget != "":
		return opt, usagef("--budget is for --lowering topk, not %s", opt.Lowering)
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
