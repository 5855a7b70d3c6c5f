package main

import (
	"bytes"
	"fmt"

	"github.com/afc-project/afc"
	"github.com/afc-project/afc/internal/chart"
)

// plotCosts draws a stacked bar for every network of the report, a clip's
// stages behind each other, as SVG.
func plotCosts(r *afc.CostReport, convention, path string) error {
	if len(r.Clips) == 0 {
		return usagef("--plot draws stages of a TSN/TSM ResNet; %s is counted by operator", r.Model)
	}
	f := chart.Bars{Title: fmt.Sprintf("%s: cost of a clip (%s)", r.Network, convention), Unit: "10⁹ operations"}
	for _, row := range r.Clips[0].Columns[0].Rows {
		f.Parts = append(f.Parts, row.Name)
	}
	for _, clip := range r.Clips {
		for _, column := range clip.Columns {
			bar := chart.Bar{Name: column.Name}
			if len(r.Clips) > 1 {
				bar.Name = fmt.Sprintf("%s, %d frames of %d×%d", column.Name, clip.Frames, clip.Size[0], clip.Size[1])
			}
			for _, row := range column.Rows {
				bar.Values = append(bar.Values, row.Count/1e9)
			}
			f.Bars = append(f.Bars, bar)
		}
	}
	var svg bytes.Buffer
	if err := f.WriteSVG(&svg); err != nil {
		return err
	}
	return afc.WriteFile(path, svg.Bytes())
}
