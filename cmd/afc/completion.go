package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/fit"
	"github.com/afc-project/afc/passes"
	"github.com/afc-project/afc/published"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// shells are those that completion scripts are written for.
var shells = []string{"bash", "zsh", "fish"}

func (a *app) completionCommand() *cli.Command {
	writers := map[string]func(io.Writer, []word){"bash": writeBash, "zsh": writeZsh, "fish": writeFish}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a completion script for a shell",
		UsageText: "afc completion bash|zsh|fish",
		Description: "bash: source <(afc completion bash)\n" +
			"zsh:  source <(afc completion zsh), behind compinit, or put it into ${fpath[1]}/_afc\n" +
			"fish: afc completion fish > ~/.config/fish/completions/afc.fish",
		Action: func(c *cli.Context) error {
			write := writers[c.Args().First()]
			if c.NArg() != 1 || write == nil {
				return usagef("completion takes a shell: bash, zsh or fish")
			}
			write(a.stdout, words(a.commands()))
			return nil
		},
	}
}

func (a *app) manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page",
		UsageText:   "afc man",
		Description: "afc man > /usr/local/share/man/man1/afc.1",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			writeMan(a.stdout, a.cli())
			return nil
		},
	}
}

// word is a command as completion scripts know it: "flops estimate".
type word struct {
	name, usage string
	subcommands []string
	arguments   []string // where they can be listed; nil: files
	flags       []flagWord
}

// flagWord is a flag, the values it may have where they can be listed, and
// whether it takes a file else.
type flagWord struct {
	name, usage string
	value       bool
	choices     []string
}

// choices are the values of flags that have few.
var choices = map[string][]string{
	"lowering": texts(codegen.Lowerings), "target": texts(codegen.Targets), "provider": ort.Providers,
	"navigation": {"uniform:0.5", "all", "none"}, "stride-at": {"fusion", "source"}, "focal-groups": {"1", "2"},
	"unselected": {"bias", "zero"}, "without": {"ample"}, "sampling": {"argmax", "gumbel"}, "outputs": {"masks"}, "dial": {"yes", "no"}, "dist": {"normal", "uniform"},
	"format": texts(afc.Formats), "precision": {"fp32", "fp16"}, "io-precision": {"fp32", "fp16"}, "published": published.Names(), "check-error-stat": verify.ErrorStats,
	"convention": {"mac", "flop", "authors"}, "by": {"stage", "block", "operator"}, "for": {string(fit.Schedule), string(fit.Any)},
	"only": verify.CheckNames(), "require": verify.CheckNames(), "skip": verify.CheckNames(), "stop-after": passNames(), "skip-pass": passNames(),
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func passNames() []string {
	var names []string
	for _, p := range passes.Table {
		names = append(names, p.Name)
	}
	return names
}

// words lists the commands, those below others under "PARENT NAME".
func words(commands []*cli.Command) []word {
	var all []word
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		w := word{name: c.Name, usage: c.Usage}
		if c.Name == "completion" {
			w.arguments = shells
		}
		for _, f := range c.Flags {
			doc := f.(cli.DocGenerationFlag)
			w.flags = append(w.flags, flagWord{f.Names()[0], strings.ReplaceAll(doc.GetUsage(), "`", ""), doc.TakesValue(), choices[f.Names()[0]]})
		}
		below := words(c.Subcommands)
		for i := range below {
			w.subcommands = append(w.subcommands, below[i].name)
			below[i].name = c.Name + " " + below[i].name
		}
		all = append(append(all, w), below...)
	}
	return all
}

// top lists the commands that stand alone.
func top(all []word) []word {
	return slices.DeleteFunc(slices.Clone(all), func(w word) bool { return strings.Contains(w.name, " ") })
}

func joined(all []word) string {
	var list []string
	for _, w := range top(all) {
		list = append(list, w.name)
	}
	return strings.Join(list, " ")
}

// writeBash writes a function that looks at the words before the cursor.
func writeBash(w io.Writer, all []word) {
	fmt.Fprint(w, "# bash completion of afc; written by afc completion bash\n_afc() {\n"+
		"  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"+
		"  COMPREPLY=()\n"+
		"  case $command in\n")
	for _, c := range top(all) {
		if c.subcommands != nil {
			fmt.Fprintf(w, "  %s) if [ $COMP_CWORD -eq 2 ]; then COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return; fi; command=\"$command ${COMP_WORDS[2]}\" ;;\n", c.name, strings.Join(c.subcommands, " "))
		}
	}
	fmt.Fprintf(w, "  esac\n  if [ $COMP_CWORD -eq 1 ]; then COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return; fi\n  case \"$command $prev\" in\n", joined(all))
	for _, c := range all {
		for _, f := range c.flags {
			if f.choices != nil {
				fmt.Fprintf(w, "  '%s --%s') COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", c.name, f.name, strings.Join(f.choices, " "))
			}
		}
	}
	fmt.Fprint(w, "  esac\n  case \"$command\" in\n")
	for _, c := range all {
		if c.subcommands != nil {
			continue
		}
		var flags []string
		for _, f := range c.flags {
			flags = append(flags, "--"+f.name)
		}
		if c.arguments != nil {
			fmt.Fprintf(w, "  '%s') COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", c.name, strings.Join(c.arguments, " "))
			continue
		}
		fmt.Fprintf(w, "  '%s') [[ $cur == -* ]] && COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", c.name, strings.Join(append(flags, "--help"), " "))
	}
	fmt.Fprint(w, "  esac\n}\ncomplete -o default -F _afc afc\n")
}

