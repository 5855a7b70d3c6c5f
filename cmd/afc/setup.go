package main

import (
	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/verify/ort"
)

func (a *app) setupCommand() *cli.Command {
	return &cli.Command{
		Name:      "setup",
		Usage:     "bring ONNX Runtime, which verify and flops measure need, into your cache",
		UsageText: "afc setup",
		Description: "Fetches version " + ort.Pinned + " from npm's registry or PyPI, checks its digest, and puts it\n" +
			"where afc finds it from any folder. Does nothing where it is there already.",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			p := a.progress()
			defer p.Stop()
			lib, err := ort.Install(c.Context, p.Say)
			if err != nil {
				return err
			}
			p.Stop()
			if c.Bool("json") {
				return a.writeJSON(setupReport{lib.Path, ort.Pinned})
			}
			err = terminal.Sayf(a.stdout, "ONNX Runtime %s is in %s\n", ort.Pinned, lib.Path)
			return err
		},
	}
}

// setupReport is what setup did.
type setupReport struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}
