package chart

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Colours tell series apart, also for readers who see few colours (the
// Okabe–Ito palette).
var Colours = []string{"#8a8f96", "#56b4e9", "#009e73", "#e69f00", "#0072b2", "#d55e00", "#cc79a7", "#b8a90d"}

// Colour is the colour of the i-th series.
func Colour(i int) string { return Colours[i%len(Colours)] }

// on is the class of text on a colour: the one of dark and pale that stands out
// more (the contrast of WCAG).
func on(colour string) string {
	var rgb [3]uint8
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		panic("BUG: colour " + colour)
	}
	light := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		light += weight * math.Pow((float64(rgb[i])/255+0.055)/1.055, 2.4)
	}
	const dark = 0.009 // of #14181c
	if (1+0.05)/(light+0.05) > (light+0.05)/(dark+0.05) {
		return "on pale"
	}
	return "on"
}

const style = `<style>
svg { --ink: #1b1f24; --dim: #5b6570; --line: #d5dae0; --paper: #fff; --box: #f6f8fa; background: var(--paper); max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6eaee; --dim: #9aa5b1; --line: #39424c; --paper: #14181c; --box: #1d2329; } }
text { font: 13px system-ui, sans-serif; fill: var(--ink); } .dim { fill: var(--dim); } .title { font-size: 16px; font-weight: 600; }
.small { font-size: 11px; } .bold { font-weight: 600; } .box { fill: var(--box); stroke: var(--line); } .flow { stroke: var(--dim); fill: none; }
.dashed { stroke-dasharray: 4 4; } .head { fill: var(--dim); } .on { font-size: 11px; fill: #14181c; } .pale { fill: #fff; } .axis { stroke: var(--line); } .mark { stroke: var(--ink); }
</style>
`

// Canvas collects shapes; its size grows with what is put on it.
type Canvas struct {
	b             strings.Builder
	width, height float64
}

// Anchor says which end of a text stands at its place.
type Anchor string

// The anchors.
const (
	Start  Anchor = "start"
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// TextWidth estimates how wide a text of a size in pixels is: no font is asked,
// so it errs on the wide side.
func TextWidth(s string, size float64) float64 {
	return 0.6 * size * float64(utf8.RuneCountInString(s))
}

// Fit cuts a text short so that it is no wider than so many pixels.
func Fit(s string, size, width float64) string {
	if TextWidth(s, size) <= width {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(int(width/(0.6*size))-1, 0)]) + "…"
}

func (c *Canvas) reach(x, y float64) { c.width, c.height = max(c.width, x), max(c.height, y) }

// Text writes s at a baseline. Class is one of the style's.
func (c *Canvas) Text(x, y float64, anchor Anchor, class, s string) {
	size := map[string]float64{"title": 16, "small": 11, "dim small": 11, "on": 11, "on pale": 11}[class]
	if size == 0 {
		size = 13
	}
	right := x
	switch w := TextWidth(s, size); anchor {
	case Start:
		right += w
	case Middle:
		right += w / 2
	}
	c.reach(right, y+4)
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(s))
}

// Rect fills a rectangle; title is what a reader who points at it sees.
func (c *Canvas) Rect(x, y, w, h float64, fill, title string) {
	c.reach(x+w, y+h)
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"><title>%s</title></rect>`+"\n",
		x, y, w, h, fill, html.EscapeString(title))
}

// Box draws a rectangle that holds text.
func (c *Canvas) Box(x, y, w, h float64) {
	c.reach(x+w, y+h)
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4" class="box"/>`+"\n", x, y, w, h)
}

// Arrow draws a line with a head at its end, in the class flow and one more:
// upright, aside and upright again, or straight where it leads to one side.
func (c *Canvas) Arrow(x1, y1, x2, y2 float64, class string) {
	c.reach(max(x1, x2), max(y1, y2))
	class = strings.TrimSpace("flow " + class)
	const length, half = 7.0, 4.0
	if y1 == y2 {
		fmt.Fprintf(&c.b, `<path d="M%.1f %.1fH%.1f" class="%s"/><path d="M%.1f %.1fl%.1f %.1fv%.1fz" class="head"/>`+"\n",
			x1, y1, x2-length, class, x2, y2, -length, -half, 2*half)
		return
	}
	fmt.Fprintf(&c.b, `<path d="M%.1f %.1fV%.1fH%.1fV%.1f" class="%s"/><path d="M%.1f %.1fl%.1f %.1fh%.1fz" class="head"/>`+"\n",
		x1, y1, (y1+y2)/2, x2, y2-length, class, x2, y2, -half, -length, 2*half)
}

// Line draws a line of a class of the style.
func (c *Canvas) Line(x1, y1, x2, y2 float64, class string) {
	c.reach(max(x1, x2), max(y1, y2))
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// Path draws lines through points.
func (c *Canvas) Path(points [][2]float64, colour string, dashed bool) {
	if len(points) < 2 {
		return
	}
	var d strings.Builder
	for i, p := range points {
		c.reach(p[0], p[1])
		fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="4 4"`
	}
	fmt.Fprintf(&c.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`+"\n", d.String(), colour, dash)
}

// Dot draws a mark; hollow ones have the paper's colour inside.
func (c *Canvas) Dot(x, y, r float64, colour string, hollow bool, title string) {
	c.reach(x+r, y+r)
	fill := colour
	if hollow {
		fill = "var(--paper)"
	}
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" stroke="%s" stroke-width="1.5"><title>%s</title></circle>`+"\n",
		x, y, r, fill, colour, html.EscapeString(title))
}

// Margin is kept free around everything.
const Margin = 16.0

// WriteTo writes the figure as an SVG file. Label describes it to those who
// cannot see it.
func (c *Canvas) WriteTo(w io.Writer, label string) error {
	width, height := c.width+Margin, c.height+Margin
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n%s%s</svg>\n",
		width, height, width, height, html.EscapeString(label), style, c.b.String())
	return err
}
