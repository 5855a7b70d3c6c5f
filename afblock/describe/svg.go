package describe

import (
	"fmt"
	"io"

	"github.com/afc-project/afc/internal/chart"
)

// The drawing's measures, in pixels.
const (
	boxWidth, boxHeight = 250.0, 68.0
	columnGap, rowGap   = 46.0, 28.0
	drawingTop          = 48.0
)

// WriteSVG draws the structure from input to output, an AF module as its
// branches side by side: on each box what it makes, and what it costs a clip
// with every frame selected. Equal descriptions give equal bytes.
func (d *Description) WriteSVG(w io.Writer) error {
	p := &plan{c: &chart.Canvas{}, total: d.MACs, left: chart.Margin, top: drawingTop}
	for _, s := range d.Stages {
		if s.AF != nil {
			p.middle = (boxWidth + columnGap) / 2
		}
	}
	p.middle += p.left + boxWidth/2
	title := fmt.Sprintf("%s, %s, %d frames", d.Method, d.Backbone, d.Frames)
	if d.MACs > 0 {
		title += ", " + giga(d.MACs) + "MACs a clip"
	}
	p.c.Text(chart.Margin, 28, chart.Start, "title", title)
	input := box{name: "input", lines: []string{fmt.Sprintf("%d frames a clip", d.Frames), "of any size"}}
	if d.Input != nil {
		input.lines[0] = d.Input.Name + " " + d.Input.Shape
	}
	if d.Size != nil {
		input.lines[1] = fmt.Sprintf("%d frames of %d×%d, %d channels", d.Frames, d.Size[0], d.Size[1], d.Channels)
	}
	p.step(input)
	p.step(box{name: "stem", lines: []string{fmt.Sprintf("%d → %d channels", d.Channels, d.Stages[0].In)}, macs: d.StemMACs})
	for _, s := range d.Stages {
		if s.AF != nil {
			p.module(s)
			continue
		}
		lines := []string{fmt.Sprintf("%d %s blocks%s", s.Blocks, s.Kind, s.shiftText()), s.mapText()}
		if s.Schedule != "" {
			lines[0] = fmt.Sprintf("%d %s blocks%s, frames %s", s.Blocks, s.Kind, s.shiftText(), s.Schedule)
		}
		p.step(box{s.Name, lines, s.MACs})
	}
	h := d.Head
	p.step(box{"head", []string{fmt.Sprintf("%d → %d classes", h.Features, h.Classes), h.Consensus}, h.MACs})
	return p.c.WriteTo(w, title)
}

// mapText says what a stage makes of a frame.
func (s *StageDescriptor) mapText() string {
	text := fmt.Sprintf("%d → %d channels", s.In, s.Out)
	if s.Map != nil {
		text += fmt.Sprintf(", maps of %d×%d", s.Map[0], s.Map[1])
	}
	return text
}

func (s *StageDescriptor) shiftText() string {
	if s.Shift == nil {
		return ""
	}
	return ", shift " + s.Shift.text(s.Blocks)
}

// box is a part of the network as it is drawn.
type box struct {
	name  string
	lines []string
	macs  float64 // 0: not known, or none
}

// plan puts boxes under each other.
type plan struct {
	c      *chart.Canvas
	total  float64 // of the network, in multiply–accumulates
	left   float64 // of what stands side by side
	middle float64
	top    float64 // of the next box
	last   [][2]float64
}

// step draws a box in the middle, under what there is.
func (p *plan) step(b box) {
	p.join(p.middle, "")
	p.draw(b, p.middle-boxWidth/2, p.top)
	p.last = [][2]float64{{p.middle, p.top + boxHeight}}
	p.top += boxHeight + rowGap
}

// join draws arrows from what was drawn last to the top of a box.
func (p *plan) join(x float64, class string) {
	for _, from := range p.last {
		p.c.Arrow(from[0], from[1], x, p.top, class)
	}
}

// module draws an AF module: the ample and the focal branch side by side, then
// what mixes them and the last block.
func (p *plan) module(s StageDescriptor) {
	m := s.AF
	ample, focal := p.left+boxWidth/2, p.left+boxWidth+columnGap+boxWidth/2
	p.join(ample, "")
	p.join(focal, "")
	p.draw(box{s.Name + " ample", []string{fmt.Sprintf("%d blocks, %d channels", s.Blocks-1, s.Out/m.Alpha), "every frame, at half the size"}, m.AmpleMACs}, p.left, p.top)
	groups := ""
	if m.Groups > 1 {
		groups = fmt.Sprintf(", %d groups", m.Groups)
	}
	navigation := "selected frames: " + m.Navigation
	if m.Dense {
		navigation = "selected frames (dense): " + m.Navigation
	}
	p.draw(box{s.Name + " focal", []string{fmt.Sprintf("%d blocks, %d channels%s", s.Blocks-1, s.Out, groups), navigation}, m.FocalMACs}, focal-boxWidth/2, p.top)
	p.c.Arrow(ample+boxWidth/2, p.top+boxHeight/2, focal-boxWidth/2, p.top+boxHeight/2, "dashed")
	p.last = [][2]float64{{ample, p.top + boxHeight}, {focal, p.top + boxHeight}}
	p.top += boxHeight + rowGap
	p.step(box{s.Name + " mix, fusion", []string{fmt.Sprintf("last block%s", s.shiftText()), s.mapText()}, m.FusionMACs + m.RestMACs})
}

// draw draws a box, and in it a bar of its share of the whole.
func (p *plan) draw(b box, x, y float64) {
	share, cost := 0.0, ""
	if p.total > 0 && b.macs > 0 {
		share = b.macs / p.total
		cost = fmt.Sprintf("%.3g G, %.1f %%", b.macs/1e9, 100*share)
	}
	p.c.Box(x, y, boxWidth, boxHeight)
	p.c.Text(x+10, y+20, chart.Start, "bold", b.name)
	p.c.Text(x+boxWidth-10, y+20, chart.End, "dim small", cost)
	for i, line := range b.lines {
		p.c.Text(x+10, y+38+16*float64(i), chart.Start, "small", chart.Fit(line, 11, boxWidth-20))
	}
	if cost != "" {
		p.c.Rect(x+1, y+boxHeight-5, max(share*(boxWidth-2), 1), 4, chart.Colour(1), b.name+": "+cost+" of the multiply–accumulates")
	}
}
