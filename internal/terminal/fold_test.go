package terminal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	for _, c := range []struct {
		text        string
		width, hang int
		want        string
	}{
		{"one two three", 0, 2, "one two three"},
		{"one two three", 13, 2, "one two three"},
		{"one two three\n", 9, 2, "one two\n  three\n"},
		{"one two three", 8, 2, "one two\n  three"},
		{"one two three", 7, 0, "one two\nthree"},
		{"  × two  three four\nfive", 9, 4, "  × two\n    three\n    four\nfive"},
		{"a /very/long/path/of/a/file b", 8, 2, "a\n  /very/long/path/of/a/file\n  b"},
		{"   longer-than-that", 8, 2, "   longer-than-that"},
	} {
		if got := Fold(c.text, c.width, c.hang); got != c.want {
			t.Errorf("Fold(%q, %d, %d) = %q, want %q", c.text, c.width, c.hang, got, c.want)
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add("one  two\nthree", 5, 2)
	f.Fuzz(func(t *testing.T, text string, width, hang int) {
		if width < 1 || width > 200 || hang < 0 || !utf8.ValidString(text) {
			return
		}
		got := Fold(text, width, hang)
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Errorf("Fold(%q, %d, %d) = %q has other words", text, width, hang, got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("Fold(%q, %d, %d): line %q is longer, and could be broken", text, width, hang, line)
			}
		}
	})
}
