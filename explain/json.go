package explain

// Data is what WriteHTML shows, as data.
type Data struct {
	Model      string      `json:"model"`
	Source     string      `json:"source,omitempty"`
	Input      string      `json:"input"`
	Frames     int         `json:"frames"`
	Stages     []StageData `json:"stages"`
	SourceMACs float64     `json:"source_macs,omitempty"`
	Time       float64     `json:"time_to_source,omitempty"` // median over rounds, side by side
	Totals     TotalsData  `json:"totals"`
	Share      [][]float64 `json:"share"` // by block and frame, of the clips
	Classes    []ClassData `json:"classes,omitempty"`
	Clips      []ClipData  `json:"clips"`
}

// StageData is a stage and its blocks.
type StageData struct {
	Name   string   `json:"name"`
	Blocks []string `json:"blocks"`
}

// TotalsData are sums and means over the clips.
type TotalsData struct {
	Clips       int     `json:"clips"`
	Labelled    int     `json:"labelled"`
	Right       int     `json:"right"`
	SourceRight int     `json:"source_right"`
	Compared    int     `json:"compared"`
	Agreed      int     `json:"agreed"`
	Ratio       float64 `json:"ratio"`
	MACs        float64 `json:"macs"`
}

// ClassData is what the clips of a class have in common.
type ClassData struct {
	Label int     `json:"label"`
	Name  string  `json:"name,omitempty"`
	Clips int     `json:"clips"`
	Right int     `json:"right"`
	Ratio float64 `json:"ratio"`
	MACs  float64 `json:"macs"`
}

// ClipData is what was computed of a clip.
type ClipData struct {
	Name   string  `json:"name"`
	Label  *int    `json:"label,omitempty"`
	Answer int     `json:"answer"`
	Source *int    `json:"source_answer,omitempty"`
	MACs   float64 `json:"macs"`
	Ratio  float64 `json:"ratio"`
	// Masks are 0 or 1 by block and frame; Cells by block, frame, row, column.
	Masks [][]int     `json:"masks"`
	Cells [][][][]int `json:"cells,omitempty"`
}

// Data is the report as data, masks as lists of 0 and 1.
func (r *Report) Data() Data {
	t := r.Totals()
	out := Data{
		Model: r.Model, Source: r.Source, Input: r.Input, Frames: r.Frames, SourceMACs: r.SourceMACs, Time: r.Time,
		Totals: TotalsData{t.Clips, t.Labelled, t.Right, t.SourceRight, t.Compared, t.Agreed, t.Ratio, t.MACs},
		Share:  r.Share(), Clips: []ClipData{},
	}
	for _, s := range r.Stages {
		out.Stages = append(out.Stages, StageData(s))
	}
	for _, k := range r.Classes() {
		out.Classes = append(out.Classes, ClassData{k.Label, r.className(k.Label), k.Clips, k.Right, k.Ratio, k.MACs})
	}
	for _, c := range r.Clips {
		out.Clips = append(out.Clips, ClipData{
			Name: c.Name, Label: known(c.Label), Answer: c.Answer, Source: known(c.Source), MACs: c.MACs, Ratio: c.Ratio(),
			Masks: bits(c.Computed), Cells: each(c.Cells, func(b [][][]bool) [][][]int { return each(b, bits) }),
		})
	}
	return out
}

func known(class int) *int {
	if class < 0 {
		return nil
	}
	return &class
}

func each[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i, x := range in {
		out[i] = f(x)
	}
	return out
}

func bits(m [][]bool) [][]int {
	return each(m, func(row []bool) []int { return each(row, count) })
}
