package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/internal/progress"
)

// trainedNetwork reads a checkpoint for the place of a recognised network. One
// of a plain ResNet is rewritten as the network would have been.
func trainedNetwork(path string, src *afblock.Network, opt afblock.RewriteOptions) (*afblock.Network, error) {
	given := weights.OptionsFrom(src)
	given.Frames, given.Unselected, given.StrideAt = opt.Frames, opt.Unselected, opt.StrideAt
	sd, err := readCheckpoint(path)
	if err != nil {
		return nil, err
	}
	net, err := weights.FromStateDict(sd, given)
	if err != nil {
		return nil, err
	}
	net.Adopt(src)
	return rewritten(net, opt)
}

// rewritten makes an AFNet of a plain ResNet, and leaves one as it is.
func rewritten(net *afblock.Network, opt afblock.RewriteOptions) (*afblock.Network, error) {
	if slices.ContainsFunc(net.Stages, func(s *afblock.Stage) bool { return s.AF != nil }) {
		return net, nil
	}
	return afblock.Rewrite(net, opt)
}

func readCheckpoint(path string) (*checkpoint.StateDict, error) {
	if err := readable(path); err != nil {
		return nil, err
	}
	return checkpoint.Read(path)
}

// checkpointNetwork reads the network that a checkpoint alone describes. What
// neither its shapes nor its metadata say is said by flags, or announced as a
// default.
func (a *app) checkpointNetwork(c *cli.Context, p *progress.Reporter, rewrite afblock.RewriteOptions) (*afblock.Network, error) {
	opt := weights.Options{Frames: rewrite.Frames, Unselected: rewrite.Unselected, StrideAt: rewrite.StrideAt}
	var err error
	if opt.Size, err = frameSize(c.String("size")); err != nil {
		return nil, err
	}
	if c.Bool("shift") {
		opt.ShiftDiv = c.Int("shift-div")
	}
	path := c.String("weights")
	p.Step("reading %s", path)
	sd, err := readCheckpoint(path)
	if err != nil {
		return nil, err
	}
	net, err := weights.FromStateDict(sd, opt)
	if err != nil {
		return nil, err
	}
	if c.IsSet("unselected") {
		net.Unselected = rewrite.Unselected
	}
	var defaults []string
	if net.Size[0] == 0 {
		net.Size = [2]int{224, 224}
		defaults = append(defaults, "frames of 224×224 (--size)")
	}
	if sd.Structure == "" && !c.IsSet("shift") {
		defaults = append(defaults, "no temporal shift (--shift)")
	}
	if len(defaults) > 0 {
		fmt.Fprintf(a.stderr, "afc: %s does not say: taking %s\n", path, strings.Join(defaults, ", "))
	}
	return rewritten(net, rewrite)
}
