package graph

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/afc-project/afc/graph/internal/onnxpb"
)

// Decode reads an ONNX model. The bytes of its tensors alias data, which must
// not change while the model or anything made from it lives.
//
// Decode refuses what the IR cannot hold: names that nothing defines or that
// are defined twice, cycles, tensors whose elements do not fill their
// dimensions. Nodes out of topological order are sorted, the others stay in
// place. Check tests the rest. Every error is an *Error.
//
// Memory taken is at most 64 MB + 8 times len(data), whatever the data. A model
// decoded from memory has no folder, so external data cannot be read; see
// ReadFile.
func Decode(data []byte) (*Model, error) {
	s := scan{data: data}
	if err := s.run(); err != nil {
		return nil, err
	}
	d := &decoder{split: split{light: make([]byte, 0, s.light)}}
	d.split.message(modelInfo(), data)
	p := &onnxpb.ModelProto{}
	if err := proto.Unmarshal(d.split.light, p); err != nil {
		return nil, &Error{Reason: "not an ONNX model: " + err.Error(), Err: err}
	}
	d.split.light = nil
	return d.model(p)
}

type decoder struct {
	split split

	// Where errors are: at a node, or if nil, at what. A node's name is made
	// only when there is an error: it may be long, and have many attributes.
	node *Node
	what string
}

func (d *decoder) where() string {
	if d.node != nil {
		return d.node.String()
	}
	return d.what
}

func (d *decoder) model(p *onnxpb.ModelProto) (*Model, error) {
	if p.Graph == nil {
		return nil, errorf("", "not an ONNX model: it has no graph")
	}
	m := &Model{
		IRVersion: p.GetIrVersion(), Opsets: opsets(p.GetOpsetImport()),
		ProducerName: p.GetProducerName(), ProducerVersion: p.GetProducerVersion(),
		Domain: p.GetDomain(), ModelVersion: p.GetModelVersion(), Doc: p.GetDocString(),
		Metadata: properties(p.GetMetadataProps()),
		opaque:   carry(p, &onnxpb.ModelProto{TrainingInfo: p.TrainingInfo, Configuration: p.Configuration}),
	}
	var err error
	if m.Graph, err = d.graph(p.Graph, nil); err != nil {
		return nil, err
	}
	for _, fp := range p.GetFunctions() {
		f, err := d.function(fp)
		if err != nil {
			return nil, err
		}
		m.Functions = append(m.Functions, f)
	}
	m.Own()
	return m, nil
}

func (d *decoder) function(p *onnxpb.FunctionProto) (*Function, error) {
	f := &Function{
		Name: p.GetName(), Domain: p.GetDomain(), Overload: p.GetOverload(), Doc: p.GetDocString(),
		Opsets: opsets(p.GetOpsetImport()), Attributes: p.GetAttribute(),
		Metadata: properties(p.GetMetadataProps()),
		opaque:   carry(p, nil),
	}
	// A function's body is a graph but for its untyped inputs and outputs.
	body := &onnxpb.GraphProto{Node: p.Node, ValueInfo: p.ValueInfo}
	for _, name := range p.GetInput() {
		body.Input = append(body.Input, &onnxpb.ValueInfoProto{Name: &name})
	}
	for _, name := range p.GetOutput() {
		body.Output = append(body.Output, &onnxpb.ValueInfoProto{Name: &name})
	}
	var err error
	if f.Body, err = d.graph(body, nil); err != nil {
		if e, ok := err.(*Error); ok {
			e.Reason += " (in function " + f.Name + ")"
		}
		return nil, err
	}
	d.node, d.what = nil, "function "+f.Name
	for _, ap := range p.GetAttributeProto() {
		a, err := d.attribute(ap, nil)
		if err != nil {
			return nil, err
		}
		f.AttributeDefaults = append(f.AttributeDefaults, a)
	}
	return f, nil
}

