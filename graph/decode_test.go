package graph_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/graph/internal/onnxpb"
)

func tensorType(elem graph.DataType, dims ...int64) *onnxpb.TypeProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}})
	}
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(elem)), Shape: shape}}}
}

func valueInfo(name string, typ *onnxpb.TypeProto) *onnxpb.ValueInfoProto {
	return &onnxpb.ValueInfoProto{Name: &name, Type: typ}
}

func nodeProto(op string, inputs, outputs string, attrs ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: &op, Input: strings.Fields(inputs), Output: strings.Fields(outputs), Attribute: attrs}
}

func scalar(name string, v float32) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{
		Name: &name, DataType: proto.Int32(int32(graph.Float32)),
		RawData: binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)),
	}
}

// modelOf wraps a graph into a model of opset 13.
func modelOf(g *onnxpb.GraphProto) *onnxpb.ModelProto {
	return &onnxpb.ModelProto{IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(13)}}, Graph: g}
}

func wire(t testing.TB, p proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// everything is a model with something in every field of onnx.proto that can
// be used at all.
func everything() *onnxpb.ModelProto {
	str := proto.String
	props := []*onnxpb.StringStringEntryProto{{Key: str("key"), Value: str("value")}}
	f := tensorType(graph.Float32, 2)
	denoted := tensorType(graph.Float32, 2)
	denoted.Denotation = str("IMAGE")
	denoted.GetTensorType().Shape.Dim[0].Denotation = str("DATA_BATCH")
	symbolic := tensorType(graph.Float32)
	symbolic.GetTensorType().Shape.Dim = []*onnxpb.TensorShapeProto_Dimension{
		{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "N * T"}}, {},
	}
	sequence := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{ElemType: f}}}
	mapping := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_MapType{MapType: &onnxpb.TypeProto_Map{KeyType: proto.Int32(7), ValueType: f}}}
	optional := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_OptionalType{OptionalType: &onnxpb.TypeProto_Optional{ElemType: sequence}}}
	sparseType := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SparseTensorType{SparseTensorType: &onnxpb.TypeProto_SparseTensor{ElemType: proto.Int32(1)}}}
	opaque := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_OpaqueType{OpaqueType: &onnxpb.TypeProto_Opaque{Domain: str("d"), Name: str("n")}}}
	unranked := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(1)}}}
	sparse := func(name string) *onnxpb.SparseTensorProto {
		return &onnxpb.SparseTensorProto{
			Values:  &onnxpb.TensorProto{Name: &name, DataType: proto.Int32(1), Dims: []int64{1}, RawData: []byte{0, 0, 128, 63}},
			Indices: &onnxpb.TensorProto{DataType: proto.Int32(7), Dims: []int64{1}, RawData: []byte{2, 0, 0, 0, 0, 0, 0, 0}},
			Dims:    []int64{4},
		}
	}
	documented := scalar("w", 1)
	documented.DocString, documented.MetadataProps = str("doc of w"), props
	documented.Segment = &onnxpb.TensorProto_Segment{Begin: proto.Int64(0), End: proto.Int64(1)}
	words := &onnxpb.TensorProto{Name: str("words"), DataType: proto.Int32(8), Dims: []int64{2}, StringData: [][]byte{[]byte("a"), {0xff, 0}}}
	typ := func(t onnxpb.AttributeProto_AttributeType) *onnxpb.AttributeProto_AttributeType { return &t }
	branch := func(name string) *onnxpb.GraphProto { // reads x of the graph around
		return &onnxpb.GraphProto{
			Name: &name, Initializer: []*onnxpb.TensorProto{scalar(name+".w", 2)},
			Node:   []*onnxpb.NodeProto{nodeProto("Mul", "x "+name+".w", name+".y")},
			Output: []*onnxpb.ValueInfoProto{valueInfo(name+".y", nil)},
		}
	}
	attributes := []*onnxpb.AttributeProto{
		{Name: str("f"), Type: typ(1), F: proto.Float32(1.5), DocString: str("doc of f")},
		{Name: str("i"), Type: typ(2), I: proto.Int64(-1)},
		{Name: str("s"), Type: typ(3), S: []byte("text\xff")},
		{Name: str("t"), Type: typ(4), T: scalar("", 3)},
		{Name: str("g"), Type: typ(5), G: branch("inner")},
		{Name: str("floats"), Type: typ(6), Floats: []float32{1, float32(math.NaN())}},
		{Name: str("ints"), Type: typ(7), Ints: []int64{1, -2}},
		{Name: str("strings"), Type: typ(8), Strings: [][]byte{{}, []byte("b")}},
		{Name: str("tensors"), Type: typ(9), Tensors: []*onnxpb.TensorProto{scalar("", 4), scalar("", 5)}},
		{Name: str("graphs"), Type: typ(10), Graphs: []*onnxpb.GraphProto{branch("first"), branch("second")}},
		{Name: str("sparse"), Type: typ(11), SparseTensor: sparse("")},
		{Name: str("sparses"), Type: typ(12), SparseTensors: []*onnxpb.SparseTensorProto{sparse(""), sparse("")}},
		{Name: str("tp"), Type: typ(13), Tp: optional},
		{Name: str("tps"), Type: typ(14), TypeProtos: []*onnxpb.TypeProto{f, sequence, mapping, sparseType, opaque}},
	}
	device := []*onnxpb.NodeDeviceConfigurationProto{{
		ConfigurationId: str("two"), PipelineStage: proto.Int32(1),
		ShardingSpec: []*onnxpb.ShardingSpecProto{{
			TensorName: str("x"), Device: []int64{0, 1},
			IndexToDeviceGroupMap: []*onnxpb.IntIntListEntryProto{{Key: proto.Int64(0), Value: []int64{1}}},
			ShardedDim: []*onnxpb.ShardedDimProto{{Axis: proto.Int64(0), SimpleSharding: []*onnxpb.SimpleShardedDimProto{{
				Dim: &onnxpb.SimpleShardedDimProto_DimValue{DimValue: 2}, NumShards: proto.Int64(2),
			}}}},
		}},
	}}
	custom := nodeProto("Custom", "x", "a")
	custom.Input = append(custom.Input, "", "w", "thin", "words")
	custom.Output = append(custom.Output, "", "b")
	custom.Name, custom.Domain, custom.Overload, custom.DocString = str("n"), str("com.example"), str("o"), str("doc of n")
	custom.Attribute, custom.MetadataProps, custom.DeviceConfigurations = attributes, props, device
	call := nodeProto("Twice", "a", "y", &onnxpb.AttributeProto{Name: str("alpha"), Type: typ(1), F: proto.Float32(2)})
	call.Domain = str("local")
	described := func(v *onnxpb.ValueInfoProto) *onnxpb.ValueInfoProto {
		v.DocString, v.MetadataProps = str("doc of "+v.GetName()), props
		return v
	}
	m := modelOf(&onnxpb.GraphProto{
		Name: str("g"), DocString: str("doc of g"), MetadataProps: props,
		Input: []*onnxpb.ValueInfoProto{
			described(valueInfo("x", denoted)), valueInfo("symbolic", symbolic), valueInfo("unranked", unranked),
			valueInfo("sequence", sequence), valueInfo("optional", optional), valueInfo("default", tensorType(graph.Float32)),
		},
		Output:            []*onnxpb.ValueInfoProto{described(valueInfo("y", f)), valueInfo("x", denoted), valueInfo("y", f)},
		Initializer:       []*onnxpb.TensorProto{documented, scalar("default", 1), words},
		SparseInitializer: []*onnxpb.SparseTensorProto{sparse("thin")},
		Node:              []*onnxpb.NodeProto{custom, call},
		ValueInfo:         []*onnxpb.ValueInfoProto{described(valueInfo("a", denoted)), valueInfo("b", sequence), valueInfo("nowhere", f), valueInfo("w", tensorType(graph.Float32))},
		QuantizationAnnotation: []*onnxpb.TensorAnnotation{{
			TensorName: str("a"), QuantParameterTensorNames: props,
		}},
	})
	// y stands twice among the outputs; its second entry says what the first does.
	m.Graph.Output[2] = proto.Clone(m.Graph.Output[0]).(*onnxpb.ValueInfoProto)
	m.Graph.Output[1] = proto.Clone(m.Graph.Input[0]).(*onnxpb.ValueInfoProto)
	m.ProducerName, m.ProducerVersion, m.Domain, m.DocString = str("p"), str("1"), str("com.example"), str("doc")
	m.ModelVersion, m.MetadataProps = proto.Int64(3), props
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: str("com.example"), Version: proto.Int64(1)},
		&onnxpb.OperatorSetIdProto{Domain: str("local"), Version: proto.Int64(1)})
	m.Configuration = []*onnxpb.DeviceConfigurationProto{{Name: str("two"), NumDevices: proto.Int32(2), Device: []string{"a", "b"}}}
	m.TrainingInfo = []*onnxpb.TrainingInfoProto{{
		Initialization: branch("init"), Algorithm: branch("step"), InitializationBinding: props, UpdateBinding: props,
	}}
	m.Functions = []*onnxpb.FunctionProto{{
		Name: str("Twice"), Domain: str("local"), DocString: str("doc of Twice"),
		Input: []string{"in"}, Output: []string{"out"}, Attribute: []string{"alpha"},
		AttributeProto: []*onnxpb.AttributeProto{{Name: str("beta"), Type: typ(1), F: proto.Float32(1)}},
		OpsetImport:    []*onnxpb.OperatorSetIdProto{{Domain: str(""), Version: proto.Int64(13)}},
		Node: []*onnxpb.NodeProto{
			nodeProto("Elu", "in", "mid", &onnxpb.AttributeProto{Name: str("alpha"), Type: typ(1), RefAttrName: str("alpha")}),
			nodeProto("Add", "mid mid", "out"),
		},
		ValueInfo:     []*onnxpb.ValueInfoProto{valueInfo("mid", f), valueInfo("nowhere", f)},
		MetadataProps: props,
	}}
	return m
}

