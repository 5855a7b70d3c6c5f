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
	scatterWidth  = 540.0
	scatterHeight = 380.0
	legendRow     = 20.0
)

// WriteSVG draws the points.
func (f *Scatter) WriteSVG(w io.Writer) error { return WriteScatters(w, f) }

// WriteScatters draws figures under each other.
func WriteScatters(w io.Writer, figures ...*Scatter) error {
	c := &Canvas{}
	from := 0.0
	for _, f := range figures {
		from = f.put(c, from) + 20
	}
	return c.WriteTo(w, figures[0].Title)
}

// put draws the points from a height on, and returns how far down it came.
func (f *Scatter) put(c *Canvas, from float64) float64 {
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
	l := &labels{left: left, right: left + scatterWidth, top: top, bottom: top + scatterHeight}
	for _, s := range f.Series {
		for _, p := range s.Points {
			l.taken = append(l.taken, box{x.At(p.X) - 6, y.At(p.Y) - 6, x.At(p.X) + 6, y.At(p.Y) + 6})
		}
	}
	for i, s := range f.Series {
		s.draw(c, x, y, Colour(i+1))
		for _, p := range s.Points {
			l.put(c, x.At(p.X), y.At(p.Y), p.Label)
		}
	}
	return f.legend(c, left, top+scatterHeight+52)
}

// legend names the series, and returns how far down it came.
func (f *Scatter) legend(c *Canvas, x, top float64) float64 {
	for i, s := range f.Series {
		y := top + float64(i)*legendRow
		c.Dot(x+5, y+6, 5, Colour(i+1), s.Published, s.Name)
		name := s.Name
		if s.Published {
			name += " (published, not measured here)"
		}
		c.Text(x+17, y+11, Start, "dim", name)
	}
	return top + float64(len(f.Series))*legendRow
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
	}
}

// labels are put beside points where nothing else stands.
type labels struct {
	left, right, top, bottom float64
	taken                    []box
}

type box struct{ left, top, right, bottom float64 }

func (b box) over(o box) bool {
	return b.left < o.right && o.left < b.right && b.top < o.bottom && o.top < b.bottom
}

// put writes a point's label at the nearest free place: to the right, to the left,
// higher or lower. Where all is full it stands where the first one would: a reader
// who points at the mark sees its name.
func (l *labels) put(c *Canvas, x, y float64, text string) {
	const size, step, furthest = 11.0, 12.0, 60.0
	width := TextWidth(text, size)
	place := func(dy float64, anchor Anchor) box {
		from := x + 8
		if anchor == End {
			from = x - 8 - width
		}
		return box{from, y + dy - 9, from + width, y + dy + 2}
	}
	at, side, dy := place(-6, Start), Start, -6.0
search:
	for far := 0.0; far <= furthest; far += step {
		for _, d := range []float64{-6 - far, 14 + far} {
			for _, anchor := range []Anchor{Start, End} {
				if b := place(d, anchor); l.free(b) {
					at, side, dy = b, anchor, d
					break search
				}
			}
		}
	}
	l.taken = append(l.taken, at)
	if math.Abs(dy) > 14 { // too far off to be taken for the point's without a line
		edge := at.left
		if side == End {
			edge = at.right
		}
		c.Line(x, y, edge, y+dy-4, "axis")
	}
	if side == End {
		c.Text(x-8, y+dy, End, "small", text)
	} else {
		c.Text(x+8, y+dy, Start, "small", text)
	}
}

func (l *labels) free(b box) bool {
	if b.left < l.left || b.right > l.right || b.top < l.top || b.bottom > l.bottom {
		return false
	}
	for _, o := range l.taken {
		if b.over(o) {
			return false
		}
	}
	return true
}
