package describe

import (
	"cmp"
	"fmt"
	"io"

	"github.com/afc-project/afc/afblock/compiled"
	"github.com/afc-project/afc/internal/table"
)

// WriteText writes the description for people: facts line by line, then the
// stages as a table.
func (d *Description) WriteText(w io.Writer) error {
	t := table.List(2)
	fact := func(name, format string, args ...any) { t.Add(name, fmt.Sprintf(format, args...)) }
	if d.File != "" {
		fact("file", "%s", d.File)
	}
	if d.Opset > 0 {
		fact("exporter", "%s, opset %d, IR version %d", cmp.Or(d.Exporter, "unknown"), d.Opset, d.IR)
	}
	if in := d.Input; in != nil {
		layout := in.Layout
		if in.Crops > 0 {
			layout += fmt.Sprintf(" of %d crops", in.Crops)
		}
		fact("input", "%s: %s %s, %s", in.Name, in.Type, in.Shape, layout)
	}
	if out := d.Output; out != nil {
		fact("output", "%s: %s %s", out.Name, out.Type, out.Shape)
	}
	fact("network", "%s, %s%s", d.Method, d.Backbone, d.noAFNet())
	fact("frames", "%d", d.Frames)
	if d.Size != nil {
		fact("size", "%d×%d", d.Size[0], d.Size[1])
	} else {
		fact("size", "any")
	}
	fact("weights", "%s, %d parameters, batch normalisation %s", d.Weights, d.Params, d.BN)
	softmax := ""
	if d.Head.Softmax {
		softmax = ", softmax"
	}
	fact("head", "%d → %d classes, %s%s", d.Head.Features, d.Head.Classes, d.Head.Consensus, softmax)
	if a := d.AF; a != nil {
		fact("lowering", "%s, unselected frames: %s", cmp.Or(a.Lowering, "none"), a.Unselected)
		if a.Dial {
			fact("dial", "input \"margin\", added to the logits of selecting frames; 0 unless given")
		}
		if a.Precision == compiled.FP16 {
			ports := "float32"
			if a.IO == compiled.FP16 {
				ports = "half"
			}
			fact("precision", "half (fp16), choices in float32; inputs and outputs %s", ports)
		}
		fact("origin", "%s", cmp.Or(a.Tune, a.Fit, a.Origin))
		if a.FineTune {
			fact("note", "weights were transplanted, not trained: fine-tune before use")
		}
	}
	if err := t.Write(w, ""); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return d.writeStages(w)
}

// noAFNet says of a network with schedules what it is not.
func (d *Description) noAFNet() string {
	for _, s := range d.Stages {
		if s.Schedule != "" {
			return " (no AFNet: no ample branch and no navigation; which frames blocks compute is fixed)"
		}
	}
	return ""
}

func (d *Description) writeStages(w io.Writer) error {
	header := []string{"stage", "blocks", "channels", "stride", "shift", "parameters", "MACs a clip"}
	if d.AF != nil {
		header = append(header, "AF module")
	}
	t := table.New(header...)
	t.Align = []table.Align{table.Left, table.Left, table.Left, table.Left, table.Left, table.Right, table.Right, table.Left}
	for _, s := range d.Stages {
		row := []string{s.Name, fmt.Sprintf("%d %s", s.Blocks, s.Kind), fmt.Sprintf("%d → %d", s.In, s.Out),
			s.strideText(), s.Shift.text(s.Blocks), fmt.Sprint(s.Params), giga(s.MACs)}
		if d.AF != nil {
			row = append(row, s.moduleText())
		}
		t.Add(row...)
	}
	return t.Write(w, "")
}

// giga writes multiply–accumulates in 10⁹, a dash where they are not known.
func giga(macs float64) string {
	if macs == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f G", macs/1e9)
}

func (s *StageDescriptor) strideText() string {
	if s.Stride == 1 {
		return "1"
	}
	return fmt.Sprintf("%d in %s", s.Stride, s.StrideAt)
}

// text says how much is shifted, where, and in which of a stage's blocks.
func (s *ShiftDescription) text(blocks int) string {
	if s == nil {
		return "–"
	}
	text := s.Fold + " " + s.Placement
	if s.PastFirst {
		text += ", past first"
	}
	if len(s.Blocks) < blocks {
		text += fmt.Sprintf(" in %d of %d", len(s.Blocks), blocks)
	}
	return text
}

// moduleText says what skips frames in a stage.
func (s *StageDescriptor) moduleText() string {
	switch {
	case s.AF != nil:
		return s.AF.text()
	case s.Schedule != "":
		return fmt.Sprintf("none; G %d, frames %s", s.Groups, s.Schedule)
	}
	return "plain"
}

func (m *ModuleDescriptor) text() string {
	dense := ""
	if m.Dense {
		dense = ", dense"
	}
	return fmt.Sprintf("α %d, G %d, navigation %s%s%s", m.Alpha, m.Groups, m.Navigation, dense, m.cellsText())
}

// cellsText says how cells are chosen, "" where whole frames are.
func (m *ModuleDescriptor) cellsText() string {
	if m.Grid == 0 {
		return ""
	}
	return fmt.Sprintf(", cells %d×%d %s", m.Grid, m.Grid, m.Cells)
}
