package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/progress"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/verify/ort"
)

// app is one run of the program: where it reads and writes.
type app struct {
	args   []string // without the program's name
	stdin  io.Reader
	stdout *output
	stderr io.Writer

	console io.Writer // standard error as it is, for what redraws lines

	written string // the file that the command was to make, once it is there, whole
}

// output is standard output. It keeps the first error of a write, so that
// printing need not look at each.
type output struct {
	to      io.Writer
	columns int // of the terminal that it leads to, 0 where there is none
	err     error
	used    bool
}

// Columns is how wide tables and sentences may be, 0 for any.
func (o *output) Columns() int { return o.columns }

func (o *output) Write(b []byte) (int, error) {
	o.used = true
	n, err := o.to.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// run executes the program with the given arguments, the program's name first,
// and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	columns := columnsOf(stdout)
	if isTerminal(stdout) && os.Getenv("NO_COLOR") == "" {
		p := &terminal.Painter{To: stdout}
		defer p.Flush()
		stdout = p
	}
	a := &app{args: args[1:], stdin: stdin, stdout: &output{to: &terminal.Writer{To: stdout}, columns: columns}, stderr: &terminal.Writer{To: stderr}, console: stderr}
	c := a.cli()
	if len(args) > 1 && args[1] == "help" {
		args = append(append([]string{args[0]}, args[2:]...), "--help")
	}
	if len(args) > 1 && args[1] == "--version" {
		args = append([]string{args[0], "version"}, args[2:]...)
	}
	args, err := flagsFirst(c, args)
	if err == nil {
		err = graph.Guard(func() error { return c.RunContext(ctx, args) })
	}
	if err == nil {
		err = a.stdout.err
	}
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	if a.written != "" && err != nil && (a.stdout.err != nil || ctx.Err() != nil) {
		// What was asked for is there; only words about it are missing.
		fmt.Fprintf(a.stderr, "afc: %s is complete, but the report on it could not be printed: %v\n", terminal.Line(a.written), err)
		err = nil
	}
	code := exitCode(err)
	switch {
	case errors.As(err, new(*childError)): // it printed why
	case code == exitInterrupted && ort.Guarded(): // the parent says so
	case code == exitInterrupted:
		fmt.Fprintln(a.stderr, "afc: interrupted")
	case err != nil:
		if !a.stdout.used && (slices.Contains(args, "--json") || slices.Contains(args, "-json")) {
			a.writeJSON(failure{failureFacts{message(err), code}})
		}
		fmt.Fprintln(a.stderr, "afc: "+message(err))
	}
	return code
}

// message is one line, but for the list of tensors that do not fit.
func message(err error) string {
	var list *checkpoint.Error
	if errors.As(err, &list) {
		return terminal.Lines(err.Error())
	}
	var option *afc.OptionError
	if errors.As(err, &option) {
		return terminal.Message(option.Spell(flagOf))
	}
	return terminal.Message(err.Error())
}

func init() { cli.FlagStringer, cli.HelpPrinter = flagLine, printHelp }

func (a *app) cli() *cli.App {
	c := &cli.App{
		Name:      "afc",
		Usage:     "compile TSN/TSM video ResNets (ONNX) into AFNet models that skip frames",
		UsageText: "afc COMMAND [flags] MODEL.onnx …",
		Description: strings.TrimSpace(`
Start here:
  afc inspect model.onnx                what afc sees in the model
  afc convert model.onnx                rewrite it into an AFNet, model.af.onnx
  afc verify                            prove on ONNX Runtime that it is right
  afc flops estimate model.onnx         what it costs, and what the AFNet will

Exit codes: 0 done, 1 verification failed, 2 usage or file access, 3 invalid or
unsupported model, 4 not recognised as a TSN or TSM ResNet, 5 ONNX Runtime, a
provider or ffmpeg is not available, 130 interrupted.`),
		Commands:                  a.commands(),
		Reader:                    a.stdin,
		Writer:                    a.stdout,
		ErrWriter:                 a.stderr,
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {}, // run does it
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownCommand(c.App.Commands, "afc", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
	c.OnUsageError = usageFailed
	finish(c.Commands)
	return c
}

// finish gives every command what all have in common.
func finish(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageFailed
		c.HideHelpCommand = true
		if len(c.Subcommands) == 0 {
			c.CustomHelpTemplate = commandHelp
			continue
		}
		name := "afc " + c.Name
		c.Action = func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return unknownCommand(c.Subcommands, name, ctx.Args().First())
			}
			return cli.ShowSubcommandHelp(ctx)
		}
		finish(c.Subcommands)
	}
}