// writeZsh writes a function of the zsh completion system.
func writeZsh(w io.Writer, all []word) {
	quote := func(s string) string {
		return strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
	}
	fmt.Fprint(w, "#compdef afc\n# zsh completion of afc; written by afc completion zsh\n_afc() {\n  local -a commands\n  commands=(\n")
	for _, c := range top(all) {
		fmt.Fprintf(w, "    '%s:%s'\n", c.name, quote(c.usage))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n  local command=$words[2]\n  case $command in\n")
	for _, c := range top(all) {
		if c.subcommands != nil {
			fmt.Fprintf(w, "  %s) if (( CURRENT == 3 )); then compadd %s; return; fi; command=\"$command $words[3]\"; (( CURRENT-- )); shift words ;;\n", c.name, strings.Join(c.subcommands, " "))
		}
	}
	fmt.Fprint(w, "  esac\n  (( CURRENT-- )); shift words\n  case $command in\n")
	for _, c := range all {
		if c.subcommands != nil {
			continue
		}
		fmt.Fprintf(w, "  '%s') _arguments -S \\\n", c.name)
		for _, f := range c.flags {
			value := ""
			if f.value {
				if f.choices != nil {
					value = ":" + f.name + ":(" + quote(strings.Join(f.choices, " ")) + ")"
				} else {
					value = ":" + f.name + ":_files"
				}
			}
			fmt.Fprintf(w, "    '--%s[%s]%s' \\\n", f.name, quote(f.usage), value)
		}
		arguments := "*:file:_files"
		if c.arguments != nil {
			arguments = "1:argument:(" + strings.Join(c.arguments, " ") + ")"
		}
		fmt.Fprintf(w, "    '--help[show help]' '%s' ;;\n", arguments)
	}
	// As a file on fpath it is the function's body; sourced it has to say what it completes.
	fmt.Fprint(w, "  esac\n}\nif [[ $funcstack[1] == _afc ]]; then _afc \"$@\"; else compdef _afc afc; fi\n")
}

// writeFish writes a line for every command and flag.
func writeFish(w io.Writer, all []word) {
	quote := func(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }
	fmt.Fprintln(w, "# fish completion of afc; written by afc completion fish")
	for _, c := range top(all) {
		fmt.Fprintf(w, "complete -c afc -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, quote(c.usage))
		for _, s := range c.subcommands {
			fmt.Fprintf(w, "complete -c afc -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from %s' -f -a %s\n", c.name, strings.Join(c.subcommands, " "), s)
		}
	}
	for _, c := range all {
		if c.subcommands != nil {
			continue
		}
		seen := strings.ReplaceAll(c.name, " ", "; and __fish_seen_subcommand_from ")
		if c.arguments != nil {
			fmt.Fprintf(w, "complete -c afc -f -n '__fish_seen_subcommand_from %s' -a '%s'\n", seen, strings.Join(c.arguments, " "))
		}
		for _, f := range c.flags {
			value := ""
			switch {
			case f.choices != nil:
				value = " -x -a '" + quote(strings.Join(f.choices, " ")) + "'"
			case f.value:
				value = " -r"
			}
			fmt.Fprintf(w, "complete -c afc -n '__fish_seen_subcommand_from %s' -l %s%s -d '%s'\n", seen, f.name, value, quote(f.usage))
		}
	}
}

// writeMan writes the manual page, as help has it.
func writeMan(w io.Writer, c *cli.App) {
	roff := func(s string) string {
		s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
				lines[i] = `\&` + l
			}
		}
		return strings.Join(lines, "\n")
	}
	fmt.Fprintf(w, ".TH AFC 1 \"\" \"afc %s\"\n.SH NAME\nafc \\- %s\n.SH SYNOPSIS\n%s\n.SH DESCRIPTION\n.nf\n%s\n.fi\n.SH COMMANDS\n", roff(afc.Version), roff(c.Usage), roff(c.UsageText), roff(c.Description))
	for _, word := range words(c.Commands) {
		if word.subcommands != nil {
			continue
		}
		fmt.Fprintf(w, ".SS afc %s\n%s\n", roff(word.name), roff(word.usage))
		for _, f := range word.flags {
			value := ""
			if f.value {
				value = " " + strings.ToUpper(f.name)
			}
			fmt.Fprintf(w, ".TP\n.B \\-\\-%s%s\n%s\n", roff(f.name), roff(value), roff(f.usage))
		}
	}
}
