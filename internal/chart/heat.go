package chart

import (
	"fmt"
	"io"
)

// Heat are rows of shares, 0 to 1, each a cell from pale to full.
type Heat struct {
	Title, X string
	Rows     []HeatRow
}

// HeatRow is one row; the cells of all rows are as wide as those of the longest.
type HeatRow struct {
	Name   string
	Values []float64
}

const (
	heatWidth = 480.0
	heatRow   = 18.0
	heatNames = 160.0
)

// WriteSVG draws the cells.
func (f *Heat) WriteSVG(w io.Writer) error {
	c := &Canvas{}
	c.Text(Margin, 28, Start, "title", f.Title)
	left, longest := Margin+heatNames, 1
	for _, r := range f.Rows {
		longest = max(longest, len(r.Values))
	}
	wide := heatWidth / float64(longest)
	for i, r := range f.Rows {
		y := 44 + float64(i)*heatRow
		c.Text(left-8, y+13, End, "dim small", Fit(r.Name, 11, heatNames-8))
		for k, v := range r.Values {
			c.Rect(left+float64(k)*wide, y+1, max(wide-min(1, wide/4), 0.5), heatRow-2, shade(v), fmt.Sprintf("%s, %d: %.0f %%", r.Name, k+1, 100*v))
		}
	}
	c.Text(left+heatWidth/2, 44+float64(len(f.Rows))*heatRow+18, Middle, "dim", f.X)
	return c.WriteTo(w, f.Title)
}

// shade lies between a pale grey and the palette's blue.
func shade(v float64) string {
	from, to := [3]float64{0xe4, 0xe8, 0xec}, [3]float64{0x00, 0x72, 0xb2}
	v = min(max(v, 0), 1)
	mix := func(i int) int { return int(from[i] + (to[i]-from[i])*v + 0.5) }
	return fmt.Sprintf("#%02x%02x%02x", mix(0), mix(1), mix(2))
}