// graph converts a graph held by an attribute of parent, nil at top level.
func (d *decoder) graph(p *onnxpb.GraphProto, parent *Node) (*Graph, error) {
	g := NewGraph(p.GetName())
	g.parent = parent
	g.Doc, g.Metadata = p.GetDocString(), properties(p.GetMetadataProps())
	for _, vp := range p.GetInput() {
		if err := g.nameable(vp.GetName(), "graph input"); err != nil {
			return nil, err
		}
		g.AddInput(vp.GetName(), Type{}).takeInfo(vp)
	}
	if err := d.initializers(g, p); err != nil {
		return nil, err
	}
	nodes := make([]*Node, len(p.GetNode()))
	for i, np := range p.GetNode() {
		n := &Node{
			Name: np.GetName(), OpType: np.GetOpType(), Domain: np.GetDomain(), Overload: np.GetOverload(),
			Doc: np.GetDocString(), Metadata: properties(np.GetMetadataProps()), graph: g,
			opaque: carry(np, nil),
		}
		if len(np.DeviceConfigurations) > 0 {
			n.opaque = carry(np, &onnxpb.NodeProto{DeviceConfigurations: np.DeviceConfigurations})
		}
		n.outputs = make([]*Value, len(np.GetOutput()))
		for k, name := range np.GetOutput() {
			if name == "" {
				continue
			}
			if err := g.nameable(name, "an output"); err != nil {
				return nil, errorf(n.String(), "%s", err.Reason)
			}
			v := g.newValue(name)
			v.producer, v.index = n, k
			n.outputs[k] = v
		}
		g.link(n, g.last)
		nodes[i] = n
	}
	// All values of the graph are there now, so that nodes out of order, too,
	// find theirs.
	for i, n := range nodes {
		if err := d.connect(n, p.Node[i]); err != nil {
			return nil, err
		}
	}
	for _, vp := range p.GetOutput() {
		v := g.values[vp.GetName()]
		if v == nil {
			if g.Lookup(vp.GetName()) != nil {
				return nil, errorf(fmt.Sprintf("graph output %q", vp.GetName()), "a value of the graph around; the subgraph must pass it through an Identity node")
			}
			return nil, errorf(fmt.Sprintf("graph output %q", vp.GetName()), "nothing makes it")
		}
		if !v.input && v.output == 0 {
			v.takeInfo(vp)
		}
		g.AddOutput(v)
	}
	stray := &onnxpb.GraphProto{QuantizationAnnotation: p.QuantizationAnnotation}
	for _, vp := range p.GetValueInfo() {
		if v := g.values[vp.GetName()]; v == nil || v.input || v.output > 0 {
			stray.ValueInfo = append(stray.ValueInfo, vp)
		} else {
			v.takeInfo(vp)
			v.declared = true
		}
	}
	g.opaque = carry(p, stray)
	return g, g.sort()
}

// nameable tells whether a new value may take the name.
func (g *Graph) nameable(name, role string) *Error {
	switch {
	case name == "":
		return errorf("", "%s has no name", role)
	case g.values[name] != nil:
		return errorf("", "%s is named %q, as another value is", role, name)
	}
	return nil
}

func (d *decoder) initializers(g *Graph, p *onnxpb.GraphProto) error {
	taken := func(name string) *Error {
		if v := g.values[name]; v != nil && v.input && v.init == nil && v.sparse == nil {
			return nil // a graph input with a default
		}
		return g.nameable(name, "an initializer")
	}
	for _, tp := range p.GetInitializer() {
		if err := taken(tp.GetName()); err != nil {
			return err
		}
		d.node, d.what = nil, "an initializer"
		t, err := d.tensor(tp)
		if err != nil {
			return err
		}
		g.AddInitializer(t.Name, t)
	}
	for _, sp := range p.GetSparseInitializer() {
		d.node, d.what = nil, "a sparse initializer"
		st, err := d.sparse(sp)
		if err != nil {
			return err
		}
		name := sp.GetValues().GetName()
		if err := taken(name); err != nil {
			return err
		}
		v := g.values[name]
		if v == nil {
			v = g.newValue(name)
			v.Type = TensorType(st.Values.DType, ShapeOf(st.Dims...))
		}
		v.sparse = st
		g.sparse = append(g.sparse, v)
	}
	return nil
}

// takeInfo takes over what a ValueInfoProto says.
func (v *Value) takeInfo(p *onnxpb.ValueInfoProto) {
	v.Type = decodeType(p.GetType())
	v.Doc = p.GetDocString()
	v.metadata = properties(p.GetMetadataProps())
	v.opaque = carry(p, nil)
}

// connect gives a node its inputs and attributes.
func (d *decoder) connect(n *Node, p *onnxpb.NodeProto) error {
	n.inputs = make([]*Value, len(p.GetInput()))
	for i, name := range p.GetInput() {
		if name == "" {
			continue
		}
		v := n.graph.Lookup(name)
		if v == nil {
			return errorf(n.String(), "reads %q, which nothing makes", name)
		}
		n.setInput(i, v)
	}
	for _, ap := range p.GetAttribute() {
		d.node = n
		a, err := d.attribute(ap, n)
		if err != nil {
			return err
		}
		n.attrs = append(n.attrs, a)
	}
	return nil
}

