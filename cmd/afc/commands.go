package main

import "github.com/urfave/cli/v2"

// commands lists the commands in the order in which help shows them.
func (a *app) commands() []*cli.Command {
	return []*cli.Command{
		a.inspectCommand(),
		a.convertCommand(),
		a.fitCommand(),
		a.tuneCommand(),
		a.verifyCommand(),
		a.flopsCommand(),
		a.optimizeCommand(),
		a.explainCommand(),
		a.sweepCommand(),
		a.exportCommand(),
		a.quantizeCommand(),
		a.passesCommand(),
		a.setupCommand(),
		a.doctorCommand(),
		a.completionCommand(),
		a.manCommand(),
		a.versionCommand(),
		a.residentCommand(),
	}
}
