package table

import (
	"strings"
	"testing"
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
