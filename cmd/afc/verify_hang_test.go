package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify"
)

// endless returns a model that takes clips and never answers.
func endless() *graph.Model {
	m := graph.NewModel("endless", 8, 13)
	g := m.Graph
	x := g.AddInput("video", graph.TensorType(graph.Float32, graph.ShapeOf(1, 2, 3, 4, 4)))
	body := graph.NewGraph("body")
	body.AddInput("iteration", graph.TensorType(graph.Int64, graph.Shape{}))
	going := body.AddInput("going", graph.TensorType(graph.Bool, graph.Shape{}))
	carried := body.AddInput("carried", x.Type)
	for i, v := range []*graph.Value{going, carried} {
		out := body.NewNode("Identity", []string{"on", "through"}[i], []*graph.Value{v}, 1).Output(0)
		out.Type = v.Type
		body.AddOutput(out)
	}
	trips := g.AddInitializer("trips", graph.Int64s(nil, math.MaxInt64))
	yes, err := graph.NewTensor(graph.Bool, nil, []byte{1})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	loop := g.NewNode("Loop", "loop", []*graph.Value{trips, g.AddInitializer("yes", yes), x}, 1, graph.Subgraph("body", body))
	loop.Output(0).Type = x.Type
	g.AddOutput(loop.Output(0))
	return m
}

// TestVerifyTimeout: a model that hangs ONNX Runtime costs no more than
// --timeout, and the message says where it hung.
func TestVerifyTimeout(t *testing.T) {
	if _, err := verify.Version(); err != nil {
		t.Skip(err)
	}
	var b bytes.Buffer
	if err := endless().Encode(&b); err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, "endless.onnx", b.Bytes())
	start := time.Now()
	o := afc(t, "verify", path, "--only", "repeat", "--timeout", "2s")
	if o.code == exitOK || !strings.Contains(o.stderr, "running "+path+": not done after 2s") {
		t.Errorf("exit %d, %q", o.code, o.stderr)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
