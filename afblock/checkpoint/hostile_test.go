package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/limits"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// TestPickleCosts fills a pickle with each opcode, in forms that run: what it
// allocates must stay in bounds, whether it is taken or refused.
func TestPickleCosts(t *testing.T) {
	class := "ccollections\nOrderedDict\nq\x00"
	text := strings.Repeat("1", 200)
	for name, form := range map[string]string{
		"mark": "(", "dict": "}", "list": "]", "tuple": ")", "set": "\x8f", "none": "N", "duplicate": "2",
		"byte": "K\x01", "short": "M\x01\x01", "int": "J\x01\x00\x00\x00", "float": "G\x00\x00\x00\x00\x00\x00\x00\x00",
		"line int": "I1\n", "line long": "L1\n", "long line long": "L" + text + "\n", "line float": "F1\n", "line string": "S''\n",
		"long line": "V" + text + "\n", "unicode": "V\n", "string": "U\x00", "long string": "U\xc8" + text,
		"X": "X\x00\x00\x00\x00", "bytes": "C\x00", "T": "T\x00\x00\x00\x00", "B": "B\x00\x00\x00\x00", "short unicode": "\x8c\x00",
		"bytearray": "\x96\x00\x00\x00\x00\x00\x00\x00\x00", "long": "\x8a\x01\x01", "long long": "\x8a\xff\xff" + strings.Repeat("\x80", 254),
		"memoize": "N\x94", "put": "Nr%%%%", "get": "h\x00", "tuple of one": "N\x85", "tuple of two": "NN\x86", "tuples": "(t", "lists": "(l", "dicts": "(d",
		"dict of one": "(NNd", "frozen": "(\x91", "ordered": "h\x00)R", "objects": "(h\x00o", "instance": "(icollections\nOrderedDict\n", "foreign": "h\x00)\x81",
		"append": "]Na", "appends": "](NNe", "set item": "}NNs", "set items": "}(NNu", "add": "\x8f(N\x90", "pop": "N0", "pop mark": "(1",
		"global": "ccollections\nOrderedDict\n", "stack global": "U\x0bcollectionsU\x0bOrderedDict\x93", "state": "}}b", "persistent": "NQ", "protocol": "\x80\x02",
		"frame": "\x95\x00\x00\x00\x00\x00\x00\x00\x00", "frame of one": "\x95\x01\x00\x00\x00\x00\x00\x00\x00N",
		"ordered items": "h\x00)R(NNu",
	} {
		for _, size := range []int{200_000, 1_000_000} {
			var program bytes.Buffer
			program.WriteString(class)
			for i := uint32(0); program.Len() < size; i++ {
				program.WriteString(strings.Replace(form, "%%%%", string(binary.LittleEndian.AppendUint32(nil, i)), 1))
			}
			program.WriteByte('.')
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				bounds.Hold(t, program.Len(), func() {
					// An error that prints what it found may be the expensive part.
					if _, _, err := unpickle(program.Bytes(), limits.NewAllowance(int64(program.Len())), persistentStorage); err != nil {
						_ = err.Error()
					}
				})
			})
		}
	}
}

// TestSafetensorsCosts fills a header with small things.
func TestSafetensorsCosts(t *testing.T) {
	for name, form := range map[string][3]string{ // opening, repeated, closing; # numbers
		"empty entries":   {"{", `"#":{},`, `"x":{}}`},
		"tensors":         {"{", `"#":{"dtype":"U8","shape":[],"data_offsets":[0,0]},`, `"x":{}}`},
		"metadata":        {`{"__metadata__":{`, `"#":"",`, `"x":""}}`},
		"nested metadata": {`{"__metadata__":{"x":[`, `{},`, `0]}}`},
		"dimensions":      {`{"x":{"dtype":"U8","data_offsets":[0,0],"shape":[`, `0,`, `0]}}`},
		"lists":           {`{"x":{"dtype":"U8","data_offsets":[0,0],"shape":[`, `[],`, `0]}}`},
		"escapes":         {`{"x":{"dtype":"`, "\\u0000", `"}}`},
		"space":           {"{", " ", "}"},
		"deep":            {"{", `"x":{`, "}"},
	} {
		for _, size := range []int{300_000, 600_000, 2_000_000} {
			text := []byte(form[0])
			for i := 0; len(text) < size; i++ {
				text = append(text, strings.Replace(form[1], "#", fmt.Sprint(i), 1)...)
			}
			text = append(text, form[2]...)
			raw := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(raw)), func(t *testing.T) { holdCheckpoint(t, raw) })
			padded := append(raw, make([]byte, 8*len(raw))...)
			t.Run(fmt.Sprintf("%s, %d bytes, then zeros", name, len(raw)), func(t *testing.T) { holdCheckpoint(t, padded) })
		}
	}
}

