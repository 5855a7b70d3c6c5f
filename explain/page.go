package explain

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"
	"strings"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("explain").Funcs(template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) },
	"part":    func(n, of int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1))) },
	"giga":    func(x float64) string { return fmt.Sprintf("%.3g", x/1e9) },
	"times":   func(a, b float64) string { return fmt.Sprintf("%.3f", a/b) },
}).Parse(pageText))

// MostClips is how many clips the page shows one by one.
const MostClips = 60

// extremes is how many of the dearest and cheapest clips the page names.
const extremes = 5

type pageData struct {
	*Report
	Totals      Totals
	Headline    string
	FrameNames  []int
	Share       []pageRow
	Classes     []pageClass
	Most, Least []pageClip
	Shown       []pageClip
	Hidden      int // clips not shown one by one
}

// pageRow is a row of a table with a column a frame.
type pageRow struct {
	Name    string
	Product bool // of a stage's masks
	Cells   []pageCell
	Ratio   float64
}

type pageCell struct {
	Class string       // "on", "off", "share" or "cells"
	Share string       // opacity of "share"
	Title string       // for the reader who points at it, or listens
	Grid  template.URL // a picture of the cells
}

type pageClass struct {
	Class
	Name string
}

type pageClip struct {
	*Clip
	ID                            int
	LabelName, Answers, SourceSay string
	Thumbs                        []template.URL
	Rows                          []pageRow
	Right, Agreed                 bool
}

// WriteHTML writes the report as one page that needs nothing else: no scripts,
// pictures inside. A class of the report is shown by its name, if it has one.
func (r *Report) WriteHTML(w io.Writer) error {
	p := pageData{Report: r, Totals: r.Totals(), Headline: r.Headline()}
	for t := range r.Frames {
		p.FrameNames = append(p.FrameNames, t+1)
	}
	p.Share = r.shareRows()
	for _, k := range r.Classes() {
		p.Classes = append(p.Classes, pageClass{k, r.say(k.Label)})
	}
	most, least := r.Extremes(extremes)
	for _, i := range most {
		p.Most = append(p.Most, r.pageClip(i))
	}
	for _, i := range least {
		p.Least = append(p.Least, r.pageClip(i))
	}
	for i := range min(len(r.Clips), MostClips) {
		c := r.pageClip(i)
		if err := c.draw(r); err != nil {
			return fmt.Errorf("%s: %w", r.Clips[i].Name, err)
		}
		p.Shown = append(p.Shown, c)
	}
	p.Hidden = len(r.Clips) - len(p.Shown)
	return pageTemplate.Execute(w, p)
}

// Headline says in one sentence how much was computed and how often the answer
// was the source's, or right.
func (r *Report) Headline() string {
	t := r.Totals()
	s := fmt.Sprintf("%.0f %% of the frames computed over %s", 100*t.Ratio, plural(t.Clips, "clip"))
	if r.SourceMACs > 0 {
		s += fmt.Sprintf(", %.2f of the source's multiply-accumulates", t.MACs/r.SourceMACs)
	}
	if r.Time > 0 {
		s += fmt.Sprintf(" and %.2f of its time", r.Time)
		if r.Threads == 1 {
			s += " on one thread"
		}
	}
	if t.Compared > 0 {
		s += fmt.Sprintf("; answers as the source does on %.1f %%", 100*float64(t.Agreed)/float64(t.Compared))
	}
	if t.Labelled > 0 {
		s += fmt.Sprintf("; right on %.1f %%", 100*float64(t.Right)/float64(t.Labelled))
		if t.Compared > 0 {
			s += fmt.Sprintf(" (source %.1f %%)", 100*float64(t.SourceRight)/float64(t.Labelled))
		}
	}
	return s + "."
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (r *Report) className(class int) string {
	if class >= 0 && class < len(r.ClassNames) {
		return r.ClassNames[class]
	}
	return ""
}

// say names a class for a reader.
func (r *Report) say(class int) string {
	if name := r.className(class); name != "" {
		return name
	}
	if class < 0 {
		return ""
	}
	return fmt.Sprintf("class %d", class)
}

func (r *Report) shareRows() []pageRow {
	var rows []pageRow
	share := r.Share()
	b := 0
	for _, s := range r.Stages {
		for _, name := range s.Blocks {
			row := pageRow{Name: name}
			for t, part := range share[b] {
				row.Ratio += part / float64(r.Frames)
				row.Cells = append(row.Cells, pageCell{
					Class: "share", Share: fmt.Sprintf("%.2f", part),
					Title: fmt.Sprintf("%s, frame %d: computed in %.0f %% of the clips", name, t+1, 100*part),
				})
			}
			rows = append(rows, row)
			b++
		}
	}
	return rows
}

func (r *Report) pageClip(i int) pageClip {
	c := &r.Clips[i]
	return pageClip{
		Clip: c, ID: i + 1, LabelName: r.say(c.Label), Answers: r.say(c.Answer), SourceSay: r.say(c.Source),
		Right: c.Label >= 0 && c.Answer == c.Label, Agreed: c.Source >= 0 && c.Answer == c.Source,
	}
}

// draw fills in pictures and rows.
func (c *pageClip) draw(r *Report) error {
	for _, img := range c.Thumbnails {
		url, err := picture(img)
		if err != nil {
			return err
		}
		c.Thumbs = append(c.Thumbs, url)
	}
	b := 0
	for _, s := range r.Stages {
		first := b
		for _, name := range s.Blocks {
			row := pageRow{Name: name}
			for t, on := range c.Computed[b] {
				cell := maskCell(name, t, on)
				if on && b < len(c.Cells) && c.Cells[b] != nil {
					cell.Class, cell.Grid = "cells", grid(c.Cells[b][t])
				}
				row.Cells = append(row.Cells, cell)
				row.Ratio += float64(count(on)) / float64(len(c.Computed[b]))
			}
			c.Rows = append(c.Rows, row)
			b++
		}
		if len(s.Blocks) > 1 {
			row := pageRow{Name: s.Name + " in all", Product: true}
			for t, on := range c.Weights(first, b) {
				row.Cells = append(row.Cells, maskCell("every block of "+s.Name, t, on))
				row.Ratio += float64(count(on)) / float64(r.Frames)
			}
			c.Rows = append(c.Rows, row)
		}
	}
	return nil
}

func maskCell(name string, t int, on bool) pageCell {
	if on {
		return pageCell{Class: "on", Title: fmt.Sprintf("%s computed frame %d", name, t+1)}
	}
	return pageCell{Class: "off", Title: fmt.Sprintf("%s skipped frame %d", name, t+1)}
}

// picture is an image inside the page.
func picture(img image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil // #nosec G203 -- base64
}

// grid draws the cells of a map that were computed.
func grid(cells [][]bool) template.URL {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">`, len(cells[0]), len(cells))
	for y, row := range cells {
		for x, on := range row {
			if on {
				fmt.Fprintf(&b, `<rect x="%d" y="%d" width="1" height="1" fill="#2f6fb3"/>`, x, y)
			}
		}
	}
	b.WriteString("</svg>")
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(b.String()))) // #nosec G203 -- base64
}
