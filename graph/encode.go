package graph

import (
	"bytes"
	"io"
	"math"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/afc-project/afc/graph/internal/onnxpb"
)

// MaxFileSize is the largest model file in bytes, a limit of protobuf. Weights
// beyond it go to external data.
const MaxFileSize = math.MaxInt32

// Encode writes the model in ONNX's protobuf format. The same model gives the
// same bytes. Elements of tensors go to w as they lie in memory, without a
// copy, and always as raw_data but for strings.
//
// External data is written into the file. Only where it cannot be read, since
// the model was decoded from memory, is the reference written as it was. A
// model of more than 2 GB is refused; EncodeExternal is for those.
func (m *Model) Encode(w io.Writer) error {
	return (&encoder{}).encode(w, m)
}

// EncodeBytes returns the model as Encode writes it.
func EncodeBytes(m *Model) ([]byte, error) {
	return (&encoder{}).bytes(m)
}

func (e *encoder) bytes(m *Model) ([]byte, error) {
	p, err := e.model(m)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if size := proto.Size(p); size <= MaxFileSize {
		buf.Grow(size)
	}
	if err := stream(&buf, p); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

type encoder struct {
	// place, if not nil, is asked first where an initializer's elements go. It
	// returns true if p refers to them now.
	place func(t *Tensor, p *onnxpb.TensorProto) (bool, error)
}

func (e *encoder) encode(w io.Writer, m *Model) error {
	p, err := e.model(m)
	if err != nil {
		return err
	}
	return stream(w, p)
}

func (e *encoder) model(m *Model) (*onnxpb.ModelProto, error) {
	p := &onnxpb.ModelProto{
		IrVersion: &m.IRVersion, OpsetImport: opsetProtos(m.Opsets),
		ProducerName: optional(m.ProducerName), ProducerVersion: optional(m.ProducerVersion),
		Domain: optional(m.Domain), DocString: optional(m.Doc), MetadataProps: propertyProtos(m.Metadata),
	}
	if m.ModelVersion != 0 {
		p.ModelVersion = &m.ModelVersion
	}
	p.ProtoReflect().SetUnknown(m.opaque)
	var err error
	if p.Graph, err = e.graph(m.Graph); err != nil {
		return nil, err
	}
	p.Functions, err = convert(m.Functions, e.function)
	return p, err
}

func (e *encoder) function(f *Function) (*onnxpb.FunctionProto, error) {
	p := &onnxpb.FunctionProto{
		Name: optional(f.Name), Domain: optional(f.Domain), Overload: optional(f.Overload), DocString: optional(f.Doc),
		OpsetImport: opsetProtos(f.Opsets), Attribute: f.Attributes, MetadataProps: propertyProtos(f.Metadata),
	}
	p.ProtoReflect().SetUnknown(f.opaque)
	body, err := e.graph(f.Body)
	if err != nil {
		return nil, err
	}
	if len(body.Initializer) > 0 || len(body.SparseInitializer) > 0 {
		return nil, errorf("function "+f.Name, "a function has no initializers; use Constant nodes")
	}
	p.Node, p.ValueInfo = body.Node, body.ValueInfo
	for _, v := range f.Body.inputs {
		p.Input = append(p.Input, v.name)
	}
	for _, v := range f.Body.outputs {
		p.Output = append(p.Output, v.name)
	}
	// What a graph carries has other field numbers in a function.
	carried := &onnxpb.GraphProto{}
	if err := proto.Unmarshal(f.Body.opaque, carried); err != nil {
		panic("BUG: " + err.Error())
	}
	p.ValueInfo = append(p.ValueInfo, carried.ValueInfo...)
	p.AttributeProto, err = convert(f.AttributeDefaults, e.attribute)
	return p, err
}

func (e *encoder) graph(g *Graph) (*onnxpb.GraphProto, error) {
	p := &onnxpb.GraphProto{
		Name: optional(g.Name), DocString: optional(g.Doc), MetadataProps: propertyProtos(g.Metadata),
		Node: make([]*onnxpb.NodeProto, 0, g.count),
	}
	p.ProtoReflect().SetUnknown(g.opaque)
	for _, v := range g.inputs {
		p.Input = append(p.Input, v.proto())
	}
	for _, v := range g.outputs {
		p.Output = append(p.Output, v.proto())
	}
	for _, v := range g.inits {
		tp, err := e.initializer(v.init)
		if err != nil {
			return nil, err
		}
		tp.Name = &v.name
		p.Initializer = append(p.Initializer, tp)
		if v.declared {
			p.ValueInfo = append(p.ValueInfo, v.proto())
		}
	}
	for _, v := range g.sparse {
		sp, err := e.sparse(v.sparse)
		if err != nil {
			return nil, err
		}
		sp.Values.Name = &v.name
		p.SparseInitializer = append(p.SparseInitializer, sp)
		if v.declared {
			p.ValueInfo = append(p.ValueInfo, v.proto())
		}
	}
	for n := range g.Nodes() {
		np, err := e.node(n)
		if err != nil {
			return nil, err
		}
		p.Node = append(p.Node, np)
		for _, v := range n.outputs {
			if v != nil && v.declared && v.output == 0 {
				p.ValueInfo = append(p.ValueInfo, v.proto())
			}
		}
	}
	return p, nil
}

func (v *Value) proto() *onnxpb.ValueInfoProto {
	p := &onnxpb.ValueInfoProto{
		Name: &v.name, Type: encodeType(v.Type), DocString: optional(v.Doc), MetadataProps: propertyProtos(v.metadata),
	}
	p.ProtoReflect().SetUnknown(v.opaque)
	return p
}

func (e *encoder) node(n *Node) (*onnxpb.NodeProto, error) {
	p := &onnxpb.NodeProto{
		Input: valueNames(n.inputs), Output: valueNames(n.outputs), Name: optional(n.Name), OpType: &n.OpType,
		Domain: optional(n.Domain), Overload: optional(n.Overload), DocString: optional(n.Doc), MetadataProps: propertyProtos(n.Metadata),
	}
	p.ProtoReflect().SetUnknown(n.opaque)
	var err error
	if p.Attribute, err = convert(n.attrs, e.attribute); err != nil {
		if ge, ok := err.(*Error); ok && ge.Node == "" {
			ge.Node = n.String()
		}
		return nil, err
	}
	return p, nil
}

func valueNames(vs []*Value) []string {
	names := make([]string, len(vs))
	for i, v := range vs {
		if v != nil {
			names[i] = v.name
		}
	}
	return names
}

func (e *encoder) attribute(a *Attribute) (*onnxpb.AttributeProto, error) {
	p := &onnxpb.AttributeProto{Name: optional(a.Name), DocString: optional(a.Doc), RefAttrName: optional(a.RefName)}
	if a.Type != AttrUndefined {
		p.Type = onnxpb.AttributeProto_AttributeType(a.Type).Enum()
	}
	p.ProtoReflect().SetUnknown(a.opaque)
	if a.RefName != "" {
		return p, nil
	}
	var err error
	switch a.Type {
	case AttrFloat:
		p.F = &a.F
	case AttrInt:
		p.I = &a.I
	case AttrString:
		p.S = a.S
		if p.S == nil {
			p.S = []byte{}
		}
	case AttrTensor:
		if a.Tensor != nil {
			p.T, err = e.tensor(a.Tensor)
		}
	case AttrGraph:
		if a.Graph != nil {
			p.G, err = e.graph(a.Graph)
		}
	case AttrFloats:
		p.Floats = a.Floats
	case AttrInts:
		p.Ints = a.Ints
	case AttrStrings:
		p.Strings = a.Strings
	case AttrTensors:
		p.Tensors, err = convert(a.Tensors, e.tensor)
	case AttrGraphs:
		p.Graphs, err = convert(a.Graphs, e.graph)
	case AttrSparseTensor:
		if len(a.SparseTensors) > 0 {
			p.SparseTensor, err = e.sparse(a.SparseTensors[0])
		}
	case AttrSparseTensors:
		p.SparseTensors, err = convert(a.SparseTensors, e.sparse)
	case AttrTypeProto, AttrTypeProtos:
		for _, b := range a.TypeProtos {
			t := &onnxpb.TypeProto{}
			if err := proto.Unmarshal(b, t); err != nil {
				return nil, errorf("", "attribute %q holds no TypeProto: %v", a.Name, err)
			}
			p.TypeProtos = append(p.TypeProtos, t)
		}
		if a.Type == AttrTypeProto && len(p.TypeProtos) > 0 {
			p.Tp, p.TypeProtos = p.TypeProtos[0], nil
		}
	}
	return p, err
}

func (e *encoder) initializer(t *Tensor) (*onnxpb.TensorProto, error) {
	if e.place != nil {
		p := t.proto()
		if placed, err := e.place(t, p); placed || err != nil {
			return p, err
		}
	}
	return e.tensor(t)
}

// proto returns a TensorProto without elements.
func (t *Tensor) proto() *onnxpb.TensorProto {
	p := &onnxpb.TensorProto{
		Dims: t.Dims, DataType: (*int32)(&t.DType), Name: optional(t.Name), DocString: optional(t.Doc),
		MetadataProps: propertyProtos(t.metadata),
	}
	p.ProtoReflect().SetUnknown(t.opaque)
	return p
}

func (e *encoder) tensor(t *Tensor) (*onnxpb.TensorProto, error) {
	p := t.proto()
	switch {
	case t.DType == String && t.external == nil:
		p.StringData = t.strs
	case t.external != nil && t.external.file == nil:
		t.external.refer(p)
	default:
		raw, err := t.Bytes()
		if err != nil {
			return nil, errorf("", "%v", err)
		}
		p.RawData = raw
	}
	return p, nil
}

// refer writes the reference into p.
func (x *External) refer(p *onnxpb.TensorProto) {
	entry := func(key, value string) {
		p.ExternalData = append(p.ExternalData, &onnxpb.StringStringEntryProto{Key: &key, Value: &value})
	}
	p.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
	entry("location", x.Location)
	if x.Offset != 0 {
		entry("offset", strconv.FormatInt(x.Offset, 10))
	}
	if x.Length >= 0 {
		entry("length", strconv.FormatInt(x.Length, 10))
	}
	if x.Checksum != "" {
		entry("checksum", x.Checksum)
	}
	for _, prop := range x.extra {
		entry(prop.Key, prop.Value)
	}
}

func (e *encoder) sparse(s *SparseTensor) (*onnxpb.SparseTensorProto, error) {
	p := &onnxpb.SparseTensorProto{Dims: s.Dims}
	p.ProtoReflect().SetUnknown(s.opaque)
	var err error
	if p.Values, err = e.tensor(s.Values); err != nil {
		return nil, err
	}
	p.Indices, err = e.tensor(s.Indices)
	return p, err
}

// encodeType makes a TypeProto, nil if nothing is known. The one of the file
// is used while it still says the same as Elem and Shape.
func encodeType(t Type) *onnxpb.TypeProto {
	if t.wire != nil {
		p := &onnxpb.TypeProto{}
		if err := proto.Unmarshal(t.wire, p); err != nil {
			panic("BUG: " + err.Error())
		}
		if was := decodeType(p); t.nonTensor || was.Elem == t.Elem && was.Shape.equal(t.Shape) {
			return p
		}
	}
	if t.Elem == Undefined && t.Shape == nil {
		return nil
	}
	tt := &onnxpb.TypeProto_Tensor{ElemType: (*int32)(&t.Elem)}
	if t.Shape != nil {
		tt.Shape = &onnxpb.TensorShapeProto{Dim: make([]*onnxpb.TensorShapeProto_Dimension, len(t.Shape))}
		for i, d := range t.Shape {
			dp := &onnxpb.TensorShapeProto_Dimension{}
			switch {
			case d.Known():
				dp.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d.Size}
			case d.Param != "":
				dp.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d.Param}
			}
			tt.Shape.Dim[i] = dp
		}
	}
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tt}}
}

func opsetProtos(os []Opset) []*onnxpb.OperatorSetIdProto {
	var ps []*onnxpb.OperatorSetIdProto
	for i := range os {
		ps = append(ps, &onnxpb.OperatorSetIdProto{Domain: &os[i].Domain, Version: &os[i].Version})
	}
	return ps
}

func propertyProtos(props []Property) []*onnxpb.StringStringEntryProto {
	var ps []*onnxpb.StringStringEntryProto
	for i := range props {
		ps = append(ps, &onnxpb.StringStringEntryProto{Key: &props[i].Key, Value: &props[i].Value})
	}
	return ps
}

// optional leaves an empty string out of the file.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