// TestEveryField: whatever onnx.proto can say survives Decode and Encode, and
// Clone, and so do fields that it does not know yet.
func TestEveryField(t *testing.T) {
	p := everything()
	// The test must notice a field that a newer onnx.proto adds.
	used := map[protoreflect.FullName]bool{}
	walk(p.ProtoReflect(), func(m protoreflect.Message) {
		m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			used[fd.FullName()] = true
			return true
		})
	})
	storage := []string{"float_data", "int32_data", "int64_data", "double_data", "uint64_data", "external_data", "data_location"}
	seen := map[protoreflect.FullName]bool{}
	var missing func(md protoreflect.MessageDescriptor)
	missing = func(md protoreflect.MessageDescriptor) {
		if seen[md.FullName()] {
			return
		}
		seen[md.FullName()] = true
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			if !used[fd.FullName()] && !slices.Contains(storage, string(fd.Name())) && fd.FullName() != "afc.onnx.SimpleShardedDimProto.dim_param" &&
				fd.FullName() != "afc.onnx.TypeProto.SparseTensor.shape" && fd.FullName() != "afc.onnx.FunctionProto.overload" {
				t.Errorf("the test model does not use %s", fd.FullName())
			}
			if fd.Message() != nil {
				missing(fd.Message())
			}
		}
	}
	missing(p.ProtoReflect().Descriptor())

	for _, unknown := range []bool{false, true} {
		if unknown {
			walk(p.ProtoReflect(), func(m protoreflect.Message) {
				switch m.Descriptor().Name() {
				case "StringStringEntryProto", "OperatorSetIdProto":
					return // plain pairs in the IR
				}
				m.SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 7))
			})
		}
		data := wire(t, p)
		m, err := graph.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := graph.Check(m); err != nil {
			t.Error(err)
		}
		for name, m := range map[string]*graph.Model{"decoded": m, "clone": m.Clone()} {
			written := encode(t, m)
			if d := diffModels(t, data, written); d != "" {
				t.Errorf("%s, unknown fields %v: differs (-read +written)\n%s", name, unknown, d)
			}
		}
	}
}

