package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/simple"
	gonum "gonum.org/v1/gonum/graph"

	"github.com/afc-project/afc/graph"
)

// listingBackend receives a graph from onnx-go and lists its operations.
type listingBackend struct {
	*simple.Graph
	nodes []string
}

func (b *listingBackend) ApplyOperation(op onnx.Operation, outputs ...gonum.Node) error {
	names := make([]string, len(outputs))
	for i, o := range outputs {
		names[i] = o.(*simple.Node).GetName()
	}
	b.nodes = append(b.nodes, nodeText(op.Name, names))
	return nil
}

func nodeText(op string, outputs []string) string {
	return op + " → " + strings.Join(outputs, ", ")
}

// onnxGoNodes decodes an encoded model without subgraphs with onnx-go, a
// decoder that shares no code with ours, and lists the nodes it saw. It fails
// with *InapplicableError on what onnx-go does not handle.
func onnxGoNodes(data []byte) (nodes []string, err error) {
	defer func() {
		if r := recover(); r != nil { // it panics on some malformed graphs
			err = fmt.Errorf("onnx-go does not read it: %v", r)
		}
	}()
	b := &listingBackend{Graph: simple.NewSimpleGraph()}
	err = onnx.NewModel(b).UnmarshalBinary(data)
	var missing *onnx.ErrNotImplemented
	if errors.As(err, &missing) {
		return nil, &InapplicableError{fmt.Sprintf("onnx-go does not handle attribute %s: %s", missing.AttributeName, missing.Message)}
	}
	if err != nil {
		return nil, fmt.Errorf("onnx-go does not read it: %w", err)
	}
	return b.nodes, nil
}

// readByOnnxGo holds what onnx-go sees in an encoded model to what afc decoded.
func readByOnnxGo(data []byte, m *graph.Model) (Check, error) {
	pieces, err := cutGraphs(data)
	if err != nil {
		return Check{}, err
	}
	want := listGraphs(m.Graph)
	c := Check{Status: Pass, Limit: "equal"}
	if len(pieces) != len(want) {
		return c, fmt.Errorf("the file holds %d graphs, afc decoded %d", len(pieces), len(want))
	}
	total := 0
	for i, piece := range pieces {
		var got []string
		if !piece.empty { // onnx-go takes no graph without nodes
			if got, err = onnxGoNodes(piece.model); err != nil {
				return c, fmt.Errorf("%s: %w", piece.name, err)
			}
		}
		total += len(got)
		for k := range max(len(got), len(want[i])) {
			g, w := nodeAt(got, k), nodeAt(want[i], k)
			if g != w {
				c.Status, c.Figure = Fail, fmt.Sprintf("%d nodes, afc decoded %d", len(got), len(want[i]))
				c.Where = fmt.Sprintf("%s, node %d: onnx-go reads %s, afc %s", piece.name, k, g, w)
				return c, nil
			}
		}
	}
	c.Figure = fmt.Sprintf("%d nodes", total)
	if bodies := len(pieces) - 1; bodies > 0 {
		c.Figure += fmt.Sprintf(" in the outer graph and %d bodies", bodies)
	}
	return c, nil
}

func nodeAt(nodes []string, i int) string {
	if i < len(nodes) {
		return nodes[i]
	}
	return "none"
}

// listGraphs lists the nodes of a graph and of all its bodies, in the order of
// cutGraphs.
func listGraphs(g *graph.Graph) (lists [][]string) {
	for sub := range g.AllGraphs() {
		var list []string
		for n := range sub.Nodes() {
			names := make([]string, len(n.Outputs()))
			for i, v := range n.Outputs() {
				if v != nil {
					names[i] = v.Name()
				}
			}
			list = append(list, nodeText(n.OpType, names))
		}
		lists = append(lists, list)
	}
	return lists
}