// attribute converts an attribute of a node, nil for a function's default.
func (d *decoder) attribute(p *onnxpb.AttributeProto, n *Node) (*Attribute, error) {
	a := &Attribute{
		Name: p.GetName(), Type: attrType(p), Doc: p.GetDocString(), RefName: p.GetRefAttrName(),
		opaque: carry(p, nil),
	}
	if a.RefName != "" {
		return a, nil
	}
	var err error
	switch a.Type {
	case AttrFloat:
		a.F = p.GetF()
	case AttrInt:
		a.I = p.GetI()
	case AttrString:
		a.S = p.GetS()
	case AttrTensor:
		if p.T != nil {
			a.Tensor, err = d.tensor(p.T)
		}
	case AttrGraph:
		if p.G != nil {
			a.Graph, err = d.graph(p.G, n)
		}
	case AttrFloats:
		a.Floats = p.GetFloats()
	case AttrInts:
		a.Ints = p.GetInts()
	case AttrStrings:
		a.Strings = p.GetStrings()
	case AttrTensors:
		a.Tensors, err = convert(p.GetTensors(), d.tensor)
	case AttrGraphs:
		a.Graphs, err = convert(p.GetGraphs(), func(gp *onnxpb.GraphProto) (*Graph, error) { return d.graph(gp, n) })
	case AttrSparseTensor:
		if p.SparseTensor != nil {
			a.SparseTensors, err = convert([]*onnxpb.SparseTensorProto{p.SparseTensor}, d.sparse)
		}
	case AttrSparseTensors:
		a.SparseTensors, err = convert(p.GetSparseTensors(), d.sparse)
	case AttrTypeProto:
		if p.Tp != nil {
			a.TypeProtos = [][]byte{marshal(p.Tp)}
		}
	case AttrTypeProtos:
		for _, t := range p.GetTypeProtos() {
			a.TypeProtos = append(a.TypeProtos, marshal(t))
		}
	}
	return a, err
}

// attrType returns the attribute's type. Files of IR version 1 do not state
// it; there the field in use tells.
func attrType(p *onnxpb.AttributeProto) AttrType {
	if p.Type != nil || p.RefAttrName != nil {
		return AttrType(p.GetType())
	}
	switch {
	case p.F != nil:
		return AttrFloat
	case p.I != nil:
		return AttrInt
	case p.S != nil:
		return AttrString
	case p.T != nil:
		return AttrTensor
	case p.G != nil:
		return AttrGraph
	case len(p.Floats) > 0:
		return AttrFloats
	case len(p.Ints) > 0:
		return AttrInts
	case len(p.Strings) > 0:
		return AttrStrings
	case len(p.Tensors) > 0:
		return AttrTensors
	case len(p.Graphs) > 0:
		return AttrGraphs
	}
	return AttrUndefined
}

func (d *decoder) sparse(p *onnxpb.SparseTensorProto) (*SparseTensor, error) {
	if p.Values == nil || p.Indices == nil {
		return nil, errorf(d.where(), "a sparse tensor without values or indices")
	}
	s := &SparseTensor{Dims: p.GetDims(), opaque: carry(p, nil)}
	var err error
	if s.Values, err = d.tensor(p.Values); err != nil {
		return nil, err
	}
	if s.Indices, err = d.tensor(p.Indices); err != nil {
		return nil, err
	}
	return s, nil
}

// decodeType converts a TypeProto, nil if nothing is known.
func decodeType(p *onnxpb.TypeProto) Type {
	var t Type
	if p == nil {
		return t
	}
	if tt := p.GetTensorType(); tt != nil {
		t.Elem = DataType(tt.GetElemType())
		if tt.Shape != nil {
			t.Shape = make(Shape, len(tt.Shape.Dim))
			for i, dp := range tt.Shape.Dim {
				if v, ok := dp.Value.(*onnxpb.TensorShapeProto_Dimension_DimValue); ok && v.DimValue >= 0 {
					t.Shape[i] = D(v.DimValue)
				} else {
					t.Shape[i] = Sym(dp.GetDimParam())
				}
			}
		}
	}
	t.nonTensor = p.Value != nil && p.GetTensorType() == nil
	if plain := encodeType(t); !proto.Equal(plain, p) {
		t.wire = marshal(p)
	}
	return t
}

func opsets(ps []*onnxpb.OperatorSetIdProto) []Opset {
	os := make([]Opset, len(ps))
	for i, p := range ps {
		os[i] = Opset{p.GetDomain(), p.GetVersion()}
	}
	return os
}

func properties(ps []*onnxpb.StringStringEntryProto) []Property {
	if len(ps) == 0 {
		return nil
	}
	props := make([]Property, len(ps))
	for i, p := range ps {
		props[i] = Property{p.GetKey(), p.GetValue()}
	}
	return props
}

// convert applies f to each element, up to the first error.
func convert[P, T any](ps []P, f func(P) (T, error)) ([]T, error) {
	ts := make([]T, len(ps))
	for i, p := range ps {
		var err error
		if ts[i], err = f(p); err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// carry returns the wire bytes of what the IR has no place for: the fields set
// in rest (nil: none), and those that onnx.proto does not define. They are written back as
// they are.
func carry(p, rest proto.Message) []byte {
	unknown := p.ProtoReflect().GetUnknown()
	if rest == nil {
		return unknown
	}
	return append(marshal(rest), unknown...)
}

// marshal is deterministic and yields nil for an empty message.
func marshal(p proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(p)
	if err != nil {
		panic("BUG: " + err.Error()) // bytes too large for an int, or no UTF-8 in proto3
	}
	if len(b) == 0 {
		return nil
	}
	return b
}
