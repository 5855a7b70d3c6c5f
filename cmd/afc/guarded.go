package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// guarded runs a command that loads models into ONNX Runtime as a child of
// this process: native code may crash or hang. Mistakes in the call are found
// first, whether the runtime is there or not.
func guarded[T any](a *app, c *cli.Context, read func(*cli.Context) (T, error), action func(*cli.Context, T) error) error {
	opt, err := read(c)
	if ort.Guarded() {
		defer asChild()
		if err == nil {
			err = action(c, opt)
		}
		return err
	}
	if err != nil {
		return err
	}
	if _, err := ort.Find(); err != nil {
		return err
	}
	g := ort.Guard{Args: a.args, Timeout: c.Duration("timeout"), Stdin: a.stdin, Stdout: patient{a.stdout}, Stderr: a.console}
	if n := a.stdout.Columns(); n > 0 {
		g.Env = []string{fmt.Sprintf("%s=%d", columnsVariable, n)}
	}
	code, err := g.Run(c.Context)
	if err == nil && code == exitOK && c.Command != nil && takesOutput(c.Command) {
		a.written = cmp.Or(c.String("output"), "the output")
	}
	var crash *ort.CrashError
	if errors.As(err, &crash) {
		if report := verify.Interim(crash); report != nil {
			if err := a.writeReport(c, report); err != nil {
				return err
			}
		}
	}
	if err == nil && code != exitOK {
		return &childError{code}
	}
	return err
}

// patient takes all that a child prints, even where it cannot be passed on: a
// child whose output is closed dies of it, and would seem to have crashed.
type patient struct{ to *output }

func (p patient) Write(b []byte) (int, error) {
	if p.to.err == nil {
		_, _ = p.to.Write(b) // which keeps the error
	}
	return len(b), nil
}

func takesOutput(c *cli.Command) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == "output" })
}

// asChild tells the parent that the child ended by itself. It is deferred.
func asChild() {
	defer ort.Done()
	if r := recover(); r != nil { // a fault of afc's own, whose stack is worth seeing
		debug.SetTraceback("single")
		panic(r)
	}
}

// residentCommand runs a model that verify measures the memory of, in a process
// of its own.
func (a *app) residentCommand() *cli.Command {
	return &cli.Command{
		Name:   residentName,
		Hidden: true,
		Action: func(c *cli.Context) error { return ort.RunResident(c.Context, a.stdin, a.stdout) },
	}
}

const residentName = "measure-resident"

// childError ends a command whose child printed why.
type childError struct{ code int }

func (e *childError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
