package graph_test

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/onnxpb"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// externalTensor is an initializer of n float32 elements in an external file.
func externalTensor(name string, n int64, entries ...string) *onnxpb.TensorProto {
	p := &onnxpb.TensorProto{
		Name: &name, Dims: []int64{n}, DataType: proto.Int32(int32(graph.Float32)),
		DataLocation: onnxpb.TensorProto_EXTERNAL.Enum(),
	}
	for i := 0; i < len(entries); i += 2 {
		p.ExternalData = append(p.ExternalData, &onnxpb.StringStringEntryProto{Key: &entries[i], Value: &entries[i+1]})
	}
	return p
}

// writeModel puts a model of the initializers, which nothing reads, and a
// node into folder.
func writeModel(t *testing.T, folder string, initializers ...*onnxpb.TensorProto) string {
	t.Helper()
	float := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(1)}}}
	data, err := proto.Marshal(&onnxpb.ModelProto{
		IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(13)}},
		Graph: &onnxpb.GraphProto{
			Name: proto.String("g"), Initializer: initializers,
			Input:  []*onnxpb.ValueInfoProto{{Name: proto.String("x"), Type: float}},
			Node:   []*onnxpb.NodeProto{{OpType: proto.String("Relu"), Input: []string{"x"}, Output: []string{"y"}}},
			Output: []*onnxpb.ValueInfoProto{{Name: proto.String("y"), Type: float}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "model.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pattern returns n bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestExternalDataIsRead(t *testing.T) {
	// One file below the size from which files are mapped, one above, one in a
	// folder below, one through a link that stays inside.
	folder := t.TempDir()
	small, large := pattern(4000), pattern(3<<20)
	for name, b := range map[string][]byte{"small.data": small, "large.data": large, "sub/a.data": small} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("small.data", filepath.Join(folder, "link")); err != nil {
		t.Skip(err)
	}
	path := writeModel(t, folder,
		externalTensor("a", 10, "location", "small.data", "offset", "8", "length", "40", "checksum", fmt.Sprintf("%X", sha1.Sum(small))),
		externalTensor("b", 700_000, "location", "large.data", "offset", "4096", "x-mine", "kept"),
		externalTensor("c", 5, "location", "./sub/a.data"),
		externalTensor("d", 5, "location", "link", "offset", "3980"),
		externalTensor("shared", 10, "location", "./small.data", "offset", "8"))
	m, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := graph.Check(m); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"a": small[8:48], "b": large[4096 : 4096+4*700_000], "c": small[:20], "d": small[3980:4000], "shared": small[8:48],
	}
	compare := func(m *graph.Model) {
		t.Helper()
		for _, v := range m.Graph.Initializers() {
			got, err := v.Initializer().Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[v.Name()]) {
				t.Errorf("%s: not the bytes of the file", v.Name())
			}
		}
	}
	compare(m)

	inside, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := graph.Decode(inside)
	if err != nil {
		t.Fatal(err)
	}
	compare(embedded)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Graph.Initializers()[0].Initializer().Bytes(); err == nil {
		t.Error("external data can be read after Close")
	}

	// Decoded from memory, the references stay as they were.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	loose, err := graph.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loose.Graph.Initializers()[0].Initializer().Bytes(); err == nil || !strings.Contains(err.Error(), "small.data") {
		t.Errorf("bytes of a model without folder: error %v, want one naming the file", err)
	}
	again, err := graph.EncodeBytes(loose)
	if err != nil {
		t.Fatal(err)
	}
	if d := diffModels(t, data, again); d != "" {
		t.Errorf("references changed (-read +written)\n%s", d)
	}
}

func TestExternalDataIsRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, pattern(100), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		tensors []*onnxpb.TensorProto
		want    []string // in the message
	}{
		{"absolute", []*onnxpb.TensorProto{externalTensor("w", 5, "location", outside)}, []string{`"w"`, outside, "inside the model's folder"}},
		{"climbing", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "sub/../../secret")}, []string{`"w"`, "inside the model's folder"}},
		{"climbing and back", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "sub/../ok.data")}, []string{`"w"`, "inside the model's folder"}},
		{"backslashes", []*onnxpb.TensorProto{externalTensor("w", 5, "location", `..\secret`)}, []string{`"w"`, "inside the model's folder"}},
		{"drive", []*onnxpb.TensorProto{externalTensor("w", 5, "location", `C:secret`)}, []string{`"w"`, "inside the model's folder"}},
		{"link to file outside", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "escape")}, []string{`"w"`, "escape", "inside the model's folder"}},
		{"link to folder outside", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "away/secret")}, []string{`"w"`, "away/secret", "inside the model's folder"}},
		{"folder", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "sub")}, []string{`"w"`, "not a regular file"}},
		{"missing file", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "gone.data")}, []string{`"w"`, "gone.data", "no such file"}},
		{"no location", []*onnxpb.TensorProto{externalTensor("w", 5, "offset", "0")}, []string{`"w"`, "without a location"}},
		{"short file", []*onnxpb.TensorProto{externalTensor("w", 24, "location", "ok.data", "offset", "8")}, []string{`"w"`, "96 bytes from 8", "has 100"}},
		{"offset past the end", []*onnxpb.TensorProto{externalTensor("w", 1, "location", "ok.data", "offset", "9223372036854775807")}, []string{`"w"`, "has 100"}},
		{"negative offset", []*onnxpb.TensorProto{externalTensor("w", 1, "location", "ok.data", "offset", "-4")}, []string{`"w"`, "offset", `"-4"`}},
		{"offset not a number", []*onnxpb.TensorProto{externalTensor("w", 1, "location", "ok.data", "offset", "4k")}, []string{`"w"`, "offset", `"4k"`}},
		{"length of another size", []*onnxpb.TensorProto{externalTensor("w", 5, "location", "ok.data", "length", "24")}, []string{`"w"`, "takes 20 bytes, length says 24"}},
		{"lying dimensions", []*onnxpb.TensorProto{externalTensor("w", 1<<40, "location", "ok.data")}, []string{`"w"`, "has 100"}},
		{"overlap", []*onnxpb.TensorProto{
			externalTensor("v", 5, "location", "ok.data", "offset", "16"),
			externalTensor("w", 5, "location", "./ok.data", "offset", "0"),
		}, []string{`"w" (bytes 0 to 20)`, `"v" (bytes 16 to 36)`, "overlap"}},
		{"nested overlap", []*onnxpb.TensorProto{
			externalTensor("u", 20, "location", "ok.data"),
			externalTensor("none", 0, "location", "ok.data", "offset", "4"),
			externalTensor("w", 2, "location", "ok.data", "offset", "40"),
		}, []string{`"u"`, `"w"`, "overlap"}},
		{"two checksums", []*onnxpb.TensorProto{
			externalTensor("v", 1, "location", "ok.data", "checksum", "aa"),
			externalTensor("w", 1, "location", "ok.data", "offset", "4", "checksum", "bb"),
		}, []string{`"w"`, "checksum"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "ok.data"), pattern(100), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			for link, target := range map[string]string{"escape": outside, "away": filepath.Dir(outside)} {
				if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
					t.Skip(err)
				}
			}
			path := writeModel(t, folder, c.tensors...)
			_, err := graph.ReadFile(path)
			refused(t, err, append(c.want, path)...)
		})
	}
}

// refused fails unless err says all of want.
func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("message %q does not say %q", err, w)
		}
	}
}

