package passes

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/afc-project/afc/internal/table"
	"github.com/afc-project/afc/internal/terminal"
)

// PrintTable writes the pipeline as a table for people: each pass, the jobs
// that run it and what it does; which passes are repeated; what holds from a
// pass on, and what needs it; why the order is what it is.
func PrintTable(w io.Writer) {
	t := table.List(3)
	for _, p := range Table {
		jobs := "both"
		switch {
		case p.In&ToOptimize == 0 && p.In&fromSource == 0:
			jobs = "convert*"
		case p.In&ToOptimize == 0:
			jobs = "convert"
		case p.In&ToConvert == 0:
			jobs = "optimize"
		}
		t.AddSafe(p.Name, jobs, p.Doc)
	}
	t.Write(w, "")
	fmt.Fprintln(w, "* of an AFNet that afc wrote")
	fmt.Fprintln(w, "\nRepeated until nothing changes:")
	for i, p := range Table {
		if p.Loop != "" && (i == 0 || Table[i-1].Loop != p.Loop) {
			terminal.Sayf(w, "  %s\n", strings.Join(passNames(func(q Pass) bool { return q.Loop == p.Loop }), ", "))
		}
	}
	fmt.Fprintln(w, "\nWhat holds from a pass on:")
	for _, p := range Table {
		for _, f := range p.Ensures {
			needs := func(q Pass) bool {
				return slices.ContainsFunc(q.Requires, func(r Fact) bool { return r.Name == f.Name })
			}
			terminal.Sayf(w, "  %s: %s; needed by %s\n", p.Name, f.Name, strings.Join(passNames(needs), ", "))
		}
	}
	fmt.Fprintln(w, "\nWhy in this order:")
	for _, o := range Orders {
		terminal.Sayf(w, "  %s before %s: %s\n", o.Before, o.After, o.Reason)
	}
}

// passNames returns the names of the passes chosen, in order.
func passNames(which func(Pass) bool) []string {
	var names []string
	for _, p := range Table {
		if which(p) {
			names = append(names, p.Name)
		}
	}
	return names
}
