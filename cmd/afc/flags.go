package main

import "github.com/urfave/cli/v2"

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON on standard output"}
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no arguments, got %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}
