package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
)

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "afc version",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.stdout, afc.Program())
			return err
		},
	}
}
