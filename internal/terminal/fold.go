package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Columns is the width of the terminal that w leads to, 0 where it leads to none
// or the width is not told.
func Columns(w io.Writer) int {
	if t, ok := w.(interface{ Columns() int }); ok {
		return t.Columns()
	}
	return 0
}

// Text is a text under way to a terminal of a width, 0 for any.
type Text struct {
	strings.Builder
	Width int
}

// Columns returns the width.
func (t *Text) Columns() int { return t.Width }

// Sayf writes a sentence, folded where w leads to a terminal.
func Sayf(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, Fold(fmt.Sprintf(format, args...), Columns(w), 2))
	return err
}

// Fold breaks the lines of a text at spaces so that none takes more than width
// columns (0: any); what a line is continued with stands behind hang spaces.
// Words that are longer stay whole: they may be paths, to be copied.
func Fold(text string, width, hang int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, end := strings.TrimSuffix(line, "\n"), ""
		if len(body) < len(line) {
			end = "\n"
		}
		b.WriteString(strings.Join(Break(body, width, hang), "\n") + end)
	}
	return b.String()
}

// Break is Fold of one line, as its pieces.
func Break(line string, width, hang int) []string {
	var pieces []string
	indent := strings.Repeat(" ", min(hang, width/2))
	for utf8.RuneCountInString(line) > width {
		cut := space(line, width)
		if cut < 0 {
			break
		}
		pieces = append(pieces, strings.TrimRight(line[:cut], " "))
		line = indent + strings.TrimLeft(line[cut:], " ")
	}
	return append(pieces, line)
}

// space is where to break a line that is longer than width: at its last space
// that leaves no more, or else its first behind that; -1 where there is none. The
// spaces in front are none of either.
func space(line string, width int) int {
	last, column, begun := -1, 0, false
	for i, r := range line {
		switch {
		case r != ' ':
			begun = true
		case begun && column <= width:
			last = i
		case begun && last < 0:
			return i
		}
		if column++; column > width && last >= 0 {
			return last
		}
	}
	return last
}
