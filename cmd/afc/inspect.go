package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/recognize"
)

func (a *app) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what afc sees in a model, or why it does not recognise it",
		UsageText: "afc inspect MODEL.onnx [--json] [--dot FILE] [--svg FILE]",
		Flags: []cli.Flag{
			sourceFramesFlag(),
			&cli.StringFlag{Name: "dot", Usage: "write the stage structure as a Graphviz `FILE`, - for standard output"},
			&cli.StringFlag{Name: "svg", Usage: "draw the structure with sizes and costs to `FILE`"},
			inputShapesFlag(),
			jsonFlag(),
		},
		Action: a.inspect,
	}
}

func (a *app) inspect(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("inspect takes one model, got %d arguments", c.NArg())
	}
	dot, svg := c.String("dot"), c.String("svg")
	if dot == "-" && c.Bool("json") {
		return usagef("--dot - and --json both go to standard output: choose one")
	}
	opt := afc.InspectOptions{Model: c.Args().First(), InputShapes: c.StringSlice("input-shapes"), Outputs: []string{dot, svg}}
	if err := positive(c, "source-frames", &opt.SourceFrames); err != nil {
		return err
	}
	p := a.progress()
	defer p.Stop()
	opt.Progress = p.Say
	d, err := afc.Inspect(c.Context, opt)
	if err != nil {
		var no *recognize.Error
		if c.Bool("json") && errors.As(err, &no) {
			if err := a.writeJSON(refusal{Refused: no}); err != nil {
				return err
			}
		}
		return err
	}
	p.Stop()
	switch {
	case dot == "-":
		_, err = fmt.Fprint(a.stdout, d.DOT())
	case c.Bool("json"):
		err = a.writeJSON(d)
	default:
		err = d.WriteText(a.stdout)
	}
	if err == nil && dot != "" && dot != "-" {
		err = afc.WriteFile(dot, []byte(d.DOT()))
	}
	if err == nil && svg != "" {
		var drawing bytes.Buffer
		if err = d.WriteSVG(&drawing); err == nil {
			err = afc.WriteFile(svg, drawing.Bytes())
		}
	}
	return err
}

// refusal is inspect's JSON for a model that is not recognised.
type refusal struct {
	Refused *recognize.Error `json:"not_recognized"`
}
