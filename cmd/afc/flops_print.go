package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/afc-project/afc"
	blocks "github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
)

// printCost writes the report for people.
func printCost(w io.Writer, r *afc.CostReport) error {
	if r.Note != "" {
		terminal.Sayf(w, "note: %s\n", terminal.Message(r.Note))
	}
	if r.Total != nil {
		return printOperators(w, r)
	}
	for i, clip := range r.Clips {
		if i > 0 {
			fmt.Fprintln(w)
		}
		terminal.Sayf(w, "%s: %s, one clip of %d frames of %d×%d\n", r.Model, r.Network, clip.Frames, clip.Size[0], clip.Size[1])
		u := unitFor(clip.Columns[0].MACs)
		terminal.Sayf(w, "counts in units of %s; %s\n\n", u.power, r.Convention)
		if err := printRows(w, &clip, u); err != nil {
			return err
		}
		fmt.Fprintln(w)
		if err := printTotals(w, &clip, u); err != nil {
			return err
		}
	}
	return nil
}

// printRows writes stages or blocks: of the source all that is known, of the
// AFNet the convention asked for at every ratio.
func printRows(w io.Writer, clip *afc.ClipCost, u unit) error {
	af := clip.Columns
	if af[0].Name == "source" {
		t := table.New("source", "parameters", u.letter+"MACs", u.letter+"FLOPs", "activations")
		for _, row := range af[0].Rows {
			t.Add(blocks.InWords(row.Name), countText(row.Params), u.text(row.MACs), u.text(row.FLOPs), bytesText(row.Bytes))
		}
		if err := t.Write(w, "  "); err != nil {
			return err
		}
		if af = af[1:]; len(af) == 0 {
			return nil
		}
		fmt.Fprintln(w)
	}
	header := []string{"AFNet, frames selected", "parameters"}
	if strings.HasPrefix(af[0].Name, "frames ") {
		header[0] = "network without ample branches"
	}
	for _, column := range af {
		header = append(header, column.Name)
	}
	t := table.New(header...)
	for i, row := range af[0].Rows {
		cells := []string{blocks.InWords(row.Name), countText(row.Params)}
		for _, column := range af {
			cells = append(cells, u.text(column.Rows[i].Count))
		}
		t.Add(cells...)
	}
	return t.Write(w, "  ")
}

// printTotals writes a line for each network, in every convention.
func printTotals(w io.Writer, clip *afc.ClipCost, u unit) error {
	source := clip.Columns[0]
	header := []string{"total", "parameters", u.letter + "MACs", u.letter + "FLOPs", "authors' " + u.letter, "activations"}
	if source.Name == "source" {
		header = append(header, "÷ source")
	}
	last := clip.Columns[len(clip.Columns)-1].Executed
	if last != nil {
		header = append(header, last.Lowering+" executes "+u.letter+"MACs", u.letter+"FLOPs", "its activations", "alive at once", "kernels")
	}
	t := table.New(header...)
	for _, column := range clip.Columns {
		name := column.Name
		switch {
		case strings.HasPrefix(name, "frames "): // of a schedule
			name = "without ample branches, " + name
		case name != "source":
			name = "AFNet, " + name + " selected"
		}
		cells := []string{name, countText(column.Params), u.text(column.MACs), u.text(column.FLOPs), u.text(column.Authors), bytesText(column.Bytes)}
		if source.Name == "source" {
			cells = append(cells, share(column, source))
		}
		if e := column.Executed; e != nil {
			cells = append(cells, u.text(float64(e.MACs)), u.text(float64(e.FLOPs)), bytesText(e.ActivationBytes), bytesText(e.PeakBytes), fmt.Sprint(e.Kernels))
		}
		t.Add(cells...)
	}
	return t.Write(w, "  ")
}

func printOperators(w io.Writer, r *afc.CostReport) error {
	of := "one run"
	if r.Network != "" {
		of = r.Network + ", one clip"
	}
	u := unitFor(float64(r.Total.MACs))
	terminal.Sayf(w, "%s: %s, by operator; counts in units of %s\n\n", r.Model, of, u.power)
	t := table.New("operator", "nodes", u.letter+"MACs", u.letter+"FLOPs", "parameters", "activations")
	line := func(o afc.OperatorCost) {
		t.Add(o.Operator, strconv.Itoa(o.Nodes), u.text(float64(o.MACs)), u.text(float64(o.FLOPs)), countText(o.Params), bytesText(o.ActivationBytes))
	}
	for _, o := range r.Operators {
		line(o)
	}
	t.Rule()
	line(*r.Total)
	return t.Write(w, "  ")
}

// writeCostCSV writes a row for each stage, block or operator of each network.
func writeCostCSV(w io.Writer, r *afc.CostReport) error {
	c := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	if r.Total != nil {
		c.Write([]string{"operator", "nodes", "macs", "flops", "parameters", "activation_bytes"})
		for _, o := range append(r.Operators, *r.Total) {
			c.Write([]string{csvText(o.Operator), fmt.Sprint(o.Nodes), fmt.Sprint(o.MACs), fmt.Sprint(o.FLOPs), fmt.Sprint(o.Params), fmt.Sprint(o.ActivationBytes)})
		}
	} else {
		c.Write([]string{"frames", "height", "width", "network", "row", "macs", "flops", "authors", "parameters", "activation_bytes"})
		for _, clip := range r.Clips {
			for _, column := range clip.Columns {
				rows := append(column.Rows, afc.CostRow{
					Name: "total", MACs: column.MACs, FLOPs: column.FLOPs, Authors: column.Authors, Params: column.Params, Bytes: column.Bytes,
				})
				for _, row := range rows {
					c.Write([]string{
						fmt.Sprint(clip.Frames), fmt.Sprint(clip.Size[0]), fmt.Sprint(clip.Size[1]), csvText(column.Name), csvText(row.Name),
						number(row.MACs), number(row.FLOPs), number(row.Authors), fmt.Sprint(row.Params), fmt.Sprint(row.Bytes),
					})
				}
			}
		}
	}
	c.Flush()
	return c.Error()
}

// share prints the share of a source that a column costs.
func share(column, source afc.NetworkCost) string {
	if source.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", column.Count/source.Count)
}

// csvText keeps a name from a file from being a formula where the CSV is opened
// as a spreadsheet.
func csvText(name string) string {
	name = terminal.Line(name)
	if strings.ContainsRune("=+-@", rune((name + " ")[0])) {
		return "'" + name
	}
	return name
}
