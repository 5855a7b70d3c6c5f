package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/terminal"
)

func (a *app) quantizeCommand() *cli.Command {
	return &cli.Command{
		Name:      "quantize-config",
		Usage:     "say how ONNX Runtime's int8 quantiser should take an AFNet, so that it chooses as before",
		UsageText: "afc quantize-config AF.onnx [-o CONFIG.json]",
		Description: "Writes the arguments of quantize_static, with the nodes that stay in float by name:\n" +
			"navigation, which compares two numbers, and the gates. Without -o it prints them. The\n" +
			"script that takes them is in docs/QUANTIZE.md.",
		Flags:  []cli.Flag{outputFlag(), jsonFlag()},
		Action: a.quantize,
	}
}

func (a *app) quantize(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("quantize-config takes AF.onnx, got %d arguments", c.NArg())
	}
	p := a.progress()
	defer p.Stop()
	r, err := afc.Quantize(c.Context, afc.QuantizeOptions{Model: c.Args().First(), Output: c.String("output"), Progress: p.Say})
	if err != nil {
		return err
	}
	p.Stop()
	a.written = r.Output
	switch {
	case c.Bool("json"):
		return a.writeJSON(r)
	case r.Output == "":
		text, err := json.MarshalIndent(r.Config, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "%s\n", text)
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %d convolutions to quantise, %d operators of navigation and gates stay in float\n", terminal.Message(r.Output), r.Convs, r.Float)
	return err
}
