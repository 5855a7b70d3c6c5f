package chart

import (
	"fmt"
	"io"
)

// Dots are figures of named rows on one axis: one row a block, one mark a layer.
type Dots struct {
	Title, X string
	Parts    []string // names of the marks, in order
	Rows     []DotRow
}

// DotRow is one row. Values are by part, and may be fewer.
type DotRow struct {
	Name   string
	Values []float64
	Titles []string // for the reader who points at a mark, by part
}

const (
	dotRow  = 20.0
	dotPlot = 520.0
)

// WriteSVG draws the rows. The axis begins at zero.
func (f *Dots) WriteSVG(w io.Writer) error {
	c := &Canvas{}
	c.Text(Margin, 28, Start, "title", f.Title)
	left, most := Margin+60.0, 0.0
	for _, r := range f.Rows {
		left = max(left, Margin+TextWidth(r.Name, 13)+10)
		for _, v := range r.Values {
			most = max(most, v)
		}
	}
	const legend, top = 44.0, 72.0
	bottom := top + float64(len(f.Rows))*dotRow
	scale := NewScale(0, most, 5, left, left+dotPlot)
	for _, tick := range scale.Ticks() {
		c.Line(scale.At(tick), top-4, scale.At(tick), bottom, "axis")
		c.Text(scale.At(tick), bottom+16, Middle, "dim small", Number(tick))
	}
	c.Text(left+dotPlot/2, bottom+34, Middle, "dim", f.X)
	x := left
	for i, name := range f.Parts {
		c.Dot(x+5, legend+6, 5, Colour(i+1), false, name)
		c.Text(x+16, legend+11, Start, "dim", name)
		x += TextWidth(name, 13) + 36
	}
	for i, r := range f.Rows {
		y := top + (float64(i)+0.5)*dotRow
		c.Text(left-8, y+4, End, "", r.Name)
		c.Line(left, y, left+dotPlot, y, "axis")
		for k, v := range r.Values {
			c.Dot(scale.At(v), y, 5, Colour(k+1), false, fmt.Sprintf("%s, %s", r.Name, r.Titles[k]))
		}
	}
	return c.WriteTo(w, f.Title)
}
