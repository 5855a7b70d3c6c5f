package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON on standard output"}
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
