package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe writes out what a terminal would act on, or would not show: control
// characters but line breaks and tabs, marks that turn the direction of text,
// and bytes that are no text. JSON stays what it is: they are spelled as there.
func Safe(s string) string {
	if i := strings.IndexFunc(s, unsafe); i < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		b.WriteString(spelled(r, s[:n]))
		s = s[n:]
	}
	return b.String()
}

// spelled is a rune as Safe writes it; raw are its bytes.
func spelled(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case !unsafe(r):
		return raw
	}
	return fmt.Sprintf(`\u%04x`, r)
}

func unsafe(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff')
}

// The most runes of a value from a file that are printed, and of a line.
const (
	maxValue = 200
	maxLine  = 4000
)

// Line is Safe for one value: on one line, and cut short in its middle where it
// is long.
func Line(s string) string {
	s = strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(shortened(s, maxValue))
	return Safe(s)
}

// Message is Safe for a message: on one line, runs of spaces taken together.
func Message(s string) string {
	return Safe(strings.Join(strings.Fields(shortened(s, maxLine)), " "))
}

// Lines is Message for a message of several lines.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Safe(shortened(l, maxLine))
	}
	return strings.Join(lines, "\n")
}

// shortened cuts the middle out of a text of more than limit runes.
func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := utf8.RuneCountInString(s)
	if n <= limit {
		return s
	}
	head, tail := s, s
	for i := range s {
		if limit = limit - 1; limit == 0 {
			head = s[:i]
			break
		}
	}
	const end = 40
	for range end {
		_, size := utf8.DecodeLastRuneInString(tail)
		tail = tail[:len(tail)-size]
	}
	return fmt.Sprintf("%s…[%d characters]…%s", head, n, s[len(tail):])
}

// Writer passes text on, made safe.
type Writer struct {
	To   io.Writer
	part []byte // the beginning of a rune
}

func (w *Writer) Write(p []byte) (int, error) {
	text := append(w.part, p...)
	w.part = nil
	if n := cutRune(text); n > 0 {
		w.part = append([]byte{}, text[len(text)-n:]...)
		text = text[:len(text)-n]
	}
	if _, err := io.WriteString(w.To, Safe(string(text))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// cutRune is how many bytes at the end begin a rune that is not complete.
func cutRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if c := p[len(p)-n]; utf8.RuneStart(c) {
			if c >= 0xc0 && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
