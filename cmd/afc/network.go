package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/progress"
)

// recognize reads the network out of a model in canonical form. A source that
// does not say T gets it from --source-frames, or else from --frames.
func recognize(c *cli.Context, m *graph.Model) (*afblock.Network, error) {
	frames := c.Int("source-frames")
	net, err := afblock.Recognize(m, afblock.RecognizeOptions{Frames: frames})
	var no *afblock.NotRecognizedError
	if errors.As(err, &no) && no.NeedFrames && frames == 0 && c.Int("frames") > 0 {
		return afblock.Recognize(m, afblock.RecognizeOptions{Frames: c.Int("frames")})
	}
	return net, err
}

// sourceNetwork reads a plain network out of a model file and makes an AFNet of
// it: with the weights of a checkpoint if one is given, else by transplant.
func (a *app) sourceNetwork(c *cli.Context, p *progress.Reporter, path string, opt afblock.RewriteOptions) (*afblock.Network, error) {
	p.Step("reading %s", path)
	m, err := openModel(path)
	if err != nil {
		return nil, err
	}
	p.Step("recognising %s", path)
	src, err := recognize(c, m)
	if err != nil {
		return nil, err
	}
	if c.String("weights") == "" {
		return afblock.Rewrite(src, opt)
	}
	given := afblock.OptionsFrom(src)
	given.Unselected, given.StrideAt = opt.Unselected, opt.StrideAt
	if opt.Frames > 0 {
		given.Frames = opt.Frames
	}
	p.Step("reading %s", c.String("weights"))
	net, err := readWeights(c.String("weights"), given)
	if err != nil {
		return nil, err
	}
	net.Adopt(src)
	return net, nil
}

// readWeights reads a network from a checkpoint file.
func readWeights(path string, opt afblock.CheckpointOptions) (*afblock.Network, error) {
	if err := readable(path); err != nil {
		return nil, err
	}
	sd, err := afblock.ReadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	return afblock.FromStateDict(sd, opt)
}

// checkpointNetwork reads the network that a checkpoint alone describes. What
// its shapes do not say is said, or announced as a default.
func (a *app) checkpointNetwork(c *cli.Context, p *progress.Reporter, rewrite afblock.RewriteOptions) (*afblock.Network, error) {
	opt := afblock.CheckpointOptions{Frames: rewrite.Frames, Unselected: rewrite.Unselected, StrideAt: rewrite.StrideAt}
	var err error
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
	path := c.String("weights")
	p.Step("reading %s", path)
	net, err := readWeights(path, opt)
	if err == nil && len(defaults) > 0 {
		fmt.Fprintf(a.stderr, "afc: %s does not say: taking %s\n", path, strings.Join(defaults, ", "))
	}
	return net, err
}