func TestExternalDataChangedBehindTheModel(t *testing.T) {
	for _, c := range []struct {
		name, checksum string
		change         func(path string) error
		want           string
	}{
		{"truncated", "", func(p string) error { return os.Truncate(p, 10) }, "now has 10"},
		{"removed", "", os.Remove, "no such file"},
		{"other content", fmt.Sprintf("%x", sha1.Sum(pattern(100))), func(p string) error { return os.WriteFile(p, make([]byte, 100), 0o644) }, "checksum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			data := filepath.Join(folder, "w.data")
			if err := os.WriteFile(data, pattern(100), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := graph.ReadFile(writeModel(t, folder, externalTensor("w", 25, "location", "w.data", "checksum", c.checksum)))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.change(data); err != nil {
				t.Fatal(err)
			}
			_, err = m.Graph.Initializers()[0].Initializer().Bytes()
			refused(t, err, `"w"`, "w.data", c.want)
		})
	}
}

func TestEncodeExternal(t *testing.T) {
	m := graph.NewModel("m", 8, 13)
	g := m.Graph
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(1)))
	sizes := []int64{300, 2, 2000, 300}
	inputs := []*graph.Value{x}
	shared := graph.Float32s([]int64{300}, make([]float32, 300)...)
	for i, n := range sizes {
		w := shared
		if n != 300 {
			w = graph.Float32s([]int64{n}, make([]float32, n)...)
			raw, err := w.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			copy(raw, pattern(len(raw)))
		}
		inputs = append(inputs, g.NewInitializer(fmt.Sprint("w", i), w))
	}
	g.AddOutput(g.NewNode("Sum", "sum", inputs, 1).Output(0))
	g.Outputs()[0].Type = graph.TensorType(graph.Float32, nil)

	folder := t.TempDir()
	write := func() (model, data []byte) {
		var mb, db bytes.Buffer
		if err := m.EncodeExternal(&mb, &db, "m.onnx.data"); err != nil {
			t.Fatal(err)
		}
		return mb.Bytes(), db.Bytes()
	}
	model, data := write()
	if again, dataAgain := write(); !bytes.Equal(model, again) || !bytes.Equal(data, dataAgain) {
		t.Error("written twice, different bytes")
	}
	if want := 4096 + 4*2000; len(data) != want {
		t.Errorf("data has %d bytes, want %d: the shared tensor once, the large one at a page, the small one inside", len(data), want)
	}
	path := filepath.Join(folder, "m.onnx")
	for p, b := range map[string][]byte{path: model, path + ".data": data} {
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	back, err := graph.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := graph.EncodeBytes(back)
	if err != nil {
		t.Fatal(err)
	}
	if d := diffModels(t, a, b); d != "" {
		t.Errorf("external data written and read changes the model\n%s", d)
	}
	for _, location := range []string{"../x", "/x", ""} {
		if err := m.EncodeExternal(io.Discard, io.Discard, location); err == nil {
			t.Errorf("location %q: accepted", location)
		}
	}
}

// TestMoreThanTwoGigabytes passes a tensor of 2.1 GB, in a sparse file,
// through a model: too much for one file, not for external data.
func TestMoreThanTwoGigabytes(t *testing.T) {
	folder := t.TempDir()
	const elements = int64(530 << 20)
	f, err := os.Create(filepath.Join(folder, "w.data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4 * elements); err != nil {
		t.Skip(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := graph.ReadFile(writeModel(t, folder, externalTensor("w", elements, "location", "w.data")))
	if err != nil {
		t.Fatal(err)
	}
	size, err := m.EncodedSize()
	if err != nil {
		t.Fatal(err)
	}
	if size <= graph.MaxFileSize {
		t.Errorf("encoded size is %d, want more than %d", size, graph.MaxFileSize)
	}
	refused(t, m.Encode(io.Discard), "external data")
	var model bytes.Buffer
	data := &counter{}
	got := bounds.Allocated(func() { err = m.EncodeExternal(&model, data, "out.data") })
	if err != nil {
		t.Fatal(err)
	}
	if got > 1<<20 {
		t.Errorf("writing %d bytes of external data allocates %d", data.n, got)
	}
	if data.n != 4*elements || model.Len() > 1000 {
		t.Errorf("wrote %d bytes of data and %d of model, want %d and less than 1000", data.n, model.Len(), 4*elements)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
