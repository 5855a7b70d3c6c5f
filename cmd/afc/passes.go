package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/passes"
)

func (a *app) passesCommand() *cli.Command {
	return &cli.Command{
		Name:      "passes",
		Usage:     "print the compiler's passes, in order, with the reasons for the order",
		UsageText: "afc passes",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			passes.PrintTable(a.stdout)
			return nil
		},
	}
}

// passFlags steer the pipeline of convert and optimize.
func passFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "stop-after", Usage: "end with `PASS` and write the model as it is then"},
		&cli.StringSliceFlag{Name: "skip-pass", Usage: "leave out `PASSES`, separated by commas"},
		&cli.StringFlag{Name: "dump-dir", Usage: "write the model as text after each pass into `FOLDER`"},
		&cli.BoolFlag{Name: "check", Usage: "verify structure and promises after each pass, with shuffled node order"},
		&cli.Uint64Flag{Name: "check-seed", Usage: "`SEED` of --check's shuffling (default: random, printed)"},
	}
}

// passOptions reads passFlags.
func (a *app) passOptions(c *cli.Context) (afc.PassOptions, error) {
	opt := afc.PassOptions{
		StopAfter: c.String("stop-after"), SkipPass: names(c, "skip-pass"), DumpDir: c.String("dump-dir"),
		Check: c.Bool("check"), CheckSeed: c.Uint64("check-seed"),
	}
	switch {
	case opt.Check && !c.IsSet("check-seed"):
		opt.CheckSeed = rand.Uint64()
		fmt.Fprintf(a.stderr, "afc: --check-seed %d\n", opt.CheckSeed)
	case !opt.Check && c.IsSet("check-seed"):
		return opt, usagef("--check-seed goes with --check")
	}
	return opt, nil
}
