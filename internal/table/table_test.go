package table

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/afc-project/afc/internal/terminal"
)

func sample() *Table {
	t := New("stage", "MACs", "share")
	t.Add("stem", "118 M", "3 %")
	t.Add("layer1 · AF", "1.2 G")
	t.Rule()
	t.Add("total", "4.09 G", "100 %")
	return t
}

func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := sample().Write(&b, "  "); err != nil {
		t.Fatal(err)
	}
	want := `  stage          MACs  share
  ───────────  ──────  ─────
  stem          118 M    3 %
  layer1 · AF   1.2 G
  ───────────  ──────  ─────
  total        4.09 G  100 %
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestFits: on a terminal the table takes no more than its width, by broken
// headers and text first, then by further tables.
func TestFits(t *testing.T) {
	for width, want := range map[int]string{
		33: `  stage          MACs  share
  ───────────  ──────  ─────
  stem          118 M    3 %
  layer1 · AF   1.2 G
  ───────────  ──────  ─────
  total        4.09 G  100 %
`,
		22: `  stage          MACs
  ───────────  ──────
  stem          118 M
  layer1 · AF   1.2 G
  ───────────  ──────
  total        4.09 G

  stage        share
  ───────────  ─────
  stem           3 %
  layer1 · AF
  ───────────  ─────
  total        100 %
`,
	} {
		b := terminal.Text{Width: width}
		if err := sample().Write(&b, "  "); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("at %d columns:\n%s\nwant\n%s", width, b.String(), want)
		}
	}
	list := List(2)
	list.Add("exporter", "pytorch 2.1, by way of a long list of words")
	list.Add("input", "a")
	b := terminal.Text{Width: 32}
	if err := list.Write(&b, ""); err != nil {
		t.Fatal(err)
	}
	if want := "exporter  pytorch 2.1, by way of\n          a long list of words\ninput     a\n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// TestFitsAnything: whatever is in a table, no line is longer than the terminal
// is wide, and every cell is there.
func TestFitsAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	word := func() string { return strings.Repeat("é", 1+rng.IntN(30)) }
	for range 500 {
		n := 1 + rng.IntN(12)
		header := make([]string, n)
		for i := range header {
			header[i] = strings.Repeat(fmt.Sprintf("h%d ", i), 1+rng.IntN(3))
		}
		table := New(header...)
		table.Align = []Align{Left, Left}
		for range 1 + rng.IntN(5) {
			row := make([]string, n)
			for i := range row {
				row[i] = fmt.Sprint(rng.IntN(1 << 30))
				if i < 2 {
					row[i] = word() + " " + word()
				}
			}
			table.Add(row...)
		}
		b := terminal.Text{Width: 60 + rng.IntN(60)}
		if err := table.Write(&b, "  "); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if utf8.RuneCountInString(line) > b.Width {
				t.Fatalf("%d columns, but a line has %d:\n%s", b.Width, utf8.RuneCountInString(line), b.String())
			}
		}
		for _, row := range table.rows {
			for _, cell := range row[min(2, n):] {
				if !strings.Contains(b.String(), cell) {
					t.Fatalf("%s is lost:\n%s", cell, b.String())
				}
			}
		}
	}
}
