package chart

import (
	"fmt"
	"io"
	"math"
)

// Scatter are series of points on two axes, as papers show accuracy against
// cost.
type Scatter struct {
	Title, X, Y string
	Series      []Series
}

// Series are points of one kind.
type Series struct {
	Name string
	// Published marks figures of papers, not measured here: hollow and dashed.
	Published bool
	Joined    bool // by a line, in their order
	Points    []Point
}

// Point is one figure; Error is its standard error in Y, 0 if not known.
type Point struct {
	X, Y, Error float64
	Label       string
}

const (
	scatterWidth  = 620.0
	scatterHeight = 380.0
	legendGap     = 110.0 // room for the labels of points at the edge
)

// WriteSVG draws the points.
func (f *Scatter) WriteSVG(w io.Writer) error { return WriteScatters(w, f) }

// WriteScatters draws figures under each other.
func WriteScatters(w io.Writer, figures ...*Scatter) error {
	c := &Canvas{}
	for i, f := range figures {
		f.put(c, float64(i)*(scatterHeight+130))
	}
	return c.WriteTo(w, figures[0].Title)
}

// put draws the points from a height on.
func (f *Scatter) put(c *Canvas, from float64) {
	c.Text(Margin, from+28, Start, "title", f.Title)
	left, top := Margin+56.0, from+60.0
	x, y := f.scales(left, top)
	for _, tick := range x.Ticks() {
		c.Line(x.At(tick), top, x.At(tick), top+scatterHeight, "axis")
		c.Text(x.At(tick), top+scatterHeight+16, Middle, "dim small", Number(tick))
	}
	for _, tick := range y.Ticks() {
		c.Line(left, y.At(tick), left+scatterWidth, y.At(tick), "axis")
		c.Text(left-6, y.At(tick)+4, End, "dim small", Number(tick))
	}
	c.Text(left+scatterWidth/2, top+scatterHeight+36, Middle, "dim", f.X)
	c.Text(Margin, top-12, Start, "dim small", f.Y)
	for i, s := range f.Series {
		s.draw(c, x, y, Colour(i+1))
	}
	f.legend(c, left+scatterWidth+legendGap, top)
}

func (f *Scatter) legend(c *Canvas, x, top float64) {
	for i, s := range f.Series {
		y := top + float64(i)*20
		c.Dot(x, y+6, 5, Colour(i+1), s.Published, s.Name)
		name := s.Name
		if s.Published {
			name += " (published, not measured here)"
		}
		c.Text(x+12, y+11, Start, "dim", name)
	}
}

// scales cover all points; costs begin at zero.
func (f *Scatter) scales(left, top float64) (x, y Scale) {
	lowY, highX, highY := math.Inf(1), 0.0, math.Inf(-1)
	for _, s := range f.Series {
		for _, p := range s.Points {
			highX = max(highX, p.X)
			lowY, highY = min(lowY, p.Y-p.Error), max(highY, p.Y+p.Error)
		}
	}
	if lowY > highY {
		lowY, highY = 0, 1
	}
	return NewScale(0, highX, 6, left, left+scatterWidth), NewScale(lowY, highY, 6, top+scatterHeight, top)
}

func (s *Series) draw(c *Canvas, x, y Scale, colour string) {
	var line [][2]float64
	for _, p := range s.Points {
		line = append(line, [2]float64{x.At(p.X), y.At(p.Y)})
	}
	if s.Joined {
		c.Path(line, colour, s.Published)
	}
	for _, p := range s.Points {
		px, py := x.At(p.X), y.At(p.Y)
		if p.Error > 0 {
			c.Line(px, y.At(p.Y-p.Error), px, y.At(p.Y+p.Error), "mark")
		}
		c.Dot(px, py, 5, colour, s.Published, fmt.Sprintf("%s, %s: %s, %s", s.Name, p.Label, Figure(p.X), Figure(p.Y)))
		c.Text(px+8, py-6, Start, "small", p.Label)
	}
}
