package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/afc-project/afc/graph"
)

// choosing returns a model with bodies in bodies: a Scan over rows, in it an
// If that reads the Scan's own values and the outer graph's.
func choosing() *graph.Model {
	m := graph.NewModel("choosing", 8, 13)
	g := m.Graph
	row := graph.TensorType(graph.Float32, graph.ShapeOf(2))
	x := g.AddInput("x", graph.TensorType(graph.Float32, graph.ShapeOf(3, 2)))
	scale := g.AddInitializer("scale", graph.Float32s([]int64{2}, 2, 3))
	limit := g.AddInitializer("limit", graph.Float32s(nil, 0))

	body := graph.NewGraph("rows")
	in := body.AddInput("row", row)
	sum := body.AddNode("ReduceSum", "", "add up", []*graph.Value{in}, []string{"sum"}, graph.Int("keepdims", 0)).Output(0)
	some := body.AddNode("Greater", "", "compare", []*graph.Value{sum, limit}, []string{"some"}).Output(0)
	then, otherwise := graph.NewGraph("then"), graph.NewGraph("else")
	scaled := then.AddNode("Mul", "", "scale up", []*graph.Value{in, scale}, []string{"scaled"}).Output(0)
	kept := otherwise.AddNode("Identity", "", "keep", []*graph.Value{in}, []string{"kept"}).Output(0)
	scaled.Type, kept.Type = row, row
	then.AddOutput(scaled)
	otherwise.AddOutput(kept)
	picked := body.AddNode("If", "", "pick", []*graph.Value{some}, []string{"picked"},
		graph.Subgraph("then_branch", then), graph.Subgraph("else_branch", otherwise)).Output(0)
	picked.Type = row
	body.AddOutput(picked)
	y := g.AddNode("Scan", "", "each", []*graph.Value{x}, []string{"y"}, graph.Subgraph("body", body), graph.Int("num_scan_inputs", 1)).Output(0)
	y.Type = x.Type
	g.AddOutput(y)
	return m
}

func TestOnnxGoReadsBodies(t *testing.T) {
	m := choosing()
	if err := graph.Check(m); err != nil {
		t.Fatal(err)
	}
	data, err := graph.EncodeBytes(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := readByOnnxGo(data, m)
	if err != nil || c.Status != Pass || c.Figure != "6 nodes in the outer graph and 3 bodies" {
		t.Errorf("a sound model: %+v, %v", c, err)
	}
	// Strings keep their lengths, so that the file stays protobuf. Where a name
	// occurs several times, its field's number and length tell which is meant.
	for _, tt := range []struct{ name, old, new, want string }{
		{"operator", "Mul", "Add", "then_branch of If pick, node 0: onnx-go reads Add → scaled, afc Mul → scaled"},
		{"output", "\x12\x06scaled", "\x12\x06scalps", "then_branch of If pick, node 0: onnx-go reads Mul → scalps, afc Mul → scaled"},
		{"value of the outer graph", "\x42\x05scale", "\x42\x05scala", `then_branch of If pick: node Mul scale up reads "scale", which neither it nor a graph around it has`},
		{"value of the loop", "\x12\x04some", "\x12\x04none", `body of Scan each: node If pick reads "some", which neither it nor a graph around it has`},
		{"length", "\x0a\x05scale", "\x0a\x7fscale", "then_branch of If pick: a field is cut short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			broken := bytes.Replace(data, []byte(tt.old), []byte(tt.new), 1)
			if bytes.Equal(broken, data) {
				t.Fatalf("the file has no %q", tt.old)
			}
			c, err := readByOnnxGo(broken, m)
			got := c.Where
			if err != nil {
				got = err.Error()
			}
			if c.Status == Pass && err == nil || !strings.Contains(got, tt.want) {
				t.Errorf("%s, %q; want a failure with %q", c.Status, got, tt.want)
			}
		})
	}
}

// FuzzCutGraphs: whatever the bytes, they are cut or refused, and a file that is
// cut whole keeps its outer graph first.
func FuzzCutGraphs(f *testing.F) {
	data, err := graph.EncodeBytes(choosing())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{7<<3 | wireBytes, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		pieces, err := cutGraphs(data)
		if err != nil {
			return
		}
		for i, p := range pieces {
			fields, err := fieldsOf(p.model)
			if err != nil || len(fields) == 0 || fields[len(fields)-1].number != modelGraph {
				t.Errorf("piece %d, %s, is no model: %v", i, p.name, err)
			}
		}
		if pieces[0].name != "the outer graph" {
			t.Errorf("the first piece is %s", pieces[0].name)
		}
	})
}
