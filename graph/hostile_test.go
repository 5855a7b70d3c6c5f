package graph_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/onnxpb"
	"github.com/afc-project/afc/internal/testutil/bounds"
)

// TestAllocationIsBounded fills a file with each field of each message, in the
// smallest form, as often as it goes: reading it must stay in bounds, whether
// it is taken or refused.
func TestAllocationIsBounded(t *testing.T) {
	const fill = 1 << 20
	type place struct {
		md   protoreflect.MessageDescriptor
		path []protowire.Number // of fields, from ModelProto
	}
	queue := []place{{(&onnxpb.ModelProto{}).ProtoReflect().Descriptor(), nil}}
	reached := map[protoreflect.FullName]bool{queue[0].md.FullName(): true}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		for i := range p.md.Fields().Len() {
			fd := p.md.Fields().Get(i)
			if sub := fd.Message(); sub != nil && !reached[sub.FullName()] {
				reached[sub.FullName()] = true
				queue = append(queue, place{sub, append(p.path[:len(p.path):len(p.path)], fd.Number())})
			}
			for name, element := range smallest(fd) {
				data := bytes.Repeat(element, fill/len(element))
				for k := len(p.path) - 1; k >= 0; k-- {
					data = protowire.AppendBytes(protowire.AppendTag(nil, p.path[k], protowire.BytesType), data)
				}
				if len(p.path) == 0 || p.path[0] != 7 { // a graph, for what is not in it
					data = append(data, 7<<3|2, 0)
				}
				t.Run(fmt.Sprintf("%s, %s", fd.FullName(), name), func(t *testing.T) {
					bounds.Hold(t, len(data), func() {
						if m, err := graph.Decode(data); err == nil {
							_ = graph.Check(m)
						}
					})
				})
			}
		}
	}
	if len(reached) < 25 {
		t.Errorf("reached %d messages only", len(reached))
	}
}

// smallest returns encodings of a field that are as small as can be.
func smallest(fd protoreflect.FieldDescriptor) map[string][]byte {
	forms := map[string][]byte{}
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.StringKind, protoreflect.BytesKind:
		forms["empty"] = protowire.AppendVarint(protowire.AppendTag(nil, fd.Number(), protowire.BytesType), 0)
	case protoreflect.FloatKind:
		forms["single"] = append(protowire.AppendTag(nil, fd.Number(), protowire.Fixed32Type), 0, 0, 0, 0)
	case protoreflect.DoubleKind:
		forms["single"] = append(protowire.AppendTag(nil, fd.Number(), protowire.Fixed64Type), 0, 0, 0, 0, 0, 0, 0, 0)
	default:
		forms["single"] = append(protowire.AppendTag(nil, fd.Number(), protowire.VarintType), 1)
		if fd.IsList() {
			forms["packed in small runs"] = append(protowire.AppendTag(nil, fd.Number(), protowire.BytesType), 1, 1)
			forms["packed in large runs"] = protowire.AppendBytes(protowire.AppendTag(nil, fd.Number(), protowire.BytesType), make([]byte, 1<<20))
		}
	}
	forms["of another wire type"] = append(protowire.AppendTag(nil, 5000, protowire.VarintType), 1)
	return forms
}

