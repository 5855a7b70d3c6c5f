package main

import (
	"bytes"

	"github.com/urfave/cli/v2"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/verify"
)

// verdict prints a report and makes an error of a failed check.
func (a *app) verdict(c *cli.Context, report *verify.Report, what string) error {
	if err := a.writeReport(c, report); err != nil {
		return err
	}
	if report.Failed() {
		return mismatchf("%s: %d of %d checks failed", what, report.Count(verify.Fail), len(report.Checks))
	}
	return nil
}

// writeReport prints a report and writes it as a page if asked to.
func (a *app) writeReport(c *cli.Context, report *verify.Report) error {
	report.Program = afc.Program()
	if path := c.String("save-outputs"); path != "" && report.Recording != nil {
		report.Recording.By.Program = report.Program
		var file bytes.Buffer
		if err := report.Recording.Write(&file); err != nil {
			return err
		}
		if err := afc.WriteFile(path, file.Bytes()); err != nil {
			return err
		}
	}
	if path := c.String("report"); path != "" {
		var page bytes.Buffer
		if err := report.WriteHTML(&page); err != nil {
			return err
		}
		if err := afc.WriteFile(path, page.Bytes()); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return a.writeJSON(report)
	}
	return report.WriteText(a.stdout)
}
