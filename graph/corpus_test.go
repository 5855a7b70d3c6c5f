package graph_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/onnxpb"
	"github.com/afc-project/afc/internal/testutil"
)

// TestCorpus holds Decode, Check, Clone and Encode to every model of the ONNX
// backend tests: what is written equals what was read.
func TestCorpus(t *testing.T) {
	for _, path := range testutil.Corpus(t) {
		m, err := graph.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := graph.Check(m); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first := encode(t, m)
		if d := diffModels(t, data, first); d != "" {
			t.Errorf("%s: Decode and Encode change it (-read +written)\n%s", path, d)
		}
		if !bytes.Equal(first, encode(t, m)) {
			t.Errorf("%s: encoded twice, different bytes", path)
		}
		again, err := graph.Decode(first)
		if err != nil {
			t.Errorf("%s: what Encode wrote: %v", path, err)
			continue
		}
		if !bytes.Equal(first, encode(t, again)) {
			t.Errorf("%s: decoded and encoded again, different bytes", path)
		}
		c := m.Clone()
		if err := graph.Check(c); err != nil {
			t.Errorf("%s: clone: %v", path, err)
		}
		if !bytes.Equal(first, encode(t, c)) {
			t.Errorf("%s: the clone encodes to different bytes", path)
		}
		if d := gocmp.Diff(graph.Text(m), graph.Text(c)); d != "" {
			t.Errorf("%s: the clone's text differs\n%s", path, d)
		}
	}
}

func encode(t *testing.T, m *graph.Model) []byte {
	t.Helper()
	b, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// diffModels compares two encoded models by meaning: however elements are
// stored, whether empty fields are there, in whatever order value_info is.
func diffModels(t *testing.T, a, b []byte) string {
	t.Helper()
	load := func(data []byte) *onnxpb.ModelProto {
		p := &onnxpb.ModelProto{}
		if err := proto.Unmarshal(data, p); err != nil {
			t.Fatal(err)
		}
		normalize(p.ProtoReflect())
		return p
	}
	pa, pb := load(a), load(b)
	if proto.Equal(pa, pb) {
		return ""
	}
	return gocmp.Diff(pa, pb, protocmp.Transform())
}

func normalize(m protoreflect.Message) {
	switch p := m.Interface().(type) {
	case *onnxpb.TensorProto:
		if raw, ok := rawElements(p); ok {
			p.RawData = raw
			p.FloatData, p.DoubleData, p.Int32Data, p.Int64Data, p.Uint64Data = nil, nil, nil, nil, nil
		}
	case *onnxpb.GraphProto:
		slices.SortStableFunc(p.ValueInfo, func(a, b *onnxpb.ValueInfoProto) int { return cmp.Compare(a.GetName(), b.GetName()) })
	}
	for fd, v := range m.Range {
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				normalize(v.List().Get(i).Message())
			}
		case fd.Message() != nil && !fd.IsList():
			normalize(v.Message())
		case !fd.IsList() && fd.ContainingOneof() == nil:
			if isZero(fd, v) {
				m.Clear(fd)
			}
		}
	}
}

func isZero(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	if fd.Kind() == protoreflect.BytesKind {
		return len(v.Bytes()) == 0
	}
	return v.Equal(fd.Default())
}

// rawElements returns a tensor's elements as raw_data has them, if they lie in
// a typed field.
func rawElements(p *onnxpb.TensorProto) ([]byte, bool) {
	le := binary.LittleEndian
	var raw []byte
	typ := onnxpb.TensorProto_DataType(p.GetDataType())
	for _, x := range p.FloatData {
		raw = le.AppendUint32(raw, math.Float32bits(x))
	}
	for _, x := range p.DoubleData {
		raw = le.AppendUint64(raw, math.Float64bits(x))
	}
	for _, x := range p.Int64Data {
		raw = le.AppendUint64(raw, uint64(x))
	}
	for _, x := range p.Uint64Data {
		if typ == onnxpb.TensorProto_UINT32 {
			raw = le.AppendUint32(raw, uint32(x))
		} else {
			raw = le.AppendUint64(raw, x)
		}
	}
	for _, x := range p.Int32Data {
		switch typ {
		case onnxpb.TensorProto_INT32:
			raw = le.AppendUint32(raw, uint32(x))
		case onnxpb.TensorProto_INT16, onnxpb.TensorProto_UINT16, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
			raw = le.AppendUint16(raw, uint16(x))
		default: // 8 bits, or several elements packed into them
			raw = append(raw, byte(x))
		}
	}
	return raw, raw != nil
}
