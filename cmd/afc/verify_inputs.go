package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/internal/progress"
)

// inputFlags say which clips a command runs models on, if not random ones.
func inputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "input", Usage: "clips from `FILE`.npy or .npz, as the network takes them, with \"labels\" if it has them"},
		&cli.StringFlag{Name: "videos", Usage: "clips under `DIR`: frames CLASS/VIDEO/img_00001.jpg, or files CLASS/VIDEO.mp4, .avi, .webm, .mkv; or one such file"},
		&cli.StringFlag{Name: "list", Usage: "with --videos: `FILE` of lines \"path frames label\", of files \"path label\"; or Kinetics' csv, Something-Something's or ActivityNet's json"},
		&cli.StringFlag{Name: "labels", Usage: "with such a data set's list: numbers of classes, `FILE`.json of name: number, or a name a line (default: by the alphabet)"},
		&cli.StringFlag{Name: "subset", Usage: "with such a data set's list: `NAME` of the part to take, as in validation"},
		&cli.BoolFlag{Name: "list-offset", Usage: "with --list: lines are \"path offset frames label\""},
		&cli.BoolFlag{Name: "list-anywhere", Usage: "with --list: lines may lead out of the folder of videos"},
		&cli.StringFlag{Name: "template", Value: clips.FrameTemplate, Usage: "with --videos: `NAME` of a frame, img_%05d.jpg or img_{:05}.jpg"},
		&cli.IntFlag{Name: "first-frame", Usage: "with --videos: `NUMBER` of a video's first frame (default: 1, or 0 where there is one)"},
		&cli.IntFlag{Name: "clips-per-video", Usage: "with --videos: mean of scores over `N` clips of each, 2 as TSM's twice_sample (default: 1, or 10 with --dense)"},
		&cli.IntFlag{Name: "crops", Value: 1, Usage: "with --videos: mean of scores over `N` crops, 1, 3, 5 or 10"},
		&cli.BoolFlag{Name: "dense", Usage: "with --videos: clips from windows of 64 frames, as TSM's dense_sample"},
		&cli.BoolFlag{Name: "strict", Usage: "with video files: fail at one that is missing or damaged (default: leave it out and say so)"},
		&cli.IntFlag{Name: "scale", Usage: "with --videos: resize the shorter side to `N` before the crop (default: 256/224 of the crop)"},
		&cli.StringFlag{Name: "mean", Usage: "with --videos: `R,G,B` subtracted, of 0 to 255 (default: ImageNet's)"},
		&cli.StringFlag{Name: "std", Usage: "with --videos: `R,G,B` divided by (default: ImageNet's)"},
		&cli.BoolFlag{Name: "bgr", Usage: "with --videos: channels in the order B, G, R"},
	}
}

// ofVideos are the flags that say how --videos are read.
var ofVideos = []string{"list", "first-frame", "clips-per-video", "crops", "dense", "strict", "scale", "mean", "std", "bgr", "template"}

// givenClips reads inputFlags.
func givenClips(c *cli.Context) (opt afc.Clips, err error) {
	opt = afc.Clips{Input: c.String("input"), Videos: c.String("videos")}
	read := &opt.Read
	read.List, read.Labels, read.Subset, read.Template = c.String("list"), c.String("labels"), c.String("subset"), c.String("template")
	read.Offset, read.Anywhere = c.Bool("list-offset"), c.Bool("list-anywhere")
	read.Dense, read.Strict = c.Bool("dense"), c.Bool("strict")
	if c.IsSet("first-frame") {
		first := c.Int("first-frame")
		if first < 0 {
			return opt, usagef("--first-frame %d: expected 0 or more", first)
		}
		read.First = &first
	}
	if opt.Input != "" && opt.Videos != "" {
		return opt, usagef("--input and --videos both give clips: choose one")
	}
	if err := refuseFlags(c, opt.Videos == "", "it goes with --videos", ofVideos); err != nil {
		return opt, err
	}
	if err := refuseFlags(c, read.List == "", "it goes with --list", []string{"list-offset", "list-anywhere", "labels", "subset"}); err != nil {
		return opt, err
	}
	for name, to := range map[string]*int{"clips-per-video": &read.Clips, "crops": &read.Crops} {
		if err := positive(c, name, to); err != nil {
			return opt, err
		}
	}
	if c.IsSet("mean") != c.IsSet("std") {
		return opt, usagef("--mean and --std go together")
	}
	pre := &read.Preprocessing
	pre.BGR = c.Bool("bgr")
	if err := positive(c, "scale", &pre.Scale); err != nil {
		return opt, err
	}
	if pre.Mean, err = triple(c, "mean"); err != nil {
		return opt, err
	}
	pre.Std, err = triple(c, "std")
	return opt, err
}

// clipOptions reads inputFlags, and those of random clips.
func clipOptions(c *cli.Context) (afc.Clips, error) {
	opt, err := givenClips(c)
	if err != nil {
		return opt, err
	}
	given := opt.Input != "" || opt.Videos != ""
	if err := refuseFlags(c, given, "it is about random clips, and others are given", []string{"clips", "seed", "dist"}); err != nil {
		return opt, err
	}
	opt.Random.Seed = c.Uint64("seed")
	if opt.Random.Distribution, err = distribution(c); err != nil {
		return opt, err
	}
	return opt, positive(c, "clips", &opt.Random.Count)
}

func distribution(c *cli.Context) (clips.Distribution, error) {
	dist := clips.Distribution(c.String("dist"))
	if dist != clips.Normal && dist != clips.Uniform {
		return dist, usagef("--dist %s: expected %s or %s", dist, clips.Normal, clips.Uniform)
	}
	return dist, nil
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

// mostBroken is how many videos that cannot be used are named; of more, the
// report says how many there are.
const mostBroken = 100

// tellBroken names videos that cannot be used.
func tellBroken(p *progress.Reporter) func(clips.Broken) {
	n := 0
	return func(b clips.Broken) {
		switch n++; {
		case n <= mostBroken:
			p.Note("afc: " + b.String())
		case n == mostBroken+1:
			p.Note("afc: … and others, which are counted with the clips")
		}
	}
}
