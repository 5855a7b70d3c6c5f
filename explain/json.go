package explain

import (
	"encoding/json"
	"io"
)

// Schema is the version of the JSON that WriteJSON writes.
const Schema = 1

type reportJSON struct {
	Schema     int         `json:"schema"`
	Model      string      `json:"model"`
	Source     string      `json:"source,omitempty"`
	Input      string      `json:"input"`
	Frames     int         `json:"frames"`
	Stages     []stageJSON `json:"stages"`
	SourceMACs float64     `json:"source_macs,omitempty"`
	Totals     totalsJSON  `json:"totals"`
	Share      [][]float64 `json:"share"` // by block and frame, of the clips
	Classes    []classJSON `json:"classes,omitempty"`
	Clips      []clipJSON  `json:"clips"`
}

type stageJSON struct {
	Name   string   `json:"name"`
	Blocks []string `json:"blocks"`
}

type totalsJSON struct {
	Clips       int     `json:"clips"`
	Labelled    int     `json:"labelled"`
	Right       int     `json:"right"`
	SourceRight int     `json:"source_right"`
	Compared    int     `json:"compared"`
	Agreed      int     `json:"agreed"`
	Ratio       float64 `json:"ratio"`
	MACs        float64 `json:"macs"`
}

type classJSON struct {
	Label int     `json:"label"`
	Name  string  `json:"name,omitempty"`
	Clips int     `json:"clips"`
	Right int     `json:"right"`
	Ratio float64 `json:"ratio"`
	MACs  float64 `json:"macs"`
}

type clipJSON struct {
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

// WriteJSON writes the report as data, masks as lists of 0 and 1.
func (r *Report) WriteJSON(w io.Writer) error {
	t := r.Totals()
	out := reportJSON{
		Schema: Schema, Model: r.Model, Source: r.Source, Input: r.Input, Frames: r.Frames, SourceMACs: r.SourceMACs,
		Totals: totalsJSON{t.Clips, t.Labelled, t.Right, t.SourceRight, t.Compared, t.Agreed, t.Ratio, t.MACs},
		Share:  r.Share(), Clips: []clipJSON{},
	}
	for _, s := range r.Stages {
		out.Stages = append(out.Stages, stageJSON(s))
	}
	for _, k := range r.Classes() {
		out.Classes = append(out.Classes, classJSON{k.Label, r.className(k.Label), k.Clips, k.Right, k.Ratio, k.MACs})
	}
	for _, c := range r.Clips {
		out.Clips = append(out.Clips, clipJSON{
			Name: c.Name, Label: known(c.Label), Answer: c.Answer, Source: known(c.Source), MACs: c.MACs, Ratio: c.Ratio(),
			Masks: bits(c.Computed), Cells: each(c.Cells, func(b [][][]bool) [][][]int { return each(b, bits) }),
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(out)
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
