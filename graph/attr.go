package graph

import "slices"

// AttrType is onnx.proto's AttributeProto.AttributeType.
type AttrType int32

// The attribute types, with onnx.proto's numbers.
const (
	AttrUndefined     AttrType = 0
	AttrFloat         AttrType = 1
	AttrInt           AttrType = 2
	AttrString        AttrType = 3
	AttrTensor        AttrType = 4
	AttrGraph         AttrType = 5
	AttrFloats        AttrType = 6
	AttrInts          AttrType = 7
	AttrStrings       AttrType = 8
	AttrTensors       AttrType = 9
	AttrGraphs        AttrType = 10
	AttrSparseTensor  AttrType = 11
	AttrSparseTensors AttrType = 12
	AttrTypeProto     AttrType = 13
	AttrTypeProtos    AttrType = 14
)

// Attribute is a named constant of a node. Type says which field holds it.
type Attribute struct {
	Name    string
	Type    AttrType
	Doc     string
	RefName string // inside a function: the function attribute it stands for

	F             float32
	I             int64
	S             []byte
	Tensor        *Tensor
	Graph         *Graph
	Floats        []float32
	Ints          []int64
	Strings       [][]byte
	Tensors       []*Tensor
	Graphs        []*Graph
	SparseTensors []*SparseTensor // one for AttrSparseTensor
	TypeProtos    [][]byte        // wire bytes; one for AttrTypeProto

	opaque []byte
}

// Int, Ints, Float, Str, TensorAttr and Subgraph make attributes.
func Int(name string, v int64) *Attribute { return &Attribute{Name: name, Type: AttrInt, I: v} }

// Ints makes an attribute that is a list of integers.
func Ints(name string, v ...int64) *Attribute {
	return &Attribute{Name: name, Type: AttrInts, Ints: v}
}

// Float makes a float attribute.
func Float(name string, v float32) *Attribute { return &Attribute{Name: name, Type: AttrFloat, F: v} }

// Str makes a string attribute.
func Str(name, v string) *Attribute { return &Attribute{Name: name, Type: AttrString, S: []byte(v)} }

// TensorAttr makes a tensor attribute.
func TensorAttr(name string, t *Tensor) *Attribute {
	return &Attribute{Name: name, Type: AttrTensor, Tensor: t}
}

// Subgraph makes a graph attribute, such as a branch of If.
func Subgraph(name string, g *Graph) *Attribute {
	return &Attribute{Name: name, Type: AttrGraph, Graph: g}
}

// detach drops the uses that subgraphs of a removed node hold on outer values.
func (a *Attribute) detach() {
	for _, g := range a.Subgraphs() {
		for n := range g.NodesBackward() {
			for i := range n.inputs {
				n.setInput(i, nil)
			}
			for _, b := range n.attrs {
				b.detach()
			}
		}
		for _, o := range g.outputs {
			o.output--
		}
		g.outputs = nil
		g.parent = nil
	}
}

// Subgraphs returns the graphs the attribute holds.
func (a *Attribute) Subgraphs() []*Graph {
	if a.Graph != nil {
		return append([]*Graph{a.Graph}, a.Graphs...)
	}
	return a.Graphs
}

// Attrs returns the node's attributes in order. The caller must not change
// the slice.
func (n *Node) Attrs() []*Attribute { return n.attrs }

// Attr returns the attribute of that name, nil if the node has none.
func (n *Node) Attr(name string) *Attribute {
	for _, a := range n.attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// SetAttr sets an attribute, keeping its place, or appends it. A graph in it
// becomes a subgraph of n.
func (n *Node) SetAttr(a *Attribute) {
	for _, g := range a.Subgraphs() {
		g.parent = n
	}
	for i, old := range n.attrs {
		if old.Name == a.Name {
			old.detach()
			n.attrs[i] = a
			return
		}
	}
	n.attrs = append(n.attrs, a)
}

// RemoveAttr removes the attribute of that name, if any.
func (n *Node) RemoveAttr(name string) {
	n.attrs = slices.DeleteFunc(n.attrs, func(a *Attribute) bool {
		if a.Name == name {
			a.detach()
			return true
		}
		return false
	})
}

// AttrInt returns an integer attribute or a default.
func (n *Node) AttrInt(name string, def int64) int64 {
	if a := n.Attr(name); a != nil && a.Type == AttrInt {
		return a.I
	}
	return def
}

// AttrFloat returns a float attribute or a default.
func (n *Node) AttrFloat(name string, def float32) float32 {
	if a := n.Attr(name); a != nil && a.Type == AttrFloat {
		return a.F
	}
	return def
}

// AttrString returns a string attribute or a default.
func (n *Node) AttrString(name, def string) string {
	if a := n.Attr(name); a != nil && a.Type == AttrString {
		return string(a.S)
	}
	return def
}

// AttrInts returns an integer-list attribute, nil if absent.
func (n *Node) AttrInts(name string) []int64 {
	if a := n.Attr(name); a != nil && a.Type == AttrInts {
		return a.Ints
	}
	return nil
}

// Subgraphs returns the graphs held by the node's attributes, in order.
func (n *Node) Subgraphs() []*Graph {
	var gs []*Graph
	for _, a := range n.attrs {
		gs = append(gs, a.Subgraphs()...)
	}
	return gs
}

// constantTensor is the value of a Constant node, nil if it is none of numbers.
func (n *Node) constantTensor() *Tensor {
	for _, a := range n.attrs {
		if t := a.ConstantTensor(); t != nil {
			return t
		}
	}
	return nil
}

// ConstantTensor is the value of a Constant node with the attribute, in
// whichever form it is spelled (Constant, opset 12 and later have several);
// nil if the attribute says none.
func (a *Attribute) ConstantTensor() *Tensor {
	switch {
	case a.RefName != "":
	case a.Name == "value" && a.Type == AttrTensor:
		return a.Tensor
	case a.Name == "value_int" && a.Type == AttrInt:
		return Int64s(nil, a.I)
	case a.Name == "value_ints" && a.Type == AttrInts:
		return Int64s([]int64{int64(len(a.Ints))}, a.Ints...)
	case a.Name == "value_float" && a.Type == AttrFloat:
		return Float32s(nil, a.F)
	case a.Name == "value_floats" && a.Type == AttrFloats:
		return Float32s([]int64{int64(len(a.Floats))}, a.Floats...)
	}
	return nil
}
