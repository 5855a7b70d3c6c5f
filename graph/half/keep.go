package half

import (
	"fmt"
	"slices"

	"github.com/afc-project/afc/graph"
)

// Kept is a node that stays float32 though the operator takes half precision.
type Kept struct {
	Node   *graph.Node
	Reason string
}

// takesHalf lists the operators whose floating-point inputs and outputs may be
// of half precision in every opset from 13 on. All others stay float32 between
// casts.
var takesHalf = []string{
	"Abs", "Add", "AveragePool", "BatchNormalization", "Ceil", "Clip", "Concat", "ConstantOfShape", "Constant", "Conv", "ConvTranspose",
	"DepthToSpace", "Div", "Dropout", "Elu", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
	"GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu",
	"Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad", "Pow", "Reciprocal", "ReduceL2",
	"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "ScatterElements", "ScatterND", "Selu",
	"Sigmoid", "Sign", "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
	"Transpose", "Unsqueeze", "Where",
}

// deciders lists operators that choose by numbers: a rounding before them is a
// choice that may fall otherwise.
var deciders = []string{"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "TopK", "ArgMax", "ArgMin", "NonMaxSuppression"}

// indifferent lists operators that take any type where they do not compute.
var indifferent = []string{"Shape", "Size", "Cast", "NonZero", "IsNaN", "IsInf"}

// controls lists operators whose bodies compute.
var controls = []string{"If", "Scan", "Loop"}

// decides reports whether a node chooses by what it reads: it compares numbers,
// or makes integers of them.
func decides(n *graph.Node) bool {
	return n.Is(deciders...) || n.Is("Cast") && integer(graph.DataType(n.AttrInt("to", 0)))
}

func integer(d graph.DataType) bool { return d.Known() && !d.IsFloat() && d != graph.String }

// keeper finds the nodes of a model that stay float32.
type keeper struct {
	float    map[*graph.Value]bool // values of float32
	decisive map[*graph.Value]bool // memo of onlyDecides
	misfit   map[*graph.Node]string
	constant map[*graph.Node]bool // memo of computesConstant
}

// keeps reports whether a node computes in float32.
func (k *keeper) keeps(n *graph.Node) bool {
	switch {
	case n.Is(controls...):
		return false
	case decides(n), !n.Is(takesHalf...) && !n.Is(indifferent...), k.misfit[n] != "":
		return true
	case n.Is("Constant"):
		return n.Output(0).Const() == nil
	}
	return k.computesConstant(n) || k.makesDecisions(n)
}

// computesConstant reports whether a node computes from constants alone what a
// runtime computes when it loads the model: runtimes that have no kernel of half
// precision could not. Its constants are stored rounded, behind casts.
func (k *keeper) computesConstant(n *graph.Node) bool {
	return (!n.Is(moves...) || n.Is("Neg", "Pad")) && !n.Is("Constant", "ConstantOfShape") && k.isConstant(n)
}

// isConstant reports whether all that a node reads is constant.
func (k *keeper) isConstant(n *graph.Node) bool {
	if known, ok := k.constant[n]; ok {
		return known
	}
	k.constant[n] = len(n.Subgraphs()) == 0 && !slices.ContainsFunc(n.Inputs(), func(v *graph.Value) bool {
		return v != nil && v.Const() == nil && (v.Producer() == nil || !k.isConstant(v.Producer()))
	})
	return k.constant[n]
}

// makesDecisions reports whether all the float32 that a node makes goes into
// decisions, and nowhere else.
func (k *keeper) makesDecisions(n *graph.Node) bool {
	made := false
	for _, v := range n.Outputs() {
		if v == nil || !k.float[v] {
			continue
		}
		if !k.onlyDecides(v) {
			return false
		}
		made = true
	}
	return made
}

// onlyDecides reports whether a value is read, and only by nodes that decide or
// whose own results only decide: navigation from its average on, and the
// arithmetic of places in a batch.
func (k *keeper) onlyDecides(v *graph.Value) bool {
	if known, ok := k.decisive[v]; ok {
		return known
	}
	k.decisive[v] = false // of a loop's state, which reads itself
	k.decisive[v] = v.NumUses() > 0 && !slices.ContainsFunc(v.Uses(), func(u graph.Use) bool { return !k.useDecides(u) }) &&
		(!v.IsOutput() || k.bodyDecides(v))
	return k.decisive[v]
}

func (k *keeper) useDecides(u graph.Use) bool {
	n := u.Node
	switch {
	case n.Is(controls...):
		in := bodyInput(n, u.Index)
		return in != nil && k.onlyDecides(in)
	case decides(n), n.Is("Shape", "Size"):
		return true
	case k.misfit[n] != "", !n.Is(takesHalf...) && !n.Is("Cast", "CumSum"):
		return false
	}
	return k.makesDecisions(n)
}

// bodyDecides reports whether an output of a body is a node's output that only
// decides.
func (k *keeper) bodyDecides(v *graph.Value) bool {
	n := v.Graph().Parent()
	if n == nil {
		return false
	}
	for i, o := range v.Graph().Outputs() {
		if o == v && !k.connectionKept(n, v.Graph(), i) {
			return false
		}
	}
	return true
}

// connectionKept reports whether output i of a body stays float32.
func (k *keeper) connectionKept(n *graph.Node, body *graph.Graph, i int) bool {
	out := outerOutput(n, body, i)
	return out != nil && k.onlyDecides(out)
}

// bodyInput is the body's input that takes a slice of input i of a Scan; nil of
// a state, and of other nodes: those are half precision throughout.
func bodyInput(n *graph.Node, i int) *graph.Value {
	if !n.Is("Scan") {
		return nil
	}
	states, ok := scanStates(n)
	body := n.Attr("body")
	if !ok || i < states || body == nil || body.Graph == nil || i >= len(body.Graph.Inputs()) {
		return nil
	}
	return body.Graph.Inputs()[i]
}

// outerOutput is the node's output that output i of its body becomes; nil of a
// state that goes around.
func outerOutput(n *graph.Node, body *graph.Graph, i int) *graph.Value {
	switch {
	case n.Is("If"):
		return n.Output(i)
	case n.Is("Scan"):
		if states, ok := scanStates(n); ok && i >= states {
			return n.Output(i)
		}
	}
	return nil
}

// scanStates is the number of a Scan's states.
func scanStates(n *graph.Node) (int, bool) {
	states := len(n.Inputs()) - int(n.AttrInt("num_scan_inputs", 0))
	return states, states >= 0
}

// findMisfits finds the nodes whose constants half precision does not hold.
func (k *keeper) findMisfits(m *graph.Model) error {
	for n := range m.Graph.AllNodes() {
		if !n.Is(takesHalf...) || n.Is("Constant", "Clip", "Where", "Pad") { // a bound out of reach bounds nothing
			continue
		}
		for i, v := range n.Inputs() {
			t := v.Const()
			if t == nil || t.DType != graph.Float32 || !wantsHalf(n, i) {
				continue
			}
			reason, err := misfit(n, i, t)
			if err != nil {
				return &graph.Error{File: m.Path, Node: n.String(), Reason: fmt.Sprintf("constant %q: %v", v.Name(), err)}
			}
			if reason != "" {
				k.misfit[n] = fmt.Sprintf("%s: %s", v.Name(), reason)
				break
			}
		}
	}
	return nil
}

// misfit says why half precision does not hold constant i of a node, "" if it
// does.
func misfit(n *graph.Node, i int, t *graph.Tensor) (string, error) {
	_, loss, err := Tensor(t)
	if err != nil {
		return "", err
	}
	if loss.Beyond > 0 {
		return fmt.Sprintf("%d of %d weights lie beyond %d", loss.Beyond, loss.Elements, Largest), nil
	}
	if n.Is("BatchNormalization") && i == 4 {
		ok, err := HoldsVariance(t, n.AttrFloat("epsilon", 1e-5))
		if err != nil || !ok {
			return "variances too small for half precision", err
		}
	}
	return "", nil
}
