package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/afblock/describe"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/atomicfile"
	"github.com/afc-project/afc/passes"
)

func (a *app) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what afc sees in a model, or why it does not recognise it",
		UsageText: "afc inspect MODEL.onnx [--json] [--dot FILE] [--svg FILE]",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "frames", Usage: "frames a clip, `T`, where the graph does not say"},
			&cli.StringFlag{Name: "dot", Usage: "write the stage structure as a Graphviz `FILE`, - for standard output"},
			&cli.StringFlag{Name: "svg", Usage: "draw the stage structure to `FILE` (needs Graphviz)"},
			inputShapesFlag(),
			jsonFlag(),
		},
		Action: func(c *cli.Context) error { return a.inspect(c) },
	}
}

func (a *app) inspect(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("inspect takes one model, got %d arguments", c.NArg())
	}
	path := c.Args().First()
	p := a.progress()
	defer p.Stop()
	p.Step("reading %s", path)
	m, err := openModel(path, c.String("dot"), c.String("svg"))
	if err != nil {
		return err
	}
	if err := setInputShapes(m, c.StringSlice("input-shapes")); err != nil {
		return err
	}
	p.Step("recognising %s", path)
	d, err := describeModel(m, c.Int("frames"))
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
	d.File = path
	switch {
	case c.String("dot") == "-":
		_, err = fmt.Fprint(a.stdout, d.DOT())
	case c.Bool("json"):
		err = a.writeJSON(d)
	default:
		err = d.WriteText(a.stdout)
	}
	if dot := c.String("dot"); err == nil && dot != "" && dot != "-" {
		err = cannotWrite(dot, atomicfile.WriteFile(dot, []byte(d.DOT())))
	}
	if svg := c.String("svg"); err == nil && svg != "" {
		err = a.draw(c, svg, d.DOT())
	}
	return err
}

// refusal is inspect's JSON for a model that is not recognised.
type refusal struct {
	Refused *recognize.Error `json:"not_recognized"`
}

// describeModel reads a model back if afc wrote it, else recognises its canonical
// form. Opset and IR version are the file's own.
func describeModel(m *graph.Model, frames int) (*describe.Description, error) {
	opset, ir := m.Opset(""), m.IRVersion
	if !compiled.Is(m) {
		if err := passes.Canonicalize(m); err != nil {
			return nil, err
		}
	}
	d, err := describe.Model(m, recognize.Options{Frames: frames})
	if err == nil {
		d.Opset, d.IR = opset, ir
	}
	return d, err
}

// draw has Graphviz lay out a drawing.
func (a *app) draw(c *cli.Context, path, dot string) error {
	graphviz, err := exec.LookPath("dot")
	if err != nil {
		return usagef("--svg needs Graphviz, whose program dot is not installed; install the package graphviz, or use --dot")
	}
	cmd := exec.CommandContext(c.Context, graphviz, "-Tsvg")
	cmd.Stdin = bytes.NewReader([]byte(dot))
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	svg, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("graphviz: %w: %s", err, oneLine(problems.String()))
	}
	return cannotWrite(path, atomicfile.WriteFile(path, svg))
}
