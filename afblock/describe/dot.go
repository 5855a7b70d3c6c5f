package describe

import (
	"fmt"
	"strings"
)

// DOT draws the stage structure in Graphviz's language: the stages from input
// to output, an AF module as its branches. Equal descriptions give equal text.
func (d *Description) DOT() string {
	var b strings.Builder
	b.WriteString("digraph network {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	last := ""
	node := func(id string, lines ...string) {
		fmt.Fprintf(&b, "  %s [label=%q];\n", id, strings.Join(lines, "\n"))
	}
	edge := func(from, to string) { fmt.Fprintf(&b, "  %s -> %s;\n", from, to) }
	step := func(id string, lines ...string) {
		node(id, lines...)
		if last != "" {
			edge(last, id)
		}
		last = id
	}
	input := []string{"video", fmt.Sprintf("T = %d", d.Frames)}
	if d.Input != nil {
		input = []string{d.Input.Name + " " + d.Input.Shape, input[1]}
	}
	step("input", input...)
	step("stem", "stem", fmt.Sprintf("%d → %d", d.Channels, d.Stages[0].In))
	for _, s := range d.Stages {
		shift := "no shift"
		if s.Shift != nil {
			shift = "shift " + s.Shift.text(s.Blocks)
		}
		title := fmt.Sprintf("%s: %d × %s", s.Name, s.Blocks, s.Kind)
		channels := fmt.Sprintf("%d → %d, stride %s", s.In, s.Out, s.strideText())
		if s.Schedule != "" {
			title += ", frames " + s.Schedule
		}
		if s.AF == nil {
			step(s.Name, title, channels, shift)
			continue
		}
		ample, focal, fusion := s.Name+"_ample", s.Name+"_focal", s.Name+"_fusion"
		node(ample, s.Name+" ample", fmt.Sprintf("%d blocks, %d channels", s.Blocks-1, s.Out/s.AF.Alpha), "every frame at half size")
		node(focal, s.Name+" focal", fmt.Sprintf("%d blocks, %d channels, G %d", s.Blocks-1, s.Out, s.AF.Groups), "selected frames: "+s.AF.Navigation+s.AF.cellsText())
		edge(last, ample)
		edge(last, focal)
		fmt.Fprintf(&b, "  %s -> %s [style=dashed, label=\"navigation\"];\n", ample, focal)
		node(fusion, s.Name+" fusion", channels, shift)
		edge(ample, fusion)
		edge(focal, fusion)
		last = fusion
	}
	step("head", fmt.Sprintf("%d → %d classes", d.Head.Features, d.Head.Classes), d.Head.Consensus)
	b.WriteString("}\n")
	return b.String()
}
