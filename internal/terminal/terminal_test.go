package terminal

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain – text ×": "plain – text ×", "a\nb\tc": "a\nb\tc",
		"\x1b[31mred":    `\u001b[31mred`,
		"\u009b31m":      `\u009b31m`,
		"\x07\x7f\r":     `\u0007\u007f\u000d`,
		"a\u202eb\u2066": `a\u202eb\u2066`,
		"bad\xffbytes":   `bad\xffbytes`,
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	if got := Line("a\nb\x1b"); got != `a\nb\u001b` {
		t.Errorf("%q", got)
	}
	long := strings.Repeat("é", 1<<20)
	got := Line(long)
	if n := utf8.RuneCountInString(got); n > maxValue+80 || !strings.Contains(got, "[1048576 characters]") {
		t.Errorf("%d runes: %.300s", n, got)
	}
	if got := Message("a \n b"); got != "a b" {
		t.Errorf("%q", got)
	}
}

// TestWriter: however the text is cut into writes, what comes out is the same.
func TestWriter(t *testing.T) {
	text := "é\u202e×\x1b[0m\xff\xc3"
	for size := 1; size <= len(text); size++ {
		var b strings.Builder
		w := &Writer{To: &b}
		for i := 0; i < len(text); i += size {
			if _, err := w.Write([]byte(text[i:min(i+size, len(text))])); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := b.String(), Safe(strings.TrimSuffix(text, "\xc3")); got != want {
			t.Errorf("in pieces of %d: %q, want %q", size, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{Safe(s), Line(s), Message(s)} {
			if !utf8.ValidString(out) {
				t.Errorf("%q is no text", out)
			}
			for _, r := range out {
				if r != '\n' && r != '\t' && unicode.IsControl(r) {
					t.Errorf("%q has control character %U", out, r)
				}
			}
		}
		if strings.ContainsAny(Line(s), "\n\t") {
			t.Errorf("%q is not one line", Line(s))
		}
	})
}

// TestPainter: outcomes are coloured, whatever the pieces; the text stays.
func TestPainter(t *testing.T) {
	const text = "model x\npass a  b\nFAIL c  d\n  FAIL no outcome\ntail"
	const want = "model x\n\x1b[32mpass\x1b[0m a  b\n\x1b[1;31mFAIL c  d\x1b[0m\n  FAIL no outcome\ntail"
	for size := 1; size <= len(text); size++ {
		var b strings.Builder
		p := &Painter{To: &b}
		w := &Writer{To: p}
		for i := 0; i < len(text); i += size {
			if _, err := w.Write([]byte(text[i:min(i+size, len(text))])); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil || b.String() != want {
			t.Fatalf("in pieces of %d: %q, want %q (%v)", size, b.String(), want, err)
		}
	}
}
