package graph

import (
	"fmt"
	"slices"
)

// Node is one operator application.
type Node struct {
	Name                          string // of no other node in the graph, or ""; see SetName
	OpType, Domain, Overload, Doc string
	Metadata                      []Property

	inputs     []*Value // nil where an optional input is left out
	outputs    []*Value // nil where an optional output is left out
	attrs      []*Attribute
	graph      *Graph
	prev, next *Node

	opaque []byte
}

// Graph returns the graph the node sits in.
func (n *Node) Graph() *Graph { return n.graph }

// Next and Prev walk the node order; nil at the ends.
func (n *Node) Next() *Node { return n.next }

// Prev returns the node before n.
func (n *Node) Prev() *Node { return n.prev }

// Inputs returns the input values, nil where one is left out. The caller must
// not change the slice.
func (n *Node) Inputs() []*Value { return n.inputs }

// Outputs returns the output values, nil where one is left out. The caller
// must not change the slice.
func (n *Node) Outputs() []*Value { return n.outputs }

// Input returns input i, nil if it is left out or there are fewer.
func (n *Node) Input(i int) *Value {
	if i < len(n.inputs) {
		return n.inputs[i]
	}
	return nil
}

// Output returns output i, nil if it is left out or there are fewer.
func (n *Node) Output(i int) *Value {
	if i < len(n.outputs) {
		return n.outputs[i]
	}
	return nil
}

// Is reports whether n is an ai.onnx operator of one of the types.
func (n *Node) Is(opTypes ...string) bool {
	return n != nil && CanonicalDomain(n.Domain) == "" && slices.Contains(opTypes, n.OpType)
}

// Opset returns the ai.onnx version the node is written in, 0 if its graph belongs
// to no model.
func (n *Node) Opset() int64 {
	g := n.graph
	for g != nil && g.parent != nil {
		g = g.parent.graph
	}
	if g == nil || g.owner == nil {
		return 0
	}
	return g.owner.Opset("")
}

// SetName names the node; where another node of its graph has the name, with a
// numeric suffix.
func (n *Node) SetName(name string) { n.Name = n.graph.nodeName(n, name) }

// SetInput makes input i read v (nil: left out), growing the list if needed.
func (n *Node) SetInput(i int, v *Value) {
	for i >= len(n.inputs) {
		n.inputs = append(n.inputs, nil)
	}
	n.setInput(i, v)
}

// TrimInputs cuts the input list to its first k entries.
func (n *Node) TrimInputs(k int) {
	for i := k; i < len(n.inputs); i++ {
		n.setInput(i, nil)
	}
	n.inputs = n.inputs[:min(k, len(n.inputs))]
}

// AddOutput gives the node one more output, of a name that must be free.
func (n *Node) AddOutput(name string) *Value {
	v := n.graph.newValue(name)
	v.producer, v.index = n, len(n.outputs)
	n.outputs = append(n.outputs, v)
	return v
}

// TrimOutputs cuts the output list to its first k entries; those cut off must
// be unused.
func (n *Node) TrimOutputs(k int) {
	for _, v := range n.outputs[min(k, len(n.outputs)):] {
		if v != nil {
			n.graph.forget(v)
		}
	}
	n.outputs = n.outputs[:min(k, len(n.outputs))]
}

func (n *Node) setInput(i int, v *Value) {
	if old := n.inputs[i]; old != nil {
		old.dropUse(n, i)
	}
	n.inputs[i] = v
	if v != nil {
		v.addUse(n, i)
	}
}

// String names the node for messages: its operator, name and first output.
func (n *Node) String() string {
	if n == nil {
		return "<no node>"
	}
	op := n.OpType
	if CanonicalDomain(n.Domain) != "" {
		op = n.Domain + "." + op
	}
	if n.Name != "" {
		return fmt.Sprintf("%s %q", op, n.Name)
	}
	for _, o := range n.outputs {
		if o != nil {
			return fmt.Sprintf("%s making %q", op, o.name)
		}
	}
	return op
}
