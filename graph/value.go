package graph

import (
	"fmt"
	"slices"
)

// Value is one tensor of the graph in SSA form: made once, by a node, as a
// graph input, or as an initializer; and used any number of times.
type Value struct {
	Type Type   // element type and shape as far as known
	Doc  string // value_info doc string

	name     string
	graph    *Graph
	producer *Node
	index    int // which output of producer
	uses     []Use
	init     *Tensor
	sparse   *SparseTensor // a sparse initializer, carried through
	input    bool
	output   int        // how many times it stands among the graph's outputs
	declared bool       // has an entry in the file's value_info
	metadata []Property // of its value_info
	opaque   []byte
}

// Use says that input Index of Node reads a value. The node may sit in a
// subgraph of the value's graph.
type Use struct {
	Node  *Node
	Index int
}

// Name returns the value's name, unique in its graph.
func (v *Value) Name() string { return v.name }

// Graph returns the graph that owns the value.
func (v *Value) Graph() *Graph { return v.graph }

// Producer returns the node that makes the value, nil for graph inputs and
// initializers.
func (v *Value) Producer() *Node { return v.producer }

// ProducerIndex returns which of its producer's outputs the value is.
func (v *Value) ProducerIndex() int { return v.index }

// Uses returns the places that read the value, in the order they were made.
// The caller must not change the slice.
func (v *Value) Uses() []Use { return v.uses }

// NumUses counts node inputs plus graph outputs that read the value.
func (v *Value) NumUses() int { return len(v.uses) + v.output }

// IsInput reports whether the value is an input of its graph.
func (v *Value) IsInput() bool { return v.input }

// IsOutput reports whether the value is an output of its graph.
func (v *Value) IsOutput() bool { return v.output > 0 }

// Initializer returns the value's initializer, nil if it has none.
func (v *Value) Initializer() *Tensor { return v.init }

// Const returns the tensor of a value that cannot change at run time: an
// initializer that is not also a graph input, or the output of a Constant node
// with a tensor value. Otherwise nil.
func (v *Value) Const() *Tensor {
	if v == nil {
		return nil
	}
	if v.init != nil && !v.input {
		return v.init
	}
	if v.producer != nil && v.producer.OpType == "Constant" && CanonicalDomain(v.producer.Domain) == "" {
		return v.producer.constantTensor()
	}
	return nil
}

// OnlyUse returns the single node that reads v, or nil when v has several uses
// or is a graph output.
func (v *Value) OnlyUse() *Node {
	if v.output == 0 && len(v.uses) == 1 {
		return v.uses[0].Node
	}
	return nil
}

func (v *Value) String() string {
	if v == nil {
		return "<omitted>"
	}
	return v.name
}

// ReplaceAllUses makes every reader of v, graph outputs included, read w.
// Where v was a graph output, w takes over v's name, since output names are
// the model's interface; w must belong to the same graph then.
func (v *Value) ReplaceAllUses(w *Value) {
	if v == w {
		return
	}
	for _, u := range v.uses {
		u.Node.inputs[u.Index] = w
	}
	w.uses = append(w.uses, v.uses...)
	v.uses = nil
	if v.output == 0 {
		return
	}
	g := v.graph
	if w.graph != g {
		panic("BUG: graph output replaced by a value of another graph")
	}
	for i, o := range g.outputs {
		if o == v {
			g.outputs[i] = w
			v.output--
			w.output++
		}
	}
	if !w.input && w.init == nil && !(w.output > 1) {
		name := v.name
		v.Rename(g.NewName(name))
		w.Rename(name)
	}
}

// Rename gives the value another name, which must be free in its graph.
func (v *Value) Rename(name string) {
	if name == v.name {
		return
	}
	if _, taken := v.graph.values[name]; taken {
		panic(fmt.Sprintf("BUG: value name %q is taken", name))
	}
	delete(v.graph.values, v.name)
	v.name = name
	v.graph.values[name] = v
}

func (v *Value) addUse(n *Node, i int) { v.uses = append(v.uses, Use{n, i}) }

// dropUse looks from both ends: nodes are mostly removed in order, and a value
// may have very many uses.
func (v *Value) dropUse(n *Node, i int) {
	u := Use{n, i}
	for lo, hi := 0, len(v.uses)-1; lo <= hi; lo, hi = lo+1, hi-1 {
		switch u {
		case v.uses[lo]:
			if lo == 0 {
				v.uses = v.uses[1:]
			} else {
				v.uses = slices.Delete(v.uses, lo, lo+1)
			}
			return
		case v.uses[hi]:
			v.uses = slices.Delete(v.uses, hi, hi+1)
			return
		}
	}
	panic("BUG: use list out of step with node inputs")
}
