package numpy

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sbinet/npyio/npy"

	"github.com/afc-project/afc/graph"
)

func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	floats, ints := encode(t, []float32{1, 2.5, -3}), encode(t, []int64{7, 8})
	plain := filepath.Join(dir, "x.npy")
	if err := os.WriteFile(plain, floats, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	x, err := got[0].Tensor.Float32s()
	if err != nil || len(got) != 1 || got[0].Name != "" || !cmp.Equal(x, []float32{1, 2.5, -3}) {
		t.Errorf("x.npy: %v %v, %v", got, x, err)
	}

	archive := filepath.Join(dir, "x.npz")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, entry := range []struct {
		name string
		raw  []byte
	}{{"labels.npy", ints}, {"video.npy", floats}} {
		w, err := z.Create(entry.name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(entry.raw)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, err = ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "labels" || got[1].Name != "video" || got[0].Tensor.DType != graph.Int64 {
		t.Errorf("x.npz: %v", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(t, []float32{1, 2, 3})
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for name, raw := range map[string][]byte{
		"not a NumPy array":      []byte("GIF89a      "),
		"truncated":              good[:20],
		"needs 12 bytes":         good[:len(good)-4],
		"not supported":          replace("<f4", ">f4"),
		"needs 16 bytes, has 12": replace("(3,)", "(4,)"),
	} {
		if _, err := Decode(raw); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x93NUMPY\x01\x00\x16\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n0000"))
	f.Fuzz(func(t *testing.T, raw []byte) { Decode(raw) })
}
