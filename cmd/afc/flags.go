package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
)

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON on standard output"}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"}
}

func externalDataFlag() cli.Flag {
	return &cli.BoolFlag{Name: "external-data", Usage: "write the weights to a file beside the model (always so above 2 GB)"}
}

func sourceFramesFlag() cli.Flag {
	return &cli.IntFlag{Name: "source-frames", Usage: "frames a clip of the source, `T`, where its graph does not say"}
}

func inputShapesFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name:    "input-shapes",
		Aliases: []string{"input-shape", "overwrite-input-shape"},
		Usage:   "fix an input's `SHAPE`: video:1,8,3,224,224, video:[1,8,3,224,224], or the shape alone",
	}
}

// formFlags say how a model is written.
func formFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "precision", Usage: "compute in fp32, or in fp16, half precision, but for what chooses frames (default: fp32, or as an AFNet has it)"},
		&cli.StringFlag{Name: "io-precision", Usage: "with --precision fp16: inputs and outputs in fp32 or fp16 (default: fp32)"},
		&cli.IntFlag{Name: "opset", Usage: "write ONNX's operators as of version `N`, 13 to 24 (default: the source's, at least 13)"},
	}
}

// form reads formFlags.
func form(c *cli.Context) afc.Form {
	f := afc.Form{Precision: c.String("precision"), IOPrecision: c.String("io-precision"), Opset: c.Int("opset")}
	if c.IsSet("opset") && f.Opset == 0 {
		f.Opset = -1 // as wrong as any other
	}
	return f
}

// flagOf is the flag that sets an option of package afc: FocalGroups is
// --focal-groups.
func flagOf(option string) string {
	var b strings.Builder
	if option == "IOPrecision" {
		return "--io-precision"
	}
	for i, r := range option {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return "--" + b.String()
}

// outputPath is where a command writes: what -o says, or the argument behind
// the inputs.
func outputPath(c *cli.Context, arg string) (string, error) {
	out := c.String("output")
	switch {
	case out != "" && arg != "":
		return "", usagef("two outputs: %s and -o %s", arg, out)
	case out == "" && arg == "":
		return "", usagef("no output; give it with -o FILE")
	case out == "":
		out = arg
	}
	return out, nil
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Usage: "without -o: replace the AFNet that is there already"}
}

// outputBeside is outputPath for a command that needs no output named: what it
// makes goes beside the file it is made of, never over another file unless
// --force says so.
func outputBeside(c *cli.Context, arg, of string) (string, error) {
	if c.IsSet("output") || arg != "" {
		if c.Bool("force") {
			return "", usagef("--force: it is for the name that afc chooses; -o replaces the file that it names")
		}
		return outputPath(c, arg)
	}
	out := afc.DefaultOutput(of)
	if !c.Bool("force") {
		if err := afc.Fresh(out); err != nil {
			return "", err
		}
	}
	return out, nil
}

// positive reads a flag of a number from 1; one that is not set and has no
// default leaves the number as it is.
func positive(c *cli.Context, name string, to *int) error {
	n := c.Int(name)
	if c.IsSet(name) && n < 1 {
		return usagef("--%s %d: expected 1 or more", name, n)
	}
	*to = n
	return nil
}

// frameSize reads "N" or "HxW"; "" is no size.
func frameSize(s string) ([2]int, error) {
	if s == "" {
		return [2]int{}, nil
	}
	h, w, two := strings.Cut(s, "x")
	if !two {
		w = h
	}
	hn, herr := strconv.Atoi(h)
	wn, werr := strconv.Atoi(w)
	if herr != nil || werr != nil || hn < 1 || wn < 1 {
		return [2]int{}, usagef("--size %s: expected N or HxW, such as 224 or 180x320", s)
	}
	return [2]int{hn, wn}, nil
}

// intList reads "8,12,16"; "" is no list.
func intList(flag, spec string) ([]int, error) {
	var list []int
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, usagef("--%s %s: expected numbers from 1, such as 8,12,16", flag, spec)
		}
		list = append(list, n)
	}
	return list, nil
}

// sizeList reads "224,180x320"; "" is no list.
func sizeList(spec string) ([][2]int, error) {
	var list [][2]int
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		size, err := frameSize(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		list = append(list, size)
	}
	return list, nil
}

// flagLine is a flag's line in help: its name, with a short one if it has one,
// what it takes, and its default where that says something.
func flagLine(f cli.Flag) string {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	left := "--" + f.Names()[0]
	for _, n := range f.Names()[1:] {
		if len(n) == 1 {
			left = "-" + n + ", " + left
		}
	}
	usage, value := doc.GetUsage(), ""
	if before, rest, quoted := strings.Cut(usage, "`"); quoted {
		var after string
		value, after, _ = strings.Cut(rest, "`")
		usage = before + value + after
	}
	if doc.TakesValue() {
		if value == "" {
			value = "VALUE"
		}
		left += " " + value
	}
	if d := doc.GetDefaultText(); doc.TakesValue() && d != "" && d != "0" && d != "0s" && !strings.Contains(usage, "default") {
		usage += fmt.Sprintf(" (default: %s)", strings.Trim(d, `"`))
	}
	return left + "\t" + usage
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no arguments, got %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}

// names reads a flag that may be repeated and holds names separated by commas.
func names(c *cli.Context, flag string) []string {
	var out []string
	for _, v := range c.StringSlice(flag) {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}

// shares reads "0.25,0.5"; "" is no list.
func shares(flag, spec string) ([]float64, error) {
	var list []float64
	if spec == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(spec, ",") {
		r, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || !(r >= 0 && r <= 1) {
			return nil, usagef("--%s %s: expected numbers from 0 to 1, such as 0.25,0.5", flag, spec)
		}
		list = append(list, r)
	}
	return list, nil
}
