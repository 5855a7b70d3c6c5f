package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/afc-project/afc/graph/internal/schema"
)

// node tests a node against its operator.
func (c *checker) node(n *Node) error {
	if n.OpType == "" {
		return errorf(n.String(), "has no operator type")
	}
	named := make(map[string]bool, len(n.attrs))
	for _, a := range n.attrs {
		if named[a.Name] {
			return errorf(n.String(), "has attribute %q twice", a.Name)
		}
		named[a.Name] = true
		if err := c.attribute(a); err != nil {
			return errorf(n.String(), "attribute %q %v", a.Name, err)
		}
	}
	domain := CanonicalDomain(n.Domain)
	if c.called(n) != nil {
		return nil
	}
	version := c.opset(domain)
	if version == 0 {
		if domain == "" && c.model.IRVersion < 3 {
			version = 1 // opset imports came with IR version 3
		} else {
			return errorf(n.String(), "its domain %q is not among the opsets imported", n.Domain)
		}
	}
	if schema.Newest(domain) == 0 {
		return nil // not a domain of ONNX: nothing known of its operators
	}
	op := schema.Lookup(domain, n.OpType, version)
	if op == nil {
		if first := schema.First(domain, n.OpType); first > version {
			return errorf(n.String(), "operator %s came with opset %d, the model imports %d", n.OpType, first, version)
		}
		return errorf(n.String(), "operator %s is not in opset %d", n.OpType, version)
	}
	if err := checkArity(n, op); err != nil {
		return err
	}
	for _, a := range n.attrs {
		sa := op.Attribute(a.Name)
		if sa == nil {
			return errorf(n.String(), "attribute %q is not one of %s in opset %d", a.Name, n.OpType, version)
		}
		if a.Type < 0 || int(a.Type) >= len(attrTypeNames) {
			return errorf(n.String(), "attribute %q has type %d, which onnx.proto does not define", a.Name, a.Type)
		}
		if a.Type != AttrUndefined && attrTypeNames[a.Type] != sa.Type {
			return errorf(n.String(), "attribute %q is %s, %s has it as %s", a.Name, attrTypeNames[a.Type], n.OpType, sa.Type)
		}
	}
	for _, sa := range op.Attributes {
		if sa.Required && !named[sa.Name] {
			return errorf(n.String(), "attribute %q, which %s needs, is missing", sa.Name, n.OpType)
		}
	}
	if domain == "" {
		return checkWeights(n)
	}
	return nil
}

func checkArity(n *Node, op *schema.Op) error {
	span := func(lo, hi int) string {
		switch hi {
		case lo:
			return fmt.Sprint(lo)
		case math.MaxInt:
			return fmt.Sprintf("%d or more", lo)
		}
		return fmt.Sprintf("%d to %d", lo, hi)
	}
	if k := len(n.inputs); k < op.MinInputs || k > op.MaxInputs {
		return errorf(n.String(), "has %d inputs, %s takes %s", k, n.OpType, span(op.MinInputs, op.MaxInputs))
	}
	if k := len(n.outputs); k < op.MinOutputs || k > op.MaxOutputs {
		return errorf(n.String(), "has %d outputs, %s gives %s", k, n.OpType, span(op.MinOutputs, op.MaxOutputs))
	}
	return nil
}

// attrTypeNames has onnx.proto's names of the attribute types.
var attrTypeNames = [...]string{
	AttrUndefined: "UNDEFINED", AttrFloat: "FLOAT", AttrInt: "INT", AttrString: "STRING", AttrTensor: "TENSOR",
	AttrGraph: "GRAPH", AttrFloats: "FLOATS", AttrInts: "INTS", AttrStrings: "STRINGS", AttrTensors: "TENSORS",
	AttrGraphs: "GRAPHS", AttrSparseTensor: "SPARSE_TENSOR", AttrSparseTensors: "SPARSE_TENSORS",
	AttrTypeProto: "TYPE_PROTO", AttrTypeProtos: "TYPE_PROTOS",
}

// attribute tests that an attribute holds what its type says.
func (c *checker) attribute(a *Attribute) error {
	switch {
	case a.Name == "":
		return fmt.Errorf("has no name")
	case a.RefName != "":
		return c.reference(a)
	case a.Type <= AttrUndefined || int(a.Type) >= len(attrTypeNames):
		return fmt.Errorf("has no type that ONNX defines")
	case a.Type == AttrTensor && a.Tensor == nil,
		a.Type == AttrGraph && a.Graph == nil,
		a.Type == AttrSparseTensor && len(a.SparseTensors) != 1,
		a.Type == AttrTypeProto && len(a.TypeProtos) != 1:
		return fmt.Errorf("is a %s without value", attrTypeNames[a.Type])
	}
	for _, t := range a.Tensors {
		if err := checkTensor(t); err != nil {
			return err
		}
	}
	if a.Tensor != nil {
		return checkTensor(a.Tensor)
	}
	return nil
}

// reference tests an attribute that stands for one of the function around it.
func (c *checker) reference(a *Attribute) error {
	if c.function == nil {
		return fmt.Errorf("refers to %q of a function, but is in none", a.RefName)
	}
	if !c.parameters[a.RefName] {
		return fmt.Errorf("refers to %q, which function %s does not have", a.RefName, c.function.Name)
	}
	return nil
}

// checkWeights tests that the constants of a convolution or normalisation fit
// each other. Broken exports exist where they do not.
func checkWeights(n *Node) error {
	dims := func(i int) []int64 {
		if t := n.Input(i).Const(); t != nil {
			return t.Dims
		}
		return nil
	}
	vector := func(i int, what string, want int64, of string) error {
		t := n.Input(i).Const()
		if t == nil || len(t.Dims) == 1 && t.Dims[0] == want {
			return nil
		}
		return errorf(n.String(), "%s %q is %v, expected [%d], one element for each %s", what, n.Input(i).Name(), t.Shape(), want, of)
	}
	switch n.OpType {
	case "Conv", "ConvTranspose":
		w := dims(1)
		if w == nil {
			return nil
		}
		group := n.AttrInt("group", 1)
		if len(w) < 3 || group < 1 || w[0]%group != 0 {
			return errorf(n.String(), "weight %q %v does not fit a convolution of %d groups", n.Input(1).Name(), ShapeOf(w...), group)
		}
		if k := n.AttrInts("kernel_shape"); k != nil && !slices.Equal(k, w[2:]) {
			return errorf(n.String(), "kernel_shape is %v, weight %q is %v", k, n.Input(1).Name(), ShapeOf(w...))
		}
		out := w[0]
		if n.OpType == "ConvTranspose" {
			out = w[1] * group
		}
		of := fmt.Sprintf("output channel of weight %q %v (a wrong bias is a known fault of exporters, pytorch/pytorch#166797: export again with a newer version)", n.Input(1).Name(), ShapeOf(w...))
		return vector(2, "bias", out, of)
	case "BatchNormalization":
		scale := dims(1)
		if len(scale) != 1 {
			return nil
		}
		for i, what := range []string{"", "", "bias", "mean", "variance"} {
			if what == "" {
				continue
			}
			if err := vector(i, what, scale[0], fmt.Sprintf("channel of scale %q", n.Input(1).Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