// walk calls f for a message and all in it.
func walk(m protoreflect.Message, f func(protoreflect.Message)) {
	f(m)
	for fd, v := range m.Range {
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				walk(v.List().Get(i).Message(), f)
			}
		default:
			walk(v.Message(), f)
		}
	}
}

// TestTensorStorage reads the same elements from raw_data and from the typed
// field of their type, packed, in pieces, and one by one.
func TestTensorStorage(t *testing.T) {
	le := binary.LittleEndian
	floats := le.AppendUint32(le.AppendUint32(nil, math.Float32bits(-2.5)), math.Float32bits(3))
	doubles := le.AppendUint64(le.AppendUint64(nil, math.Float64bits(-2.5)), math.Float64bits(3))
	const (
		float32Field, int32Field, int64Field, float64Field, uint64Field = 4, 5, 7, 10, 11
	)
	minus := func(n int64) uint64 { return uint64(-n) }
	for _, c := range []struct {
		dtype  graph.DataType
		dims   int64
		raw    []byte
		field  protowire.Number
		values []uint64 // varints of the field, or nil: fixed-width bytes as in raw
	}{
		{graph.Float32, 2, floats, float32Field, nil},
		{graph.Complex64, 1, floats, float32Field, nil},
		{graph.Float64, 2, doubles, float64Field, nil},
		{graph.Complex128, 1, doubles, float64Field, nil},
		{graph.Int64, 2, []byte{1, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 255, 255, 255}, int64Field, []uint64{1, minus(2)}},
		{graph.Uint64, 1, []byte{0, 1, 0, 0, 0, 0, 0, 128}, uint64Field, []uint64{1<<63 + 256}},
		{graph.Uint32, 2, []byte{0, 1, 0, 0, 255, 255, 255, 255}, uint64Field, []uint64{256, math.MaxUint32}},
		{graph.Int32, 2, []byte{0, 1, 0, 0, 254, 255, 255, 255}, int32Field, []uint64{256, minus(2)}},
		{graph.Int16, 2, []byte{0, 1, 254, 255}, int32Field, []uint64{256, minus(2)}},
		{graph.Uint16, 2, []byte{0, 1, 255, 255}, int32Field, []uint64{256, 65535}},
		{graph.Float16, 2, []byte{0, 0x3c, 0, 0xbc}, int32Field, []uint64{0x3c00, 0xbc00}},
		{graph.BFloat16, 1, []byte{0x80, 0x3f}, int32Field, []uint64{0x3f80}},
		{graph.Int8, 3, []byte{1, 255, 128}, int32Field, []uint64{1, minus(1), minus(128)}},
		{graph.Uint8, 2, []byte{1, 255}, int32Field, []uint64{1, 255}},
		{graph.Bool, 3, []byte{1, 0, 1}, int32Field, []uint64{1, 0, 1}},
		{graph.Float8E5M2, 2, []byte{0x3c, 0xbc}, int32Field, []uint64{0x3c, 0xbc}},
		{graph.Float8E8M0, 1, []byte{0x7f}, int32Field, []uint64{0x7f}},
		{graph.Int4, 3, []byte{0x2f, 0x08}, int32Field, []uint64{0x2f, 0x08}},
		{graph.Uint4, 4, []byte{0x21, 0x43}, int32Field, []uint64{0x21, 0x43}},
		{graph.Float4E2M1, 1, []byte{0x07}, int32Field, []uint64{0x07}},
		{graph.Int2, 5, []byte{0xe4, 0x01}, int32Field, []uint64{0xe4, 0x01}},
		{graph.Uint2, 4, []byte{0xe4}, int32Field, []uint64{0xe4}},
		// 1, 2, 3, 63, 5 as a stream of 6 bits each, and one to an entry
		{graph.Float6E2M3, 5, []byte{0x81, 0x30, 0xfc, 0x05}, int32Field, []uint64{1, 2, 3, 63, 5}},
		{graph.Float6E3M2, 1, []byte{0x2a}, int32Field, []uint64{0x2a}},
	} {
		head := wire(t, &onnxpb.TensorProto{Name: proto.String("w"), Dims: []int64{c.dims}, DataType: proto.Int32(int32(c.dtype))})
		packed := func(b []byte) []byte {
			return protowire.AppendBytes(protowire.AppendTag(nil, c.field, protowire.BytesType), b)
		}
		var whole, pieces, single []byte
		if c.values == nil {
			whole = packed(c.raw)
			pieces = slices.Concat(packed(c.raw[:8]), packed(c.raw[8:]))
			width, typ := 4, protowire.Fixed32Type
			if c.field == float64Field {
				width, typ = 8, protowire.Fixed64Type
			}
			for b := range slices.Chunk(c.raw, width) {
				single = append(protowire.AppendTag(single, c.field, typ), b...)
			}
		} else {
			var all []byte
			for _, v := range c.values {
				one := protowire.AppendVarint(nil, v)
				all = append(all, one...)
				pieces = append(pieces, packed(one)...)
				single = append(protowire.AppendTag(single, c.field, protowire.VarintType), one...)
			}
			whole = packed(all)
		}
		raw := protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), c.raw)
		for name, body := range map[string][]byte{"raw_data": raw, "typed": whole, "typed in pieces": pieces, "typed one by one": single} {
			g := &onnxpb.GraphProto{}
			g.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), slices.Concat(head, body)))
			m, err := graph.Decode(wire(t, modelOf(g)))
			if err != nil {
				t.Errorf("%s, %s: %v", c.dtype, name, err)
				continue
			}
			got, err := m.Graph.Initializers()[0].Initializer().Bytes()
			if err != nil {
				t.Errorf("%s, %s: %v", c.dtype, name, err)
			}
			if !bytes.Equal(got, c.raw) {
				t.Errorf("%s, %s: got % x, want % x", c.dtype, name, got, c.raw)
			}
		}
		g := &onnxpb.GraphProto{}
		g.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), head))
		_, err := graph.Decode(wire(t, modelOf(g)))
		refused(t, err, `tensor "w"`, c.dtype.String())
	}
}

