package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/clips/ffmpeg"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
	"github.com/afc-project/afc/verify/ort"
)

// diagnosis is what doctor reports.
type diagnosis struct {
	Version   string          `json:"version"`
	Runtime   runtimeState    `json:"onnxruntime"`
	Providers []providerState `json:"providers"`
	FFmpeg    ffmpegState     `json:"ffmpeg"`
}

type runtimeState struct {
	Path    string `json:"path,omitempty"`
	From    string `json:"from,omitempty"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it cannot be used, and what to do

	Looked []ort.Place `json:"looked"` // where it was looked for, in order
}

type ffmpegState struct {
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it cannot be used, and what to do
}

type providerState struct {
	Name    string `json:"name"`
	Missing string `json:"missing,omitempty"` // why it cannot be used
	Do      string `json:"do,omitempty"`      // what helps
}

func (a *app) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "say which ONNX Runtime and providers are there and what is missing",
		UsageText: "afc doctor [--json]",
		Description: "convert, inspect, optimize and flops estimate need none of it; verify and flops\n" +
			"measure need ONNX Runtime. Exit code 5 says that there is none.",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			d, err := diagnose()
			if c.Bool("json") {
				return errors.Join(a.writeJSON(d), err)
			}
			d.print(a)
			return err
		},
	}
}

// diagnose looks for everything; the error is that of a missing ONNX Runtime.
func diagnose() (diagnosis, error) {
	d := diagnosis{Version: afc.Program()}
	if tool, err := ffmpeg.Find(); err == nil {
		d.FFmpeg = ffmpegState{Path: tool.Path, Version: tool.Version}
	} else {
		d.FFmpeg.Missing = err.Error()
	}
	d.Runtime.Looked = ort.Places()
	lib, err := ort.Find()
	if err == nil {
		d.Runtime.Path, d.Runtime.From = lib.Path, lib.From
		d.Runtime.Version, err = ort.Version()
	}
	if err != nil {
		d.Runtime.Missing = err.Error()
		return d, err
	}
	for _, name := range ort.Providers {
		p := providerState{Name: name}
		var missing *ort.UnavailableError
		if err := ort.ProbeProvider(ort.Provider{Name: name}); errors.As(err, &missing) {
			p.Missing, p.Do = terminal.Message(missing.Reason), missing.Do
		} else if err != nil {
			p.Missing = terminal.Message(err.Error())
		}
		d.Providers = append(d.Providers, p)
	}
	return d, nil
}

func (d diagnosis) print(a *app) {
	fmt.Fprintln(a.stdout, d.Version)
	t := table.List(2)
	defer func() { t.Write(a.stdout, "") }()
	if d.Runtime.Missing != "" {
		t.AddSafe("ONNX Runtime", "missing; looked for it in")
		for _, p := range d.Runtime.Looked {
			t.AddSafe("", p.What+": "+p.Folder)
		}
	} else {
		t.AddSafe("ONNX Runtime", fmt.Sprintf("%s, %s (from %s)", d.Runtime.Version, d.Runtime.Path, d.Runtime.From))
	}
	for _, p := range d.Providers {
		state := "ready"
		if p.Missing != "" {
			state = "no: " + p.Missing
		}
		t.AddSafe("  "+p.Name, state)
		if p.Do != "" {
			t.AddSafe("", "→ "+p.Do)
		}
	}
	if d.FFmpeg.Missing != "" {
		t.AddSafe("ffmpeg", "no: "+d.FFmpeg.Missing)
	} else {
		t.AddSafe("ffmpeg", d.FFmpeg.Version+", "+d.FFmpeg.Path)
	}
}
