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
	"github.com/afc-project/afc/internal/testutil/bounds"
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

// header is an array's file up to its elements.
func header(dict string) []byte {
	return append([]byte("\x93NUMPY\x01\x00"), string(rune(len(dict)))+"\x00"+dict...)
}

// FuzzDecode reads arrays past the archive's checksums.
func FuzzDecode(f *testing.F) {
	for _, dict := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", "{'descr': '<f8', 'fortran_order': True, 'shape': (), }\n",
	} {
		f.Add(append(header(dict), make([]byte, 8)...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		bounds.Hold(t, len(raw), func() {
			if x, err := Decode(raw); err == nil {
				whole(t, x)
			}
		})
	})
}

// FuzzArchive reads .npz archives.
func FuzzArchive(f *testing.F) {
	for _, name := range []string{"numpy.npz", "compressed.npz", "big.npz"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "afblock", "checkpoint", "testdata", "checkpoints", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		bounds.Hold(t, len(raw), func() {
			arrays, err := read(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				return
			}
			for _, a := range arrays {
				whole(t, a.Tensor)
			}
		})
	})
}

// whole holds a tensor to having the bytes that its type and dimensions say.
func whole(t *testing.T, x *graph.Tensor) {
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := x.NumBytes(); err != nil || n != int64(len(raw)) {
		t.Fatalf("%v has %d bytes (%v)", x.Dims, len(raw), err)
	}
}
