package verify

import (
	"errors"
	"fmt"
	"os"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/simple"
	gonum "gonum.org/v1/gonum/graph"

	"github.com/afc-project/afc/graph"
)

// countingBackend receives a graph from onnx-go and counts its operations.
type countingBackend struct {
	*simple.Graph
	nodes int
}

func (b *countingBackend) ApplyOperation(onnx.Operation, ...gonum.Node) error {
	b.nodes++
	return nil
}

// onnxGoNodes decodes an encoded model with onnx-go, a decoder that shares no
// code with ours, and returns how many nodes it saw. It fails with
// *InapplicableError on what onnx-go does not handle: subgraphs.
func onnxGoNodes(data []byte) (nodes int, err error) {
	defer func() {
		if r := recover(); r != nil { // it panics on some malformed graphs
			err = fmt.Errorf("onnx-go does not read it: %v", r)
		}
	}()
	b := &countingBackend{Graph: simple.NewSimpleGraph()}
	err = onnx.NewModel(b).UnmarshalBinary(data)
	var missing *onnx.ErrNotImplemented
	if errors.As(err, &missing) {
		return 0, &InapplicableError{fmt.Sprintf("onnx-go does not handle attribute %s: %s", missing.AttributeName, missing.Message)}
	}
	if err != nil {
		return 0, fmt.Errorf("onnx-go does not read it: %w", err)
	}
	return b.nodes, nil
}

// checkFile holds the model to the rules of ONNX.
func (p *prover) checkFile() (Check, error) {
	c := Check{Status: Pass, Limit: "none"}
	if err := graph.Check(p.s.Model); err != nil {
		return c, err
	}
	c.Figure = "no rule broken"
	return c, nil
}

// fileBytes returns the file a model was read from as it is, or what would be
// written.
func fileBytes(m *graph.Model) ([]byte, error) {
	if m.Path != "" {
		return os.ReadFile(m.Path)
	}
	return graph.EncodeBytes(m)
}

// checkOnnxGo has another decoder read the model.
func (p *prover) checkOnnxGo() (Check, error) {
	data, err := fileBytes(p.s.Model)
	if err != nil {
		return Check{}, err
	}
	got, err := onnxGoNodes(data)
	if err != nil {
		return Check{}, err
	}
	want := p.s.Model.Graph.NumNodes()
	c := Check{Status: Pass, Figure: fmt.Sprintf("%d nodes", got), Limit: fmt.Sprint(want)}
	if got != want {
		c.Status = Fail
	}
	return c, nil
}