func TestTensorsAliasTheFile(t *testing.T) {
	p := modelOf(&onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{scalar("w", 1)}})
	data := wire(t, p)
	m, err := graph.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, p.Graph.Initializer[0].RawData)
	data[at+3] = 0x40 // 1 becomes 4
	f, err := m.Graph.Initializers()[0].Initializer().Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if f[0] != 4 {
		t.Errorf("got %g: the tensor is a copy", f[0])
	}
}

func TestNodesOutOfOrderAreSorted(t *testing.T) {
	yes := onnxpb.AttributeProto_GRAPH
	inner := &onnxpb.GraphProto{
		Node:   []*onnxpb.NodeProto{nodeProto("Relu", "c", "i2"), nodeProto("Abs", "i2", "i3")}, // c is made last outside
		Output: []*onnxpb.ValueInfoProto{valueInfo("i3", nil)},
	}
	inner.Node[0], inner.Node[1] = inner.Node[1], inner.Node[0]
	m, err := graph.Decode(wire(t, modelOf(&onnxpb.GraphProto{
		Input: []*onnxpb.ValueInfoProto{valueInfo("x", tensorType(graph.Float32, 2))},
		Node: []*onnxpb.NodeProto{
			nodeProto("Neg", "x", "a"),
			nodeProto("If", "a", "d", &onnxpb.AttributeProto{Name: proto.String("then_branch"), Type: &yes, G: inner}),
			nodeProto("Abs", "b", "c"),
			nodeProto("Relu", "a", "b"),
			nodeProto("Exp", "a", "e"),
		},
		Output: []*onnxpb.ValueInfoProto{valueInfo("d", nil)},
	})))
	if err != nil {
		t.Fatal(err)
	}
	order := func(g *graph.Graph) string {
		var ops []string
		for n := range g.Nodes() {
			ops = append(ops, n.OpType)
		}
		return strings.Join(ops, " ")
	}
	if got, want := order(m.Graph), "Neg Relu Abs If Exp"; got != want {
		t.Errorf("order is %s, want %s", got, want)
	}
	if got, want := order(m.Graph.Value("d").Producer().Subgraphs()[0]), "Relu Abs"; got != want {
		t.Errorf("order in the branch is %s, want %s", got, want)
	}
}

