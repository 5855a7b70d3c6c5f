package table

import (
	"io"
	"slices"
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

// List makes a table of rows of text without a header: names and what there is to
// say of them.
func List(columns int) *Table {
	return &Table{Header: make([]string, columns), Align: make([]Align, columns)}
}

// Add appends a row. Missing cells are empty. A cell is one line, whatever names
// from files it has.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = terminal.Line(c)
	}
	t.rows = append(t.rows, row)
}

// AddSafe is Add for cells that are safe already, and may be long.
func (t *Table) AddSafe(cells ...string) { t.rows = append(t.rows, cells) }

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

// between is what stands between two columns.
const between = "  "

// Write prints the table, two spaces between columns, each line behind indent. On
// a terminal it fits the width: headers and text are broken into lines, and columns
// that still have no room are put into further tables below, each with the first
// column.
func (t *Table) Write(w io.Writer, indent string) error {
	widths := make([]int, len(t.Header))
	for _, cells := range append([][]string{t.Header}, t.rows...) {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	parts := [][]int{columns(len(widths))}
	if room := terminal.Columns(w); room > 0 {
		parts = t.fit(widths, room-utf8.RuneCountInString(indent))
	}
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString("\n")
		}
		t.write(&b, indent, part, widths)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit narrows widths until the columns take no more than room, and says which
// columns stand in one table.
func (t *Table) fit(widths []int, room int) [][]int {
	all := columns(len(widths))
	least := make([]int, len(widths))
	for i := range least {
		least[i] = t.least(i, room)
	}
	if needed(all, least) <= room {
		narrow(all, widths, least, room)
		return [][]int{all}
	}
	var parts [][]int
	for i := 1; i < len(widths); i++ {
		if n := len(parts) - 1; n >= 0 && needed(append(slices.Clone(parts[n]), i), least) <= room {
			parts[n] = append(parts[n], i)
		} else {
			parts = append(parts, []int{0, i})
		}
	}
	fitted := slices.Clone(widths)
	for _, part := range parts {
		own := slices.Clone(widths)
		narrow(part, own, least, room)
		for _, c := range part[1:] {
			fitted[c] = own[c]
		}
		fitted[0] = min(fitted[0], own[0])
	}
	copy(widths, fitted)
	return parts
}

// leastText is how narrow a column of text may get, if its words are.
const leastText = 20

// least is the width that a column needs: numbers whole, text by its words, as
// far as they have room at all.
func (t *Table) least(col, room int) int {
	n := longestWord(t.Header[col])
	for _, row := range t.rows {
		switch {
		case col >= len(row):
		case t.align(col) == Right:
			n = max(n, utf8.RuneCountInString(row[col]))
		default:
			n = max(n, min(leastText, utf8.RuneCountInString(row[col])))
		}
	}
	return min(n, max(leastText, room/2))
}

func longestWord(s string) int {
	n := 0
	for word := range strings.FieldsSeq(s) {
		n = max(n, utf8.RuneCountInString(word))
	}
	return n
}

// needed is what columns of these widths take.
func needed(cols, widths []int) int {
	n := len(between) * (len(cols) - 1)
	for _, c := range cols {
		n += widths[c]
	}
	return n
}

// narrow takes from the widest of the columns that can give until they fit.
func narrow(cols, widths, least []int, room int) {
	for over := needed(cols, widths) - room; over > 0; over-- {
		widest := -1
		for _, c := range cols {
			if widths[c] > least[c] && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func columns(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// write prints some columns.
func (t *Table) write(b *strings.Builder, indent string, cols, widths []int) {
	rule := make([]string, len(widths))
	for i, n := range widths {
		rule[i] = strings.Repeat("─", n)
	}
	if slices.ContainsFunc(t.Header, func(h string) bool { return h != "" }) {
		t.row(b, indent, cols, widths, t.Header)
		t.row(b, indent, cols, widths, rule)
	}
	for _, r := range t.rows {
		if r == nil {
			r = rule
		}
		t.row(b, indent, cols, widths, r)
	}
}

// row prints a row, in as many lines as its cells take.
func (t *Table) row(b *strings.Builder, indent string, cols, widths []int, cells []string) {
	lines, height := make([][]string, len(cols)), 1
	for k, c := range cols {
		if c < len(cells) {
			lines[k] = t.pieces(cells[c], c, widths[c])
		}
		height = max(height, len(lines[k]))
	}
	for i := range height {
		var l strings.Builder
		for k, c := range cols {
			cell := ""
			if i < len(lines[k]) {
				cell = lines[k][i]
			}
			if k > 0 {
				l.WriteString(between)
			}
			pad := strings.Repeat(" ", max(0, widths[c]-utf8.RuneCountInString(cell)))
			if t.align(c) == Right {
				l.WriteString(pad + cell)
			} else {
				l.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(indent+l.String(), " ") + "\n")
	}
}

// pieces breaks a cell at spaces, and inside words that have no room; but for
// words of text at the end of lines, which may be paths, to be copied.
func (t *Table) pieces(cell string, col, width int) []string {
	broken := terminal.Break(cell, max(width, 1), 0)
	if col == len(t.Header)-1 && t.align(col) == Left {
		return broken
	}
	var out []string
	for _, piece := range broken {
		for utf8.RuneCountInString(piece) > width && width > 0 {
			head := string([]rune(piece)[:width])
			out, piece = append(out, head), piece[len(head):]
		}
		out = append(out, piece)
	}
	return out
}
