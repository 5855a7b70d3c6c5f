package main

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/afc-project/afc/internal/atomicfile"
)

// stageColors tell stages apart, also for readers who see few colours (the
// Okabe–Ito palette).
var stageColors = []color.RGBA{
	{0x99, 0x99, 0x99, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xe6, 0x9f, 0x00, 0xff},
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0xcc, 0x79, 0xa7, 0xff}, {0xf0, 0xe4, 0x42, 0xff},
}

// plotCosts draws a stacked bar for every network of the report, a clip's
// stages on top of each other, as SVG.
func plotCosts(r *flopsReport, path string) error {
	if len(r.Clips) == 0 {
		return usagef("--plot draws stages of a TSN/TSM ResNet; %s is counted by operator", r.Model)
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: cost of a clip (%s)", r.Network, r.convention)
	p.Y.Label.Text = "10⁹ operations"
	p.Legend.Top = true
	p.Y.Min = 0
	var names []string
	var values []plotter.Values // by stage, a value for each bar
	bars := 0
	for _, clip := range r.Clips {
		for _, column := range clip.Columns {
			name := column.Name
			if len(r.Clips) > 1 {
				name = fmt.Sprintf("%s\n%d × %d×%d", name, clip.Frames, clip.Size[0], clip.Size[1])
			}
			names = append(names, name)
			for i, row := range column.Rows {
				if i == len(values) {
					values = append(values, make(plotter.Values, bars))
				}
				values[i] = append(values[i], row.count/1e9)
			}
			for i := len(column.Rows); i < len(values); i++ {
				values[i] = append(values[i], 0)
			}
			bars++
		}
	}
	var below *plotter.BarChart
	for i, v := range values {
		chart, err := plotter.NewBarChart(v, vg.Points(28))
		if err != nil {
			return err
		}
		chart.Color = stageColors[i%len(stageColors)]
		chart.LineStyle.Width = 0
		if below != nil {
			chart.StackOn(below)
		}
		below = chart
		p.Add(chart)
		p.Legend.Add(r.Clips[0].Columns[0].Rows[i].Name, chart)
	}
	p.NominalX(names...)
	w, err := p.WriterTo(vg.Points(float64(120+60*bars)), vg.Points(320), "svg")
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err := w.WriteTo(&svg); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(path, svg.Bytes()); err != nil {
		return cannotWrite(path, err)
	}
	return nil
}