// TestAttributesWithoutType: files of IR version 1 leave the type out.
func TestAttributesWithoutType(t *testing.T) {
	p := modelOf(&onnxpb.GraphProto{Node: []*onnxpb.NodeProto{nodeProto("Op", "", "y",
		&onnxpb.AttributeProto{Name: proto.String("i"), I: proto.Int64(3)},
		&onnxpb.AttributeProto{Name: proto.String("fs"), Floats: []float32{1, 2}},
		&onnxpb.AttributeProto{Name: proto.String("s"), S: []byte("x")})}})
	m, err := graph.Decode(wire(t, p))
	if err != nil {
		t.Fatal(err)
	}
	n := m.Graph.Value("y").Producer()
	if n.AttrInt("i", 0) != 3 || len(n.Attr("fs").Floats) != 2 || n.AttrString("s", "") != "x" {
		t.Errorf("attributes read as %s", graph.Text(m))
	}
}

func TestDecodeRefuses(t *testing.T) {
	g := func(nodes ...*onnxpb.NodeProto) *onnxpb.GraphProto {
		return &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{valueInfo("x", nil)}, Node: nodes}
	}
	graphAttr := func(g *onnxpb.GraphProto) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: g}
	}
	with := func(p *onnxpb.GraphProto, change func(*onnxpb.GraphProto)) *onnxpb.GraphProto {
		change(p)
		return p
	}
	named := nodeProto("Relu", "x", "y")
	named.Name = proto.String("relu1")
	for _, c := range []struct {
		name  string
		graph *onnxpb.GraphProto
		want  []string
	}{
		{"value twice", g(named, nodeProto("Abs", "x", "y")), []string{"Abs", `"y"`, "another value"}},
		{"output named as input", g(nodeProto("Abs", "x", "x")), []string{"Abs", `"x"`}},
		{"nothing makes it", g(named, nodeProto("Abs", "z", "w")), []string{`Abs making "w"`, `"z"`, "nothing makes"}},
		{"cycle", g(nodeProto("Abs", "b", "a"), nodeProto("Neg", "a", "b")), []string{"cycle"}},
		{"own output", g(nodeProto("Abs", "a", "a")), []string{`"a"`, "cycle"}},
		{"own output, in a subgraph", g(nodeProto("Loop", "x", "y", graphAttr(g2("y", "z")))), []string{`"y"`, "cycle"}},
		{"output nothing makes", with(g(named), func(p *onnxpb.GraphProto) {
			p.Output = []*onnxpb.ValueInfoProto{valueInfo("q", nil)}
		}), []string{`graph output "q"`, "nothing makes"}},
		{"subgraph returns a captured value", g(nodeProto("If", "x", "y", graphAttr(&onnxpb.GraphProto{
			Output: []*onnxpb.ValueInfoProto{valueInfo("x", nil)},
		}))), []string{`"x"`, "Identity"}},
		{"input twice", with(g(), func(p *onnxpb.GraphProto) { p.Input = append(p.Input, p.Input[0]) }), []string{`"x"`}},
		{"input without name", with(g(), func(p *onnxpb.GraphProto) { p.Input = append(p.Input, valueInfo("", nil)) }), []string{"input has no name"}},
		{"initializer twice", with(g(), func(p *onnxpb.GraphProto) {
			p.Initializer = []*onnxpb.TensorProto{scalar("w", 1), scalar("w", 2)}
		}), []string{"initializer", `"w"`}},
		{"initializer without name", with(g(), func(p *onnxpb.GraphProto) {
			p.Initializer = []*onnxpb.TensorProto{scalar("", 1)}
		}), []string{"initializer has no name"}},
		{"sparse tensor without indices", with(g(), func(p *onnxpb.GraphProto) {
			p.SparseInitializer = []*onnxpb.SparseTensorProto{{Values: scalar("w", 1)}}
		}), []string{"sparse", "indices"}},
		{"elements in another type's field", with(g(), func(p *onnxpb.GraphProto) {
			p.Initializer = []*onnxpb.TensorProto{{Name: proto.String("w"), DataType: proto.Int32(1), Dims: []int64{1}, Int32Data: []int32{1}}}
		}), []string{`"w"`, "float32", "float_data", "field 5"}},
		{"strings missing", with(g(), func(p *onnxpb.GraphProto) {
			p.Initializer = []*onnxpb.TensorProto{{Name: proto.String("w"), DataType: proto.Int32(8), Dims: []int64{3}}}
		}), []string{`"w"`, "3 strings", "has 0"}},
		{"negative dimension", with(g(), func(p *onnxpb.GraphProto) {
			p.Initializer = []*onnxpb.TensorProto{{Name: proto.String("w"), DataType: proto.Int32(1), Dims: []int64{-1}}}
		}), []string{`"w"`, "negative"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := graph.Decode(wire(t, modelOf(c.graph)))
			refused(t, err, c.want...)
		})
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "no graph"},
		{"text", []byte("import onnx\n"), "byte 9"},
		{"truncated", wire(t, modelOf(g(named)))[:20], "cut off"},
		{"a tensor", wire(t, scalar("w", 1)), "byte 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := graph.Decode(c.data)
			refused(t, err, "not an ONNX model", c.want)
		})
	}
}

// g2 is a graph that makes out of in.
func g2(in, out string) *onnxpb.GraphProto {
	return &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{nodeProto("Abs", in, out)}, Output: []*onnxpb.ValueInfoProto{valueInfo(out, nil)}}
}

func ExampleText() {
	m := graph.NewModel("main", 8, 13)
	x := m.Graph.AddInput("x", graph.TensorType(graph.Float32, graph.Shape{graph.Sym("N"), graph.D(2)}))
	w := m.Graph.AddInitializer("w", graph.Float32s([]int64{2}, 1, 2))
	y := m.Graph.NewNode("Add", "sum", []*graph.Value{x, w}, 1).Output(0)
	m.Graph.AddOutput(y)
	fmt.Print(graph.Text(m))
	// Output:
	// model ir=8 opset=13
	// graph main(x: float32[N,2]) -> (sum) {
	//   w: float32[2] = [1, 2]
	//   sum = Add(x, w)  # sum
	// }
}