func usageFailed(c *cli.Context, err error, _ bool) error {
	name := "afc"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "afc" {
		name = c.Command.HelpName
	}
	msg := strings.Replace(err.Error(), "flag provided but not defined: -", "unknown flag --", 1)
	if flag, unknown := strings.CutPrefix(msg, "unknown flag --"); unknown && c.Command != nil {
		var flags []string
		for _, f := range c.Command.Flags {
			flags = append(flags, "--"+f.Names()[0])
		}
		msg += didYouMean("--"+strings.TrimLeft(flag, "-"), flags)
	}
	return usagef("%s; see %s --help", strings.TrimSuffix(msg, "?"), name)
}

func unknownCommand(commands []*cli.Command, parent, name string) error {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return usagef("%s has no command %q%s; it has %s", parent, name, strings.TrimSuffix(didYouMean(name, names), "?"), strings.Join(names, ", "))
}

// flagsFirst moves the flags of a command in front of its arguments, since the
// flag package stops at the first argument and people write
// "convert in.onnx -o out.onnx". What follows "--" stays.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	commands, n := app.Commands, 1
	var flags []cli.Flag
	for n < len(args) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[n]) })
		if i < 0 {
			break
		}
		flags, commands = commands[i].Flags, commands[i].Subcommands
		n++
	}
	if len(flags) == 0 {
		return args, nil
	}
	var moved, rest []string
	for i := n; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
		default:
			moved = append(moved, a)
			if strings.Contains(a, "=") || !takesValue(flags, strings.TrimLeft(a, "-")) {
				continue
			}
			if i++; i == len(args) {
				return nil, usagef("flag %s needs a value", a)
			}
			moved = append(moved, args[i])
		}
	}
	out := append(slices.Clone(args[:n]), moved...)
	return append(append(out, "--"), rest...), nil
}

func takesValue(flags []cli.Flag, name string) bool {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			doc, ok := f.(cli.DocGenerationFlag)
			return ok && doc.TakesValue()
		}
	}
	return false
}

// isTerminal reports whether w is a terminal, where lines may be redrawn and
// coloured.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// columnsVariable, in the environment, is how wide tables are to be where no
// terminal says it: in the child of guarded, and in a pager.
const columnsVariable = "AFC_COLUMNS"

// leastColumns is the width under which tables are not made to fit.
const leastColumns = 40

// columnsOf is the width of the terminal w, or the one in the environment; 0 where
// neither says it.
func columnsOf(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv(columnsVariable)); err == nil {
		return max(n, leastColumns)
	}
	if isTerminal(w) {
		if n, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && n > 0 {
			return max(n, leastColumns)
		}
	}
	return 0
}

// progress shows steps on the console, on one line if it is a terminal.
func (a *app) progress() *progress.Reporter {
	width := 0
	if isTerminal(a.console) {
		width = cmp.Or(columnsOf(a.console), 80)
	}
	return progress.Start(a.console, width)
}

// printHelp fills a template of help in and breaks its lines where w leads to a
// terminal: what stands in columns beneath itself, paragraphs anew.
func printHelp(w io.Writer, text string, data any) {
	var filled strings.Builder
	cli.HelpPrinterCustom(&filled, text, data, nil)
	width := terminal.Columns(w)
	if width == 0 {
		io.WriteString(w, filled.String())
		return
	}
	paragraph := ""
	flush := func() {
		io.WriteString(w, terminal.Fold(paragraph, width, 2))
		paragraph = ""
	}
	for line := range strings.Lines(filled.String()) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		at := strings.LastIndex(strings.TrimRight(line, "\n"), "  ") + 2 // of the last column
		switch {
		case indent == 0 && at == 1 && strings.TrimSpace(line) != "":
			paragraph = strings.TrimSpace(paragraph+" "+strings.TrimSpace(line)) + "\n"
		default:
			flush()
			io.WriteString(w, terminal.Fold(line, width, max(indent+2, min(at, width/2))))
		}
	}
	flush()
}

const appHelp = `{{.Name}} - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}

Commands:{{range .VisibleCommands}}
  {{printf "%-15s" .Name}}  {{.Usage}}{{end}}

afc COMMAND --help says more.
`

const commandHelp = `{{.HelpName}} - {{.Usage}}

Usage: {{.UsageText}}
{{if .Description}}
{{.Description}}
{{end}}{{if .VisibleFlags}}
Flags:{{range .VisibleFlags}}
  {{.}}{{end}}
{{end}}`
