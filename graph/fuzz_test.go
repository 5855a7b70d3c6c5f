package graph_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// FuzzDecode feeds Decode anything. What it reads must be written and read
// again to the same bytes and the same text, whether Check likes it or not;
// and all that in bounded memory and time.
func FuzzDecode(f *testing.F) {
	f.Add(wire(f, everything()))
	for _, path := range testutil.Corpus(f) {
		if strings.Contains(path, "testdata") { // the committed ones: enough variety
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data) })
}

func roundTrip(t *testing.T, data []byte) {
	start := time.Now()
	var m *graph.Model
	var err error
	got := allocated(func() { m, err = graph.Decode(data) })
	if limit := memoryLimit(len(data)); got > limit {
		t.Errorf("%d bytes of file allocate %d, limit %d", len(data), got, limit)
	}
	if err != nil {
		return
	}
	valid := graph.Check(m) == nil
	first, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatalf("read, but not written: %v", err)
	}
	again, err := graph.Decode(first)
	if err != nil {
		t.Fatalf("written, but not read again: %v", err)
	}
	second, err := graph.EncodeBytes(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("read again, it is written differently:\n%q\n%q", first, second)
	}
	if a, b := graph.Text(m), graph.Text(again); a != b {
		t.Errorf("read again, it shows differently:\n%s\n%s", a, b)
	}
	if (graph.Check(again) == nil) != valid {
		t.Errorf("Check says %v, before writing it said valid = %v", graph.Check(again), valid)
	}
	if c := m.Clone(); graph.Text(c) != graph.Text(m) {
		t.Errorf("the clone shows differently")
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v for %d bytes", d, len(data))
	}
}
