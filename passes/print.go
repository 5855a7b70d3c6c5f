package passes

import (
	"fmt"
	"io"
)

// PrintTable writes the pipeline as a table for people: each pass, the jobs
// that run it and what it does; then why the order is what it is.
func PrintTable(w io.Writer) {
	for _, p := range Table {
		jobs := "both"
		switch {
		case p.In&ToOptimize == 0:
			jobs = "convert"
		case p.In&ToConvert == 0:
			jobs = "optimize"
		}
		fmt.Fprintf(w, "%-26s %-9s %s\n", p.Name, jobs, p.Doc)
	}
	fmt.Fprintln(w, "\nWhy in this order:")
	for _, o := range Orders {
		fmt.Fprintf(w, "  %s before %s: %s\n", o.Before, o.After, o.Reason)
	}
}