// TestManyNodes: names, which each need a Value and a map entry, in bulk.
func TestManyNodes(t *testing.T) {
	for name, element := range map[string]func(i int) *onnxpb.NodeProto{
		"outputs":    func(i int) *onnxpb.NodeProto { return &onnxpb.NodeProto{Output: []string{fmt.Sprint(i)}} },
		"one reader": func(i int) *onnxpb.NodeProto { return &onnxpb.NodeProto{Input: []string{"x"}} },
		"chain, backward": func(i int) *onnxpb.NodeProto {
			return &onnxpb.NodeProto{Input: []string{fmt.Sprint(i + 1)}, Output: []string{fmt.Sprint(i)}}
		},
		"empty attributes": func(i int) *onnxpb.NodeProto {
			return &onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{{}, {}, {}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const nodes = 60_000
			g := &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{valueInfo("x", nil), valueInfo(fmt.Sprint(nodes), nil)}}
			for i := range nodes {
				n := element(i)
				n.OpType = proto.String("A")
				g.Node = append(g.Node, n)
			}
			data := wire(t, modelOf(g))
			start := time.Now()
			var m *graph.Model
			var err error
			bounds.Hold(t, len(data), func() { m, err = graph.Decode(data) })
			if err == nil {
				_ = graph.Check(m)
				for n := range m.Graph.NodesBackward() {
					m.Graph.RemoveNode(n)
				}
			}
			if d := time.Since(start); d > bounds.Time {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestManyOfOneKind: lists that something else is looked up in.
func TestManyOfOneKind(t *testing.T) {
	const many = 40_000
	name := func(i int) *string { return proto.String(fmt.Sprint(i)) }
	custom := func(change func(m *onnxpb.ModelProto, n *onnxpb.NodeProto)) *onnxpb.ModelProto {
		n := nodeProto("A", "", "y")
		n.Domain = proto.String("d")
		m := modelOf(&onnxpb.GraphProto{Node: []*onnxpb.NodeProto{n}})
		m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: n.Domain, Version: proto.Int64(1)})
		change(m, n)
		return m
	}
	for _, c := range []struct {
		name  string
		model *onnxpb.ModelProto
	}{
		{"attributes of a node with a long name", custom(func(_ *onnxpb.ModelProto, n *onnxpb.NodeProto) {
			n.Name = proto.String(strings.Repeat("\xff", 500_000))
			for i := range many {
				n.Attribute = append(n.Attribute, intAttr(*name(i), 1))
			}
		})},
		{"opsets and nodes", custom(func(m *onnxpb.ModelProto, n *onnxpb.NodeProto) {
			for i := range many {
				m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: name(i), Version: proto.Int64(1)})
				m.Graph.Node = append(m.Graph.Node, &onnxpb.NodeProto{OpType: n.OpType, Domain: n.Domain})
			}
		})},
		{"references to a function's attributes", custom(func(m *onnxpb.ModelProto, n *onnxpb.NodeProto) {
			f := &onnxpb.FunctionProto{Name: proto.String("F"), Domain: n.Domain, OpsetImport: m.OpsetImport, Node: []*onnxpb.NodeProto{n}}
			for i := range many {
				f.Attribute = append(f.Attribute, *name(i))
				n.Attribute = append(n.Attribute, &onnxpb.AttributeProto{Name: name(i), RefAttrName: name(i), Type: onnxpb.AttributeProto_INT.Enum()})
			}
			m.Functions, m.Graph.Node = []*onnxpb.FunctionProto{f}, nil
		})},
		{"functions", custom(func(m *onnxpb.ModelProto, n *onnxpb.NodeProto) {
			for i := range many {
				m.Functions = append(m.Functions, &onnxpb.FunctionProto{Name: name(i), Domain: n.Domain})
			}
		})},
		{"outputs", custom(func(m *onnxpb.ModelProto, n *onnxpb.NodeProto) {
			for range many {
				m.Graph.Output = append(m.Graph.Output, valueInfo("y", nil))
			}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := wire(t, c.model)
			bounds.Hold(t, len(data), func() {
				if m, err := graph.Decode(data); err == nil {
					_ = graph.Check(m)
				}
			})
		})
	}
}

// TestLyingSizes: a small file may not ask for large memory.
func TestLyingSizes(t *testing.T) {
	tensor := func(dtype graph.DataType, dims ...int64) []byte {
		return wire(t, modelOf(&onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{{
			Name: proto.String("w"), DataType: proto.Int32(int32(dtype)), Dims: dims, RawData: []byte{1, 2, 3, 4},
		}}}))
	}
	length := append(protowire.AppendTag(nil, 7, protowire.BytesType), 0xff, 0xff, 0xff, 0xff, 0x07)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"10¹² elements", tensor(graph.Float32, 1_000_000, 1_000_000), `"w": float32[1000000 1000000] takes 4000000000000 bytes, raw_data has 4`},
		{"dimensions overflow", tensor(graph.Float32, 1<<32, 1<<32), "overflow"},
		{"dimensions overflow to 1", tensor(graph.Uint8, 1<<62, 4, 1<<62, 4), "overflow"},
		{"bytes overflow", tensor(graph.Complex128, 1<<60), "overflow"},
		{"strings", tensor(graph.String, 1<<40), "has 0"},
		{"4-bit elements", tensor(graph.Int4, 1<<50), "takes"},
		{"length past the end", length, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			got := bounds.Allocated(func() { _, err = graph.Decode(c.data) })
			refused(t, err, c.want)
			if got > 1<<20 {
				t.Errorf("%d bytes of file allocate %d", len(c.data), got)
			}
		})
	}
}

// TestNesting: as deep as protobuf goes in C++ is read, deeper is refused, and
// a file that is nothing but nesting does not exhaust the stack.
func TestNesting(t *testing.T) {
	nested := func(levels int) []byte {
		var g []byte // a graph of an If of a graph of …
		for range levels {
			attr := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), g)
			attr = append(attr, 20<<3&0x7f|0x80, 1, 5) // type: GRAPH
			n := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), attr)
			g = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), n)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), g)
	}
	if _, err := graph.Decode(nested(32)); err != nil {
		t.Errorf("32 levels of subgraphs: %v", err)
	}
	_, err := graph.Decode(nested(33))
	refused(t, err, "nested")
	_, err = graph.Decode(nested(3_000))
	refused(t, err, "nested")

	var typ []byte // sequence of sequence of …
	for range 3_000 {
		seq := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), typ)
		typ = protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), seq)
	}
	p := modelOf(&onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{valueInfo("x", &onnxpb.TypeProto{})}})
	p.Graph.Input[0].Type.ProtoReflect().SetUnknown(typ)
	_, err = graph.Decode(wire(t, p))
	refused(t, err, "nested")

	groups := bytes.Repeat(protowire.AppendTag(nil, 3000, protowire.StartGroupType), 3_000)
	_, err = graph.Decode(groups)
	refused(t, err, "not an ONNX model")
}

// TestTruncated cuts a model at each byte: an error each time, no panic. Only
// cuts behind a whole field of the model can give a model.
func TestTruncated(t *testing.T) {
	data := wire(t, everything())
	for n := range data {
		m, err := graph.Decode(data[:n])
		if err != nil && !strings.Contains(err.Error(), "not an ONNX model") {
			t.Errorf("cut at %d: %v", n, err)
		}
		if err == nil && m.Graph == nil {
			t.Errorf("cut at %d: a model without graph", n)
		}
	}
}

// TestDamaged changes each byte of a model: no panic, and what is read can be
// written.
func TestDamaged(t *testing.T) {
	whole := wire(t, everything())
	for i := range whole {
		for _, x := range []byte{0x01, 0x80, 0xff} {
			data := bytes.Clone(whole)
			data[i] ^= x
			m, err := graph.Decode(data)
			if err != nil {
				continue
			}
			_ = graph.Check(m)
			if _, err := graph.EncodeBytes(m); err != nil {
				t.Errorf("byte %d ^ %#x: read, but not written: %v", i, x, err)
			}
		}
	}
}
