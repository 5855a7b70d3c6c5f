package table

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/afc-project/afc/internal/terminal"
)

// Align is the side on which a column's cells are flush.
type Align int

// The sides.
const (
	Left Align = iota
	Right
)

// Table is a header and rows of cells. Columns beyond Align are flush right,
// as numbers are; the first is flush left unless Align says otherwise.
type Table struct {
	Header []string
	Align  []Align
	rows   [][]string // nil: a rule
}

// New makes a table with a header.
func New(header ...string) *Table { return &Table{Header: header} }

// Add appends a row. Missing cells are empty. A cell is one line, whatever names
// from files it has.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = terminal.Line(c)
	}
	t.rows = append(t.rows, row)
}

// Rule appends a rule, before totals for instance.
func (t *Table) Rule() { t.rows = append(t.rows, nil) }

func (t *Table) align(col int) Align {
	switch {
	case col < len(t.Align):
		return t.Align[col]
	case col == 0:
		return Left
	}
	return Right
}

// Write prints the table, two spaces between columns, each line behind indent.
func (t *Table) Write(w io.Writer, indent string) error {
	widths := make([]int, len(t.Header))
	measure := func(cells []string) {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	measure(t.Header)
	for _, r := range t.rows {
		measure(r)
	}
	rule := make([]string, len(widths))
	for i, n := range widths {
		rule[i] = strings.Repeat("─", n)
	}
	var b strings.Builder
	line := func(cells []string) {
		var l strings.Builder
		for i, width := range widths {
			cell := ""
			if i < len(cells) {
				cell = cells[i]
			}
			if i > 0 {
				l.WriteString("  ")
			}
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
			if t.align(i) == Right {
				l.WriteString(pad + cell)
			} else {
				l.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(indent+l.String(), " ") + "\n")
	}
	line(t.Header)
	line(rule)
	for _, r := range t.rows {
		if r == nil {
			r = rule
		}
		line(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