// holdCheckpoint reads a checkpoint in bounds; what it holds must be whole.
func holdCheckpoint(t *testing.T, raw []byte) {
	bounds.Hold(t, len(raw), func() {
		sd, err := decodeCheckpoint(bytes.NewReader(raw), int64(len(raw)), "")
		if err != nil {
			_ = err.Error()
			return
		}
		for name, x := range sd.All() {
			b, err := x.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := x.NumBytes(); err != nil || n != int64(len(b)) {
				t.Fatalf("%q: %v has %d bytes (%v)", name, x.Dims, len(b), err)
			}
		}
	})
}

// TestArchiveCosts reads archives that unpack to far more than they are.
func TestArchiveCosts(t *testing.T) {
	zeros := make([]byte, 1<<20)
	array := append([]byte("\x93NUMPY\x01\x00\x3e\x00"), fmt.Sprintf("%-61s\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (0,), }")...)
	make := func(write func(z *zip.Writer)) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		write(z)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	add := func(z *zip.Writer, name string, method uint16, parts ...[]byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	bomb := bytes.Repeat(zeros, 200)
	for _, tc := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"one large entry", make(func(z *zip.Writer) { add(z, "x.npy", zip.Deflate, array, bomb) }), "far more than its size"},
		{"a large pickle", make(func(z *zip.Writer) { add(z, "x/data.pkl", zip.Deflate, bomb) }), "far more than its size"},
		{"many entries", make(func(z *zip.Writer) {
			for i := range 150 {
				add(z, fmt.Sprintf("%d.npy", i), zip.Deflate, array, zeros)
			}
		}), "far more than its size"},
		{"very many entries", make(func(z *zip.Writer) {
			for range 60_000 {
				add(z, ".npy", zip.Store, array)
			}
		}), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			holdCheckpoint(t, tc.raw)
			_, err := decodeCheckpoint(bytes.NewReader(tc.raw), int64(len(tc.raw)), "")
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%d bytes: %v, want %q", len(tc.raw), err, tc.want)
			}
		})
	}
}

// checkpoints are the committed ones whose names end so.
func checkpoints(f *testing.F, ending string) [][]byte {
	files, err := filepath.Glob("testdata/checkpoints/*" + ending)
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	var all [][]byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// FuzzCheckpoint reads any bytes as a checkpoint of any format.
func FuzzCheckpoint(f *testing.F) {
	for _, raw := range checkpoints(f, "") {
		f.Add(raw)
	}
	f.Fuzz(holdCheckpoint)
}

// FuzzSafetensors reads a header and data as a safetensors file, so that the
// fuzzer need not learn to keep the length in front right.
func FuzzSafetensors(f *testing.F) {
	for _, raw := range checkpoints(f, ".safetensors") {
		n := binary.LittleEndian.Uint64(raw)
		f.Add(raw[8:8+n], raw[8+n:])
	}
	f.Fuzz(func(t *testing.T, header, data []byte) {
		if len(header) == 0 || header[0] != '{' {
			return
		}
		holdCheckpoint(t, append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...))
	})
}

// FuzzPickle drives the pickle machine alone, past the archive's checksums.
func FuzzPickle(f *testing.F) {
	for rest := checkpoints(f, "legacy.pth")[0]; len(rest) > 0; {
		n, err := scanPickle(rest, limits.NewAllowance(0))
		if err != nil {
			break
		}
		f.Add(rest[:n])
		rest = rest[n:]
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bounds.Hold(t, len(b), func() {
			mem := limits.NewAllowance(int64(len(b)))
			top, _, err := unpickle(b, mem, persistentStorage)
			if err != nil {
				return
			}
			_, _ = collectTensors(top, "", mem, func(*storageRef) ([]byte, error) { return make([]byte, 64), nil })
		})
	})
}
