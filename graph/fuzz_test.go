package graph_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/internal/testutil/bounds"
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
	bounds.Hold(t, len(data), func() { m, err = graph.Decode(data) })
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
	if d := time.Since(start); d > bounds.Time {
		t.Errorf("took %v for %d bytes", d, len(data))
	}
}

// FuzzExternal feeds ReadFile any reference to external data, in a folder with
// ways out of it. What is read must come from the one file that is inside.
func FuzzExternal(f *testing.F) {
	for _, location := range []string{"in.data", "./in.data", "sub/../in.data", "../secret", "out", "away/secret", "sub", "/etc/passwd", `..\secret`, ""} {
		f.Add(location, "0", "16", int64(4))
	}
	f.Add("in.data", "-1", "0x10", int64(-1))
	f.Add("in.data", "9223372036854775807", "9223372036854775807", int64(1)<<61)
	base := f.TempDir()
	folder, inside := filepath.Join(base, "model"), pattern(64)
	if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o755); err != nil {
		f.Fatal(err)
	}
	for path, content := range map[string][]byte{
		filepath.Join(folder, "in.data"): inside, filepath.Join(base, "secret"): bytes.Repeat([]byte("secret"), 20),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": "../secret", "away": "..", "self": "self", "abs": filepath.Join(base, "secret")} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			f.Skip(err)
		}
	}
	f.Fuzz(func(t *testing.T, location, offset, length string, n int64) {
		path := writeModel(t, folder, externalTensor("w", n, "location", location, "offset", offset, "length", length))
		var m *graph.Model
		var got []byte
		var err, unread error
		bounds.Hold(t, len(location)+len(offset)+len(length)+len(inside), func() {
			if m, err = graph.ReadFile(path); err == nil {
				got, unread = m.Graph.Initializers()[0].Initializer().Bytes()
			}
		})
		if err != nil {
			return
		}
		defer m.Close()
		if filepath.Clean(location) == filepath.Base(path) {
			return
		}
		if unread != nil {
			t.Fatalf("accepted, but not read: %v", unread)
		}
		at, err := strconv.Atoi(offset)
		if err != nil {
			t.Fatalf("offset %q accepted", offset)
		}
		if !bytes.Equal(got, inside[at:at+int(4*n)]) {
			t.Errorf("%q gives bytes that are not those of the file inside", location)
		}
	})
}
