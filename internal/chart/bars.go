package chart

import (
	"fmt"
	"io"
)

// Bars are stacked bars, drawn sideways so that their names have room: one bar
// a network, one part a stage.
type Bars struct {
	Title, Unit string
	Parts       []string // names, in the order of stacking
	Bars        []Bar
}

// Bar is one bar. Values are by part, and may be fewer.
type Bar struct {
	Name   string
	Values []float64
	Note   string // behind the total
}

// Total is the length of the bar.
func (b Bar) Total() float64 {
	sum := 0.0
	for _, v := range b.Values {
		sum += v
	}
	return sum
}

const (
	barHeight = 24.0
	barGap    = 10.0
	barPlot   = 520.0
)

// WriteSVG draws the bars.
func (f *Bars) WriteSVG(w io.Writer) error {
	c := &Canvas{}
	c.Text(Margin, 28, Start, "title", f.Title)
	left, longest := Margin+60.0, 0.0
	for _, b := range f.Bars {
		left = max(left, Margin+TextWidth(b.Name, 13)+10)
		longest = max(longest, b.Total())
	}
	top := 48.0
	bottom := top + float64(len(f.Bars))*(barHeight+barGap)
	scale := NewScale(0, longest, 5, left, left+barPlot)
	for _, tick := range scale.Ticks() {
		x := scale.At(tick)
		c.Line(x, top-4, x, bottom, "axis")
		c.Text(x, bottom+16, Middle, "dim small", Number(tick))
	}
	c.Text(left+barPlot/2, bottom+34, Middle, "dim", f.Unit)
	for i, b := range f.Bars {
		f.bar(c, scale, b, left, top+float64(i)*(barHeight+barGap))
	}
	x := max(c.width, left+barPlot) + 24
	for i, name := range f.Parts {
		y := top + float64(i)*20
		c.Rect(x, y, 14, 12, Colour(i), name)
		c.Text(x+20, y+11, Start, "dim", name)
	}
	return c.WriteTo(w, f.Title)
}

func (f *Bars) bar(c *Canvas, scale Scale, b Bar, left, y float64) {
	c.Text(left-8, y+16, End, "", b.Name)
	sum := 0.0
	for i, v := range b.Values {
		from, to := scale.At(sum), scale.At(sum+v)
		c.Rect(from, y, to-from, barHeight, Colour(i), fmt.Sprintf("%s, %s: %s %s", b.Name, f.Parts[i], Figure(v), f.Unit))
		if text := Figure(v); TextWidth(text, 11)+4 < to-from {
			c.Text((from+to)/2, y+16, Middle, on(Colour(i)), text)
		}
		sum += v
	}
	total := Figure(sum)
	if b.Note != "" {
		total += "  " + b.Note
	}
	c.Text(scale.At(sum)+8, y+16, Start, "dim", total)
}

// Figure writes a value with three significant digits.
func Figure(x float64) string { return fmt.Sprintf("%.3g", x) }
