package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/verify"
)

// inputFlags say which clips a command runs models on, if not random ones.
func inputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "input", Usage: "clips from `FILE`.npy or .npz, as the network takes them, with \"labels\" if it has them"},
		&cli.StringFlag{Name: "videos", Usage: "clips from frames under `DIR`: CLASS/VIDEO/img_00001.jpg"},
		&cli.StringFlag{Name: "list", Usage: "with --videos: an annotation `FILE` of lines \"path frames label\""},
		&cli.StringFlag{Name: "template", Value: clips.FrameTemplate, Usage: "with --videos: `NAME` of a frame, numbered from 1"},
		&cli.IntFlag{Name: "scale", Usage: "with --videos: resize the shorter side to `N` before the crop (default: 256/224 of the crop)"},
		&cli.StringFlag{Name: "mean", Usage: "with --videos: `R,G,B` subtracted, of 0 to 255 (default: ImageNet's)"},
		&cli.StringFlag{Name: "std", Usage: "with --videos: `R,G,B` divided by (default: ImageNet's)"},
		&cli.BoolFlag{Name: "bgr", Usage: "with --videos: channels in the order B, G, R"},
	}
}

// checkInputFlags refuses inputFlags that do not go together.
func checkInputFlags(c *cli.Context) error {
	if c.String("input") != "" && c.String("videos") != "" {
		return usagef("--input and --videos both give clips: choose one")
	}
	for _, name := range []string{"list", "scale", "mean", "std", "bgr", "template"} {
		if c.String("videos") == "" && c.IsSet(name) {
			return usagef("--%s goes with --videos", name)
		}
	}
	if c.IsSet("mean") != c.IsSet("std") {
		return usagef("--mean and --std go together")
	}
	return nil
}

// givenVideos replaces the random clips of opt by those the flags name, for a
// model.
func givenVideos(c *cli.Context, s *verify.Subject, opt *verify.Options) error {
	input, dir := c.String("input"), c.String("videos")
	if input != "" {
		arrays, err := clips.ReadArrays(input, s.Frames, s.Channels)
		if err != nil {
			return usagef("%v", err)
		}
		opt.Videos = arrays
	}
	if dir == "" {
		return nil
	}
	pre := clips.Preprocessing{Scale: c.Int("scale"), BGR: c.Bool("bgr")}
	var err error
	if pre.Mean, err = triple(c, "mean"); err != nil {
		return err
	}
	if pre.Std, err = triple(c, "std"); err != nil {
		return err
	}
	videos, err := clips.ReadFrames(dir, c.String("list"), c.String("template"), pre)
	if err != nil {
		return usagef("%v", err)
	}
	opt.Videos = videos
	return nil
}

// triple reads a flag of three numbers, zeros if it is not set.
func triple(c *cli.Context, name string) ([3]float32, error) {
	var out [3]float32
	if !c.IsSet(name) {
		return out, nil
	}
	parts := strings.Split(c.String(name), ",")
	if len(parts) != len(out) {
		return out, usagef("--%s %s: expected three numbers, as in 123.675,116.28,103.53", name, c.String(name))
	}
	for i, p := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 32)
		if err != nil || name == "std" && v <= 0 {
			return out, usagef("--%s %s: expected three numbers, as in 123.675,116.28,103.53", name, c.String(name))
		}
		out[i] = float32(v)
	}
	return out, nil
}
