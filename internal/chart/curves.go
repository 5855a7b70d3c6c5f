package chart

import (
	"io"
	"math"
)

// Curves are lines over one axis, as figures over the steps of a training.
type Curves struct {
	Title, X string
	Lines    []Curve
}

// Curve is one line.
type Curve struct {
	Name   string
	Points [][2]float64 // x and y; one whose y is no finite number breaks the line
}

const curvesHeight = 200.0

// WriteSVG draws the lines.
func (f *Curves) WriteSVG(w io.Writer) error {
	c := &Canvas{}
	c.Text(Margin, 28, Start, "title", f.Title)
	left, top := Margin+56.0, 48.0
	x, y := f.scales(left, top)
	for _, tick := range x.Ticks() {
		c.Line(x.At(tick), top, x.At(tick), top+curvesHeight, "axis")
		c.Text(x.At(tick), top+curvesHeight+16, Middle, "dim small", Number(tick))
	}
	for _, tick := range y.Ticks() {
		c.Line(left, y.At(tick), left+scatterWidth, y.At(tick), "axis")
		c.Text(left-6, y.At(tick)+4, End, "dim small", Number(tick))
	}
	c.Text(left+scatterWidth/2, top+curvesHeight+36, Middle, "dim", f.X)
	for i, l := range f.Lines {
		l.draw(c, x, y, Colour(i+1))
		at := top + float64(i)*20
		c.Dot(left+scatterWidth+20, at+6, 5, Colour(i+1), false, l.Name)
		c.Text(left+scatterWidth+32, at+11, Start, "dim", l.Name)
	}
	return c.WriteTo(w, f.Title)
}

// scales begin at zero where nothing lies below.
func (f *Curves) scales(left, top float64) (x, y Scale) {
	right, low, high := 0.0, 0.0, math.Inf(-1)
	for _, l := range f.Lines {
		for _, p := range l.Points {
			if finite(p[1]) {
				right, low, high = max(right, p[0]), min(low, p[1]), max(high, p[1])
			}
		}
	}
	return NewScale(0, right, 6, left, left+scatterWidth), NewScale(low, high, 4, top+curvesHeight, top)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// draw joins the points; one alone is a mark.
func (l *Curve) draw(c *Canvas, x, y Scale, colour string) {
	var line [][2]float64
	flush := func() {
		if len(line) == 1 {
			c.Dot(line[0][0], line[0][1], 3, colour, false, l.Name)
		}
		c.Path(line, colour, false)
		line = nil
	}
	for _, p := range l.Points {
		if !finite(p[1]) {
			flush()
			continue
		}
		line = append(line, [2]float64{x.At(p[0]), y.At(p[1])})
	}
	flush()
}
