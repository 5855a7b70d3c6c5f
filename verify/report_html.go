package verify

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"time"

	"github.com/afc-project/afc/afblock/compiled/names"
)

//go:embed report.html.tmpl
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent":   func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
	"ms":        func(x float64) string { return fmt.Sprintf("%.2f", x) },
	"duration":  func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1e3) },
	"megabytes": megabytes,
}).Parse(reportPage))

func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(n)/1e6)
}

// Verdict says in a line how the checks ended.
func (r *Report) Verdict() string {
	s := fmt.Sprintf("%d passed, %d failed, %d skipped", r.Count(Pass), r.Count(Fail), r.Count(Skip))
	for _, c := range r.Checks {
		if c.Status == Fail {
			return s + "; first failed: " + c.Title
		}
	}
	return s
}

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	return reportTemplate.Execute(w, struct {
		Report                *Report
		Heat, Errors, Latency *chart
	}{r, r.heatMap(), r.errorChart(), r.latencyChart()})
}

// chart is what the page draws: shapes in pixels.
type chart struct {
	Width, Height int
	Caption       string
	Cells         []cell
	Lines, Marks  []line
	Labels        []label
}

type cell struct {
	X, Y, W float64
	Opacity string
	Colour  string // a CSS variable
	Title   string
}

type line struct{ X, Y, X2, Y2 float64 }

type label struct {
	X, Y   float64
	Anchor string
	Text   string
	Dim    bool
}

const (
	chartLeft  = 210.0 // room for row names
	chartPlot  = 620.0
	chartRow   = 22.0
	chartTop   = 12.0
	chartWidth = int(chartLeft + chartPlot + 120)
)

// row returns the height of row i's top.
func row(i int) float64 { return chartTop + chartRow*float64(i) }

// heatMap draws a row a block and a column a frame.
func (r *Report) heatMap() *chart {
	m := r.Masks
	if m == nil || len(m.Chosen) == 0 {
		return nil
	}
	c := &chart{Width: int(chartLeft) + 24*m.Frames + 80, Height: int(row(len(m.Blocks))) + 24}
	c.Caption = fmt.Sprintf("%.1f %% of the frames computed, over %d clips; the stronger the colour, the more clips had the frame computed.", 100*m.Ratio(), len(m.Chosen))
	if m.Scale > 0 {
		c.Caption += fmt.Sprintf(" Smallest navigation margin %.2e, largest %.2e.", m.Margin, m.Scale)
	}
	ratios := m.BlockRatios()
	for b, name := range m.Blocks {
		y := row(b)
		c.Labels = append(c.Labels, label{X: chartLeft - 8, Y: y + 13, Anchor: "end", Text: names.InWords(name)})
		for t := range m.Frames {
			share := 0.0
			for _, clip := range m.Chosen {
				share += float64(clip[b][t]) / float64(len(m.Chosen))
			}
			c.Cells = append(c.Cells, cell{
				X: chartLeft + 24*float64(t), Y: y, Opacity: fmt.Sprintf("%.2f", share),
				Title: fmt.Sprintf("%s, frame %d: %.0f %% of the clips", name, t, 100*share),
			})
		}
		c.Labels = append(c.Labels, label{X: chartLeft + 24*float64(m.Frames) + 8, Y: y + 13, Anchor: "start", Text: fmt.Sprintf("%.0f %%", 100*ratios[b]), Dim: true})
	}
	for t := range m.Frames {
		c.Labels = append(c.Labels, label{X: chartLeft + 24*float64(t) + 11, Y: row(len(m.Blocks)) + 13, Anchor: "middle", Text: fmt.Sprint(t), Dim: true})
	}
	return c
}

// errorChart draws the worst error of every comparison on a logarithmic scale,
// 1e-9 to 1 of the output's largest magnitude.
func (r *Report) errorChart() *chart {
	var names []string
	worst := map[string]Difference{}
	for _, d := range r.Errors {
		name := d.Check
		if name == "" {
			name = d.Output
		}
		old, seen := worst[name]
		if !seen {
			names = append(names, name)
		}
		if !seen || d.worse(old) {
			worst[name] = d
		}
	}
	if len(names) == 0 {
		return nil
	}
	const decades = 9
	at := func(x float64) float64 {
		if x <= 0 || math.IsNaN(x) {
			return 0
		}
		return chartPlot * min(max((math.Log10(x)+decades)/decades, 0), 1)
	}
	c := &chart{Width: chartWidth, Height: int(row(len(names))) + 24, Caption: "Largest error in parts of the output's largest magnitude; the upright line is the limit. No bar: equal."}
	for k := 0; k <= decades; k += 3 {
		x := chartLeft + chartPlot*float64(k)/decades
		c.Lines = append(c.Lines, line{x, chartTop, x, row(len(names))})
		c.Labels = append(c.Labels, label{X: x, Y: row(len(names)) + 14, Anchor: "middle", Text: fmt.Sprintf("1e%d", k-decades), Dim: true})
	}
	for i, name := range names {
		d, y := worst[name], row(i)
		colour := "--pass"
		if !d.OK() {
			colour = "--fail"
		}
		size := at(d.Needed)
		if d.NonFinite > 0 {
			size = chartPlot
		}
		c.Labels = append(c.Labels,
			label{X: chartLeft - 8, Y: y + 12, Anchor: "end", Text: name},
			label{X: chartLeft + chartPlot + 10, Y: y + 12, Anchor: "start", Text: d.Figure(), Dim: true})
		c.Cells = append(c.Cells, cell{X: chartLeft, Y: y, W: size, Colour: colour, Title: name + ": " + d.Figure() + " " + d.Where()})
		if d.Limit > 0 {
			x := chartLeft + at(d.Limit)
			c.Marks = append(c.Marks, line{x, y - 2, x, y + 16})
		}
	}
	return c
}

// latencyChart draws every timed run as a dot, the medians as lines.
func (r *Report) latencyChart() *chart {
	longest := 0.0
	for _, l := range r.Latency {
		if len(l.Samples) > 0 {
			longest = max(longest, slices.Max(l.Samples))
		}
	}
	if longest == 0 {
		return nil
	}
	bottom := row(len(r.Latency))
	c := &chart{Width: chartWidth, Height: int(bottom) + 24, Caption: "Every timed run, in milliseconds; the upright line is the median. The runs of the models alternate."}
	step := roundStep(longest / 4)
	for k := 0; float64(k)*step <= longest; k++ {
		x := chartLeft + chartPlot*float64(k)*step/longest
		c.Lines = append(c.Lines, line{x, chartTop, x, bottom})
		c.Labels = append(c.Labels, label{X: x, Y: bottom + 14, Anchor: "middle", Text: fmt.Sprintf("%.4g ms", float64(k)*step), Dim: true})
	}
	for i, l := range r.Latency {
		y := row(i) + 9
		c.Labels = append(c.Labels, label{X: chartLeft - 8, Y: y + 4, Anchor: "end", Text: l.Model})
		for _, ms := range l.Samples {
			c.Cells = append(c.Cells, cell{X: chartLeft + chartPlot*ms/longest, Y: y, Title: fmt.Sprintf("%.3f ms", ms)})
		}
		x := chartLeft + chartPlot*l.P50/longest
		c.Marks = append(c.Marks, line{x, y - 9, x, y + 9})
	}
	return c
}

// roundStep returns the largest of 1, 2, 5, 10, … that is not above a step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	switch {
	case step >= 5*power:
		return 5 * power
	case step >= 2*power:
		return 2 * power
	}
	return power
}
