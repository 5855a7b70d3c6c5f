package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/internal/progress"
)

// trainedNetwork reads a checkpoint for the place of a recognised network.
func trainedNetwork(path string, src *afblock.Network, opt afblock.RewriteOptions) (*afblock.Network, error) {
	given := afblock.OptionsFrom(src)
	given.Unselected, given.StrideAt = opt.Unselected, opt.StrideAt
	if opt.Frames > 0 {
		given.Frames = opt.Frames
	}
	net, err := readWeights(path, given)
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
