package graph_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/simple"
	gonum "gonum.org/v1/gonum/graph"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/testutil"
)

// nodeCounter receives a graph from onnx-go and counts its nodes.
type nodeCounter struct {
	*simple.Graph
	nodes int
}

func (c *nodeCounter) ApplyOperation(onnx.Operation, ...gonum.Node) error {
	c.nodes++
	return nil
}

// onnxGoNodes returns how many nodes onnx-go, whose decoder shares no code with
// ours, sees in a model.
func onnxGoNodes(data []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	c := &nodeCounter{Graph: simple.NewSimpleGraph()}
	err = onnx.NewModel(c).UnmarshalBinary(data)
	return c.nodes, err
}

// TestOnnxGoReadsWhatWeWrite: onnx-go reads the models that we write where it
// reads the originals, and sees the same nodes.
func TestOnnxGoReadsWhatWeWrite(t *testing.T) {
	read, all := 0, 0
	for _, path := range testutil.Corpus(t) {
		all++
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := onnxGoNodes(data)
		if err != nil {
			continue // subgraphs, types and opsets that it does not know
		}
		read++
		m, err := graph.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := onnxGoNodes(encode(t, m))
		if err != nil {
			t.Errorf("%s: onnx-go reads the original, but not what we wrote: %v", path, err)
			continue
		}
		if got != want || got != m.Graph.NumNodes() {
			t.Errorf("%s: onnx-go sees %d nodes in what we wrote, %d in the original; we see %d", path, got, want, m.Graph.NumNodes())
		}
	}
	if read < all/2 {
		t.Errorf("onnx-go read %d of %d models: too few to prove anything", read, all)
	}
}
